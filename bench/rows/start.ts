import { Parts, trivial } from '../fixture/auxiliary.js';
import { timing } from '../gauge.js';
import type { Row } from '../row.js';
import { emit } from '../yardsticks.js';

export const row: Row = {
  name: 'new driver core with two buses, to its first probe',
  unit: 'ns',
  yardstick: emit,
  run: (effort) =>
    timing((calls) => {
      let last: unknown;
      for (let i = 0; i < calls; i++) last = new Parts(trivial);
      return last;
    }, effort),
};
