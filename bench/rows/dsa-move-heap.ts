import { modelLoad } from '../fixture/descriptors.js';
import { allocated } from '../fixture/memory.js';
import type { Row } from '../row.js';
import { kibibyte } from '../yardsticks.js';

export const row: Row = {
  name: 'dsa model: what a move of 4 KiB allocates',
  unit: 'bytes',
  yardstick: kibibyte,
  target: 1 / 1024,
  run: async (effort) => allocated(await modelLoad({ bytes: 4096, way: 'iommu' }), effort),
};
