import { delivery, requested } from '../fixture/interrupts.js';
import { timed, timing } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'trace points of an interrupt that count',
  unit: 'ns',
  yardstick: timed('off', async () => delivery(await requested(1))),
  async run(effort) {
    const made = await requested(1);
    let events = 0;
    made.kernel.irqs.core.tracer = {
      event() {
        events++;
      },
    };
    const load = delivery(made);
    return timing((calls) => [load(calls), events], effort);
  },
};
