import { ledger } from '../fixture/ledger.js';
import { timing } from '../gauge.js';
import type { Row } from '../row.js';
import { LINUX, emit } from '../yardsticks.js';

export const row: Row = {
  name: 'devres: add and release one of 10',
  unit: 'ns',
  yardstick: emit,
  target: 0.5 * LINUX.devres10,
  run: (effort) => timing(ledger(10), effort, 10),
};
