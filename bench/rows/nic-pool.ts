import { vectorUsers } from '../fixture/vector-users.js';
import { timed, timing, warm } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'vector pool: request and release, 10,000 users',
  unit: 'ns',
  yardstick: timed('200 users', async (effort) => warm(await vectorUsers(200), effort)),
  target: 1.5,
  run: async (effort) => timing(await warm(await vectorUsers(10_000), effort), effort),
};
