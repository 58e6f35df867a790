import { move } from '../fixture/interrupts.js';
import { timed, timing, warm } from '../gauge.js';
import type { Row } from '../row.js';

const load = (cpus: number) => move(cpus);

export const row: Row = {
  name: '1,024 CPUs: move an interrupt to another',
  unit: 'ns',
  yardstick: timed('4 CPUs', async (effort) => warm(await load(4), effort)),
  target: 1.5,
  run: async (effort) => timing(await warm(await load(1024), effort), effort),
};
