import { driverTiming } from '../fixture/descriptors.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, one under way, with interrupts',
  unit: 'ns',
  yardstick: { name: '64 under way', prepare: driverTiming({ by: 'msix' }) },
  target: 4,
  rate: { of: 'descriptors', count: 1 },
  run: driverTiming({ depth: 1, by: 'msix' }),
};
