import { accesses } from '../fixture/translation.js';
import { timed, timing } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, 4 bytes, table walked',
  unit: 'ns',
  yardstick: timed('IOMMU asked', () => accesses({ way: 'asked' })),
  target: 5,
  run: (effort) => timing(accesses({ way: 'walk' }), effort),
};
