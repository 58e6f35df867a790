import { cycle, managed } from '../fixture/auxiliary.js';
import { timed, timing } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'with 5 resources and an action, 10,000 alive',
  unit: 'ns',
  yardstick: timed('1 alive', () => cycle(1, managed)),
  target: 4,
  run: (effort) => timing(cycle(10_000, managed), effort),
};
