import { delivery, requested } from '../fixture/interrupts.js';
import { timing } from '../gauge.js';
import type { Row } from '../row.js';
import { methodCall } from '../yardsticks.js';

export const row: Row = {
  name: 'the same against a call through three levels',
  unit: 'ns',
  yardstick: methodCall,
  run: async (effort) => timing(delivery(await requested(1)), effort),
};
