import { card, store } from '../fixture/card.js';
import { cpusFor, powerOfTwo } from '../fixture/interrupts.js';
import { footprint } from '../fixture/memory.js';
import type { Row } from '../row.js';
import { kibibyte } from '../yardsticks.js';

const COUNT = 10_000;
const nothing = (): void => {};

export const row: Row = {
  name: 'memory of a requested interrupt',
  unit: 'bytes',
  yardstick: kibibyte,
  target: 1.2,
  run: (effort) =>
    footprint(async () => {
      const made = await card({ slots: powerOfTwo(COUNT), cpus: cpusFor(COUNT) });
      const domain = store(made);
      return () => made.kernel.irqs.request(made.dev, domain.alloc().virq, nothing);
    }, effort),
};
