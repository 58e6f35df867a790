import { modelTiming } from '../fixture/descriptors.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, in 64 queues',
  unit: 'ns',
  yardstick: { name: 'in one queue', prepare: modelTiming() },
  target: 1.5,
  rate: { of: 'descriptors', count: 1 },
  run: modelTiming({ queues: 64 }),
};
