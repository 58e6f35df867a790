import { Accelerator } from '../fixture/accelerator.js';
import { difference } from '../fixture/memory.js';
import type { Row } from '../row.js';
import { kibibyte } from '../yardsticks.js';

export const row: Row = {
  name: 'memory of a queue of 64 entries in the dsa model',
  unit: 'bytes',
  yardstick: kibibyte,
  target: 10,
  run: () => difference((queues) => new Accelerator({ queues })),
};
