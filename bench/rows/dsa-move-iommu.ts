import { modelTiming } from '../fixture/descriptors.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, addresses translated',
  unit: 'ns',
  yardstick: { name: 'not translated', prepare: modelTiming({ bytes: 4096 }) },
  target: 2,
  rate: { of: 'descriptors', count: 1 },
  run: modelTiming({ bytes: 4096, way: 'iommu' }),
};
