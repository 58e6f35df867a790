import { Parts, managed } from '../fixture/auxiliary.js';
import { footprint } from '../fixture/memory.js';
import type { Row } from '../row.js';
import { kibibyte } from '../yardsticks.js';

export const row: Row = {
  name: 'memory of a bound device with 6 resources',
  unit: 'bytes',
  yardstick: kibibyte,
  target: 1.5,
  run: (effort) =>
    footprint(() => {
      const parts = new Parts(managed);
      return (id) => parts.create(id);
    }, effort),
};
