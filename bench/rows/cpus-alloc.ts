import { cycle } from '../fixture/interrupts.js';
import { timed, timing, warm } from '../gauge.js';
import type { Row } from '../row.js';

const load = (cpus: number) => cycle(100, { cpus });

export const row: Row = {
  name: '1,024 CPUs: allocate to release of an interrupt',
  unit: 'ns',
  yardstick: timed('4 CPUs', async (effort) => warm(await load(4), effort)),
  target: 1.5,
  run: async (effort) => timing(await warm(await load(1024), effort), effort),
};
