import type { Device, Driver } from '../device/index.js';
import { type Token, token } from '../lib/token.js';

/**
 * A driver on a bus that a plugin brought, and the token that a plugin binds it to.
 *
 * A plugin brings a bus by binding a class that extends `Bus`: it is registered for as long as the plugin is loaded. Who has a driver on
 * it requires that plugin.
 * @example
 * ```ts
 * export default new Plugin('idxd', ({ bind }) => {
 *   bind(DsaBus).to(DsaBus);
 *   bind(BusDriver).to(DmaengineDriver);
 * });
 * ```
 */
export interface BusDriver<D extends Device = Device, S = unknown> extends Driver<D, S> {
  /** Name of its bus. */
  readonly bus: string;
}

/** Where drivers of such buses are bound. */
export const BusDriver: Token<BusDriver> = token<BusDriver>('BusDriver');
