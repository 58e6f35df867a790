import { modelTiming } from '../fixture/descriptors.js';
import type { Row } from '../row.js';
import { emit } from '../yardsticks.js';

export const row: Row = {
  name: 'dsa model: no-op, 64 under way',
  unit: 'ns',
  yardstick: emit,
  target: 32,
  rate: { of: 'descriptors', count: 1 },
  run: modelTiming(),
};
