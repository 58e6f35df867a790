import { cpusFor, delivery, requested, roundRobin } from '../fixture/interrupts.js';
import { timed, timing } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'interrupt: 10,000 in turn, a handler each',
  unit: 'ns',
  yardstick: timed('1', async () => delivery(await requested(1))),
  async run(effort) {
    const count = effort.roundMs === 0 ? 10 : 10_000;
    return timing(roundRobin(await requested(count, 'own', { cpus: cpusFor(count) })), effort);
  },
};
