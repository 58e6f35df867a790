import { cycle, trivial } from '../fixture/auxiliary.js';
import { timed, timing } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, added for a driver',
  unit: 'ns',
  yardstick: timed('1 alive', () => cycle(1, trivial, 'createChild')),
  target: 4,
  run: (effort) => timing(cycle(10_000, trivial, 'createChild'), effort),
};
