import { functionCycles } from '../fixture/functions.js';
import { timing, warm } from '../gauge.js';
import type { Row } from '../row.js';
import { awaiting } from '../yardsticks.js';

export const row: Row = {
  name: 'sub-function: add, activate, probe, delete',
  unit: 'ns',
  yardstick: awaiting,
  run: async (effort) => timing(await warm(await functionCycles(1), effort), effort),
};
