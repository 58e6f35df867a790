import { ledger } from '../fixture/ledger.js';
import { timing } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'devres: one of 100,000 against one of 10',
  unit: 'ns',
  yardstick: { name: 'one of 10', prepare: (effort) => timing(ledger(10), effort, 10) },
  target: 4,
  run: (effort) => timing(ledger(100_000), effort, 100_000),
};
