import { driverLoad } from '../fixture/descriptors.js';
import { allocated } from '../fixture/memory.js';
import type { Row } from '../row.js';
import { kibibyte } from '../yardsticks.js';

export const row: Row = {
  name: 'dma channel: what a no-op allocates, interrupts',
  unit: 'bytes',
  yardstick: kibibyte,
  target: 1 / 1024,
  run: async (effort) => allocated(await driverLoad({ by: 'msix' }), effort),
};
