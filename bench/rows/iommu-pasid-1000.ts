import { accesses } from '../fixture/translation.js';
import { timed, timing } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'the same, in one of 1,000',
  unit: 'ns',
  yardstick: timed('the only one', () => accesses({ way: 'known', pasids: 1 })),
  target: 1.5,
  run: (effort) => timing(accesses({ way: 'known', pasids: 1000 }), effort),
};
