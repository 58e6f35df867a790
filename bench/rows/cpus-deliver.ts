import { requested, roundRobin } from '../fixture/interrupts.js';
import { timed, timing } from '../gauge.js';
import type { Row } from '../row.js';

const load = async (cpus: number) => roundRobin(await requested(512, 'shared', { cpus }));

export const row: Row = {
  name: '1,024 CPUs: interrupts of all of them in turn',
  unit: 'ns',
  yardstick: timed('4 CPUs', () => load(4)),
  target: 1.5,
  run: async (effort) => timing(await load(1024), effort),
};
