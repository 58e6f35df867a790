import { card, store } from '../fixture/card.js';
import { cpusFor } from '../fixture/interrupts.js';
import { timing } from '../gauge.js';
import type { Row } from '../row.js';
import { LINUX, emit } from '../yardsticks.js';

const COUNT = 2048;

export const row: Row = {
  name: 'from an index of 2,048 to its interrupt',
  unit: 'ns',
  yardstick: emit,
  target: 0.5 * LINUX.lookup,
  async run(effort) {
    const made = await card({ slots: COUNT, cpus: cpusFor(COUNT) });
    const domain = store(made);
    domain.allocRange(0, COUNT - 1);
    const { irqs } = made.kernel;
    return timing((calls) => {
      let total = 0;
      for (let i = 0; i < calls; i++) total = (total + irqs.desc(domain.lookup(i & (COUNT - 1))).depth) | 0;
      return total;
    }, effort);
  },
};
