import { modelTiming } from '../fixture/descriptors.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, moves of 4 KiB',
  unit: 'ns',
  yardstick: { name: 'by itself', prepare: modelTiming({ bytes: 4096 }) },
  target: 1,
  rate: { of: 'descriptors', count: 1 },
  run: modelTiming({ batch: 64, bytes: 4096 }),
};
