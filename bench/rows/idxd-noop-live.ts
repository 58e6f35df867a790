import { driverTiming } from '../fixture/descriptors.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, one of 64 channels used',
  unit: 'ns',
  yardstick: { name: 'of one channel', prepare: driverTiming() },
  target: 1.25,
  rate: { of: 'descriptors', count: 1 },
  run: driverTiming({ queues: 64, used: 1 }),
};
