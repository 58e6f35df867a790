import { cycle } from '../fixture/interrupts.js';
import { timing, warm } from '../gauge.js';
import type { Row } from '../row.js';
import { LINUX, emit } from '../yardsticks.js';

export const row: Row = {
  name: 'IMS: allocate, request, free, release; 2,048 live',
  unit: 'ns',
  yardstick: emit,
  target: 0.1 * LINUX.msiCycle,
  run: async (effort) => timing(await warm(await cycle(effort.roundMs === 0 ? 10 : 2048), effort), effort),
};
