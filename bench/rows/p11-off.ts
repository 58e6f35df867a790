import { register } from 'node:module';
import { cycle, trivial } from '../fixture/auxiliary.js';
import { timed, timing } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'trace points that are off',
  unit: 'ns',
  yardstick: timed('no trace points', async () => {
    register('../fixture/untraced.js', import.meta.url);
    const url = new URL('../fixture/auxiliary.js?untraced', import.meta.url).href;
    const copy = (await import(url)) as typeof import('../fixture/auxiliary.js');
    return copy.cycle(1, copy.trivial);
  }),
  target: 1.05,
  run: (effort) => timing(cycle(1, trivial), effort),
};
