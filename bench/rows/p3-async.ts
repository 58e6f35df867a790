import { cycle, trivial, waiting, waitingCycle } from '../fixture/auxiliary.js';
import { before, sum, timed, timing } from '../gauge.js';
import type { Row } from '../row.js';
import { awaiting } from '../yardsticks.js';

export const row: Row = {
  name: 'with a probe that waits for one promise',
  unit: 'ns',
  // The first asynchronous probe makes every promise of the process dearer.
  yardstick: before(sum('trivial + 4 awaits', [1, timed('trivial', () => cycle(1, trivial))], [4, awaiting])),
  target: 1,
  run: (effort) => timing(waitingCycle(waiting), effort),
};
