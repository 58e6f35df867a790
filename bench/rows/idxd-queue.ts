import { Channels } from '../fixture/channels.js';
import { difference } from '../fixture/memory.js';
import type { Row } from '../row.js';
import { kibibyte } from '../yardsticks.js';

export const row: Row = {
  name: 'memory of a dma channel of 64 entries, with the model',
  unit: 'bytes',
  yardstick: kibibyte,
  target: 48,
  run: () => difference((queues) => Channels.open({ queues })),
};
