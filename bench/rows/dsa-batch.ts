import { modelTiming } from '../fixture/descriptors.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'dsa model: member of a batch of 64, no-op',
  unit: 'ns',
  yardstick: { name: 'by itself', prepare: modelTiming() },
  target: 1,
  rate: { of: 'descriptors', count: 1 },
  run: modelTiming({ batch: 64 }),
};
