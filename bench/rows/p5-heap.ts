import { allocated } from '../fixture/memory.js';
import { requested, wholeWay } from '../fixture/interrupts.js';
import type { Row } from '../row.js';
import { kibibyte } from '../yardsticks.js';

/** What measuring allocates, spread over all interrupts, is far below a byte each. */
export const row: Row = {
  name: 'interrupt: what device to handler allocates',
  unit: 'bytes',
  yardstick: kibibyte,
  target: 1 / 1024,
  run: async (effort) => allocated(wholeWay(await requested(1)), effort),
};
