import { cycle, trivial } from '../fixture/auxiliary.js';
import { timing } from '../gauge.js';
import type { Row } from '../row.js';
import { LINUX, emit } from '../yardsticks.js';

export const row: Row = {
  name: 'the same, 100 alive',
  unit: 'ns',
  yardstick: emit,
  target: 0.15 * LINUX.cycle,
  run: (effort) => timing(cycle(100, trivial), effort),
};
