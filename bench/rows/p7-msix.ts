import { cycleMsix } from '../fixture/interrupts.js';
import { timing, warm } from '../gauge.js';
import type { Row } from '../row.js';
import { LINUX, emit } from '../yardsticks.js';

export const row: Row = {
  name: 'the same by MSI-X, 2,047 live',
  unit: 'ns',
  yardstick: emit,
  target: 0.1 * LINUX.msiCycle,
  run: async (effort) => timing(await warm(await cycleMsix(effort.roundMs === 0 ? 10 : 2047), effort), effort),
};
