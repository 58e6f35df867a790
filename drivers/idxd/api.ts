import { type Token, token } from '../../core/index.js';

/** How the driver behaves; all of it has a default. */
export interface IdxdOptions {
  /**
   * What the completions of a queue interrupt with; default `msix` for queues that have an entry in the table, and `ims` for the others.
   */
  readonly interrupts?: 'msix' | 'ims';
  /** Traffic classes of groups can be chosen on devices that are not made for it; default false. Linux's `tc_override`. */
  readonly trafficClassOverride?: boolean;
}

/** Bound where other than the defaults are wanted. */
export const IdxdOptions: Token<IdxdOptions> = token<IdxdOptions>('IdxdOptions');
