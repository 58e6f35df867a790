import { fileURLToPath } from 'node:url';
import { fixed, program, sum } from '../gauge.js';
import type { Row } from '../row.js';

const CLI = fileURLToPath(new URL('../../cli/main.js', import.meta.url));

export const row: Row = {
  name: 'backplane --version',
  unit: 'ms',
  yardstick: sum('node + 60 ms', [1, program('node', '--eval', '0')], [1, fixed('60 ms', 60)]),
  target: 1,
  run: (effort) => program('backplane --version', CLI, '--version').prepare(effort),
};
