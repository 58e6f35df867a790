import { allocated } from '../fixture/memory.js';
import { portsLoad } from '../fixture/ports.js';
import type { Row } from '../row.js';
import { kibibyte } from '../yardsticks.js';

export const row: Row = {
  name: 'nic: what a packet of 64 bytes allocates',
  unit: 'bytes',
  yardstick: kibibyte,
  target: 1 / 1024,
  run: async (effort) => allocated(await portsLoad({ bytes: 64, batch: 32 }), effort),
};
