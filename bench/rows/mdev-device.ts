import { difference } from '../fixture/memory.js';
import { subDevices } from '../fixture/sub-devices.js';
import type { Row } from '../row.js';
import { kibibyte } from '../yardsticks.js';

export const row: Row = {
  name: 'memory of a sub-device of a shared queue',
  unit: 'bytes',
  yardstick: kibibyte,
  target: 16,
  run: () => difference((count) => subDevices(count, false)),
};
