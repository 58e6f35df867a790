import { driverTiming } from '../fixture/descriptors.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, with interrupts',
  unit: 'ns',
  yardstick: { name: 'polled', prepare: driverTiming() },
  target: 2,
  rate: { of: 'descriptors', count: 1 },
  run: driverTiming({ by: 'msix' }),
};
