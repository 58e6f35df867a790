import { register } from 'node:module';
import { delivery, requested } from '../fixture/interrupts.js';
import { timed, timing } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'trace points of an interrupt that are off',
  unit: 'ns',
  yardstick: timed('no trace points', async () => {
    register('../fixture/untraced.js', import.meta.url);
    const url = new URL('../fixture/interrupts.js?untraced', import.meta.url).href;
    const copy = (await import(url)) as typeof import('../fixture/interrupts.js');
    return copy.delivery(await copy.requested(1));
  }),
  target: 1.1,
  run: async (effort) => timing(delivery(await requested(1)), effort),
};
