import { interrupts } from '../fixture/ports.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'nic: interrupts of 1,000 packets, moderated',
  unit: 'times',
  yardstick: { name: 'not moderated', prepare: () => interrupts({ bytes: 64, batch: 1, isPlain: true }, 1000) },
  target: 1 / 12,
  run: () => interrupts({ bytes: 64, batch: 1 }, 1000),
};
