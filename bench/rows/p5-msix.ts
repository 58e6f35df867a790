import { wholeWayMsix } from '../fixture/interrupts.js';
import { timing } from '../gauge.js';
import type { Row } from '../row.js';
import { emit } from '../yardsticks.js';

export const row: Row = {
  name: 'interrupt: device to handler, MSI-X, remapped',
  unit: 'ns',
  yardstick: emit,
  target: 4,
  run: async (effort) => timing(await wholeWayMsix({}), effort),
};
