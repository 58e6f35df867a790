import { driverTiming } from '../fixture/descriptors.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, through the IOMMU',
  unit: 'ns',
  yardstick: { name: 'no IOMMU', prepare: driverTiming({ bytes: 4096 }) },
  target: 2,
  rate: { of: 'descriptors', count: 1 },
  run: driverTiming({ bytes: 4096, iommu: true }),
};
