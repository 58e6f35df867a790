import { modelTiming } from '../fixture/descriptors.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'dsa model: move of 4 KiB',
  unit: 'ns',
  yardstick: { name: 'no-op', prepare: modelTiming() },
  target: 3,
  rate: { of: 'descriptors', count: 1 },
  run: modelTiming({ bytes: 4096 }),
};
