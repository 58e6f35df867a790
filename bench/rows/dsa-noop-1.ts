import { modelTiming } from '../fixture/descriptors.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, one under way',
  unit: 'ns',
  yardstick: { name: '64 under way', prepare: modelTiming() },
  target: 4,
  rate: { of: 'descriptors', count: 1 },
  run: modelTiming({ depth: 1 }),
};
