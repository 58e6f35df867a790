import { driverTiming, modelTiming } from '../fixture/descriptors.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'dma channel: move of 4 KiB, polled',
  unit: 'ns',
  yardstick: { name: 'model alone', prepare: modelTiming({ bytes: 4096 }) },
  target: 2.5,
  rate: { of: 'descriptors', count: 1 },
  run: driverTiming({ bytes: 4096 }),
};
