import { cycle } from '../fixture/interrupts.js';
import { timed, timing, warm } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, 65,536 live against 1',
  unit: 'ns',
  yardstick: timed('1 live', async (effort) => warm(await cycle(1), effort)),
  target: 1.5,
  run: async (effort) => timing(await warm(await cycle(effort.roundMs === 0 ? 10 : 65_536), effort), effort),
};
