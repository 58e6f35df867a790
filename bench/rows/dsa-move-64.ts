import { modelTiming } from '../fixture/descriptors.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, in 64 queues',
  unit: 'ns',
  yardstick: { name: 'in one queue', prepare: modelTiming({ bytes: 4096 }) },
  target: 1.5,
  rate: { of: 'descriptors', count: 1 },
  run: modelTiming({ bytes: 4096, queues: 64 }),
};
