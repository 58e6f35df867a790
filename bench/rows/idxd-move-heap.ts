import { driverLoad } from '../fixture/descriptors.js';
import { allocated } from '../fixture/memory.js';
import type { Row } from '../row.js';
import { kibibyte } from '../yardsticks.js';

export const row: Row = {
  name: 'dma channel: what a move of 4 KiB allocates',
  unit: 'bytes',
  yardstick: kibibyte,
  target: 1 / 1024,
  run: async (effort) => allocated(await driverLoad({ bytes: 4096, by: 'msix' }), effort),
};
