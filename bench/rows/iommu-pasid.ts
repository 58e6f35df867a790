import { accesses } from '../fixture/translation.js';
import { timed, timing } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'a device reads 4 bytes in an address space',
  unit: 'ns',
  yardstick: timed('without PASID', () => accesses({ way: 'known' })),
  target: 1.5,
  run: (effort) => timing(accesses({ way: 'known', pasids: 1 }), effort),
};
