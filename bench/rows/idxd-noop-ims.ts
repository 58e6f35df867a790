import { driverTiming } from '../fixture/descriptors.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, interrupts by IMS',
  unit: 'ns',
  yardstick: { name: 'by MSI-X', prepare: driverTiming({ by: 'msix' }) },
  target: 1.25,
  rate: { of: 'descriptors', count: 1 },
  run: driverTiming({ by: 'ims' }),
};
