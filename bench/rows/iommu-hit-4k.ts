import { accesses } from '../fixture/translation.js';
import { timed, timing } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, 4 KiB',
  unit: 'ns',
  yardstick: timed('not translated', () => accesses({ way: 'none', bytes: 4096 })),
  target: 1.5,
  run: (effort) => timing(accesses({ way: 'known', bytes: 4096 }), effort),
};
