import { cycle } from '../fixture/interrupts.js';
import { timed, timing, warm } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, an array in a BAR against no store',
  unit: 'ns',
  yardstick: timed('no store', async (effort) => warm(await cycle(1), effort)),
  run: async (effort) => timing(await warm(await cycle(1, { place: 'registers' }), effort), effort),
};
