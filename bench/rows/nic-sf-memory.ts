import { manyFunctions } from '../fixture/functions.js';
import { difference } from '../fixture/memory.js';
import type { Row } from '../row.js';
import { kibibyte } from '../yardsticks.js';

export const row: Row = {
  name: 'memory of a sub-function that was probed, with the model',
  unit: 'bytes',
  yardstick: kibibyte,
  target: 64,
  run: () => difference(manyFunctions),
};
