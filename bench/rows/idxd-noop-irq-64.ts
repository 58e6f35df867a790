import { driverTiming } from '../fixture/descriptors.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, in 64 channels, with interrupts',
  unit: 'ns',
  yardstick: { name: 'in one channel', prepare: driverTiming({ by: 'msix' }) },
  target: 2,
  rate: { of: 'descriptors', count: 1 },
  run: driverTiming({ queues: 64, by: 'msix' }),
};
