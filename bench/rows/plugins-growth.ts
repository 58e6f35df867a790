import { loadAndUnload } from '../fixture/plugins.js';
import { timing } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'one of 1,000 plugins against one of 10',
  unit: 'ns',
  yardstick: { name: 'one of 10', prepare: async (effort) => timing(await loadAndUnload(10), effort, 10) },
  run: async (effort) => timing(await loadAndUnload(1000), effort, 1000),
};
