import { functionCycles } from '../fixture/functions.js';
import { timed, timing, warm } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, 100 alive against 1',
  unit: 'ns',
  yardstick: timed('1 alive', async (effort) => warm(await functionCycles(1), effort)),
  target: 1.5,
  run: async (effort) => timing(await warm(await functionCycles(effort.roundMs === 0 ? 10 : 100), effort), effort),
};
