import { difference } from '../fixture/memory.js';
import { Ports } from '../fixture/ports.js';
import type { Row } from '../row.js';
import { kibibyte } from '../yardsticks.js';

export const row: Row = {
  name: 'memory of a pair of queues of 64 entries, twice',
  unit: 'bytes',
  yardstick: kibibyte,
  target: 1024,
  run: () => difference((queues) => Ports.open({ queues, logRing: 6 })),
};
