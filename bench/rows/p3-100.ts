import { cycle, managed } from '../fixture/auxiliary.js';
import { timing } from '../gauge.js';
import type { Row } from '../row.js';
import { LINUX, emit } from '../yardsticks.js';

export const row: Row = {
  name: 'with 5 resources and an action, 100 alive',
  unit: 'ns',
  yardstick: emit,
  target: 0.2 * LINUX.cycleManaged,
  run: (effort) => timing(cycle(100, managed), effort),
};
