import { delivery, requested } from '../fixture/interrupts.js';
import { timing } from '../gauge.js';
import type { Row } from '../row.js';
import { emit } from '../yardsticks.js';

export const row: Row = {
  name: 'interrupt: (CPU, vector) to the handler',
  unit: 'ns',
  yardstick: emit,
  target: 1,
  run: async (effort) => timing(delivery(await requested(1)), effort),
};
