import { modelTiming } from '../fixture/descriptors.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, batches with interrupts',
  unit: 'ns',
  yardstick: { name: 'no interrupts', prepare: modelTiming({ batch: 64 }) },
  target: 1.25,
  rate: { of: 'descriptors', count: 1 },
  run: modelTiming({ batch: 64, interrupts: true }),
};
