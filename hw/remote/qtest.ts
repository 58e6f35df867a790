export { QtestHost } from './qtest-host.js';
export type { QtestOptions } from './qtest-options.js';
