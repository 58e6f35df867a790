import { requested, roundRobin } from '../fixture/interrupts.js';
import { timing } from '../gauge.js';
import type { Row } from '../row.js';
import { emit } from '../yardsticks.js';

export const row: Row = {
  name: 'interrupt: 64 in turn, each with other code',
  unit: 'ns',
  yardstick: emit,
  target: 1.25,
  run: async (effort) => timing(roundRobin(await requested(64, 'distinct')), effort),
};
