import { modelTiming } from '../fixture/descriptors.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, one of 128 queues used',
  unit: 'ns',
  yardstick: { name: 'of one queue', prepare: modelTiming() },
  target: 1.25,
  rate: { of: 'descriptors', count: 1 },
  run: modelTiming({ queues: 128, used: 1 }),
};
