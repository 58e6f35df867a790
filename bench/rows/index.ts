import type { Row } from '../row.js';

type Load = () => Promise<{ readonly row: Row }>;
const of = (load: Load) => async (): Promise<Row> => (await load()).row;

/** All rows, in the order of the report. Each is loaded alone, into a process of its own. */
export const ROWS: Readonly<Record<string, () => Promise<Row>>> = {
  P1: of(() => import('./p1.js')),
  'P1-100': of(() => import('./p1-100.js')),
  P2: of(() => import('./p2.js')),
  'P2-growth': of(() => import('./p2-growth.js')),
  'P2-owned': of(() => import('./p2-owned.js')),
  P3: of(() => import('./p3.js')),
  'P3-100': of(() => import('./p3-100.js')),
  'P3-growth': of(() => import('./p3-growth.js')),
  'P3-async': of(() => import('./p3-async.js')),
  'P3-async-emit': of(() => import('./p3-async-emit.js')),
  P4: of(() => import('./p4.js')),
  P8: of(() => import('./p8.js')),
  P9: of(() => import('./p9.js')),
  'P9-100000': of(() => import('./p9-100000.js')),
  'P9-growth': of(() => import('./p9-growth.js')),
  'P11-off': of(() => import('./p11-off.js')),
  'P11-on': of(() => import('./p11-on.js')),
  'P14-import': of(() => import('./p14-import.js')),
  'P14-version': of(() => import('./p14-version.js')),
  'mmio-read': of(() => import('./mmio-read.js')),
  'mmio-write': of(() => import('./mmio-write.js')),
  'map-bar': of(() => import('./map-bar.js')),
  start: of(() => import('./start.js')),
  plugins: of(() => import('./plugins.js')),
  'plugins-growth': of(() => import('./plugins-growth.js')),
};
