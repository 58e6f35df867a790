import { modelTiming } from '../fixture/descriptors.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, with interrupts',
  unit: 'ns',
  yardstick: { name: 'no interrupts', prepare: modelTiming() },
  target: 2.5,
  rate: { of: 'descriptors', count: 1 },
  run: modelTiming({ interrupts: true }),
};
