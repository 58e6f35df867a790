import { driverTiming, modelTiming } from '../fixture/descriptors.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'dma channel: no-op, polled',
  unit: 'ns',
  yardstick: { name: 'model alone', prepare: modelTiming() },
  target: 3,
  rate: { of: 'descriptors', count: 1 },
  run: driverTiming(),
};
