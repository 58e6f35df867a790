import { cpusFor, delivery, requested, roundRobin } from '../fixture/interrupts.js';
import { timed, timing } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'interrupt: 2,048 in turn',
  unit: 'ns',
  yardstick: timed('1', async () => delivery(await requested(1))),
  target: 2,
  async run(effort) {
    const count = effort.roundMs === 0 ? 10 : 2048;
    return timing(roundRobin(await requested(count, 'shared', { cpus: cpusFor(count) })), effort);
  },
};
