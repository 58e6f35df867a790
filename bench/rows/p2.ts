import { cycle, trivial } from '../fixture/auxiliary.js';
import { timing } from '../gauge.js';
import type { Row } from '../row.js';
import { LINUX, emit } from '../yardsticks.js';

export const row: Row = {
  name: 'the same, 10,000 alive',
  unit: 'ns',
  yardstick: emit,
  target: 0.2 * LINUX.cycle,
  run: (effort) => timing(cycle(10_000, trivial), effort),
};
