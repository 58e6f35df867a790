import { driverTiming } from '../fixture/descriptors.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, in 64 channels',
  unit: 'ns',
  yardstick: { name: 'in one channel', prepare: driverTiming({ bytes: 4096 }) },
  target: 1.5,
  rate: { of: 'descriptors', count: 1 },
  run: driverTiming({ bytes: 4096, queues: 64 }),
};
