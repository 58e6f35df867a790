import { accesses } from '../fixture/translation.js';
import { timed, timing } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, 4 KiB',
  unit: 'ns',
  yardstick: timed('IOMMU asked', () => accesses({ way: 'asked', bytes: 4096 })),
  target: 2,
  run: (effort) => timing(accesses({ way: 'walk', bytes: 4096 }), effort),
};
