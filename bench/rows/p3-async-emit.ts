import { waiting, waitingCycle } from '../fixture/auxiliary.js';
import { timing } from '../gauge.js';
import type { Row } from '../row.js';
import { LINUX, emit } from '../yardsticks.js';

export const row: Row = {
  name: 'with a probe that waits for one promise',
  unit: 'ns',
  yardstick: emit,
  target: 0.25 * LINUX.cycle,
  run: (effort) => timing(waitingCycle(waiting), effort),
};
