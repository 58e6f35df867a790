import { accesses } from '../fixture/translation.js';
import { timed, timing } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'a device reads 4 bytes, translation known',
  unit: 'ns',
  yardstick: timed('not translated', () => accesses({ way: 'none' })),
  target: 3,
  run: (effort) => timing(accesses({ way: 'known' }), effort),
};
