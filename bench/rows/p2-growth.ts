import { cycle, trivial } from '../fixture/auxiliary.js';
import { timed, timing } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, 10,000 alive against 1',
  unit: 'ns',
  yardstick: timed('1 alive', () => cycle(1, trivial)),
  target: 4,
  run: (effort) => timing(cycle(10_000, trivial), effort),
};
