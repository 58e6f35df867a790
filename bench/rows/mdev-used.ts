import { difference } from '../fixture/memory.js';
import { subDevices } from '../fixture/sub-devices.js';
import type { Row } from '../row.js';
import { kibibyte } from '../yardsticks.js';

export const row: Row = {
  name: 'the same, open and enabled, with its interrupts',
  unit: 'bytes',
  yardstick: kibibyte,
  target: 32,
  run: () => difference((count) => subDevices(count, true)),
};
