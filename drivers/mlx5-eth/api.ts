import { type Token, token } from '../../core/index.js';

/** How network devices of the adapter are made; all of it has a default. */
export interface Mlx5EthOptions {
  /** Channels at first; default one for each completion vector. */
  readonly channels?: number;
  /** Binary logarithms of the entries of rings, 6 to 13; default 10, of sub-functions 7 and 8, of representors 7. */
  readonly logSqSize?: number;
  readonly logRqSize?: number;
  /** Whether interrupt moderation adapts to the traffic at first; default false: 16 us, 32 packets. */
  readonly adaptiveRx?: boolean;
  /** As {@link adaptiveRx}, of what is sent. */
  readonly adaptiveTx?: boolean;
}

/** Bound where other than the defaults are wanted. */
export const Mlx5EthOptions: Token<Mlx5EthOptions> = token<Mlx5EthOptions>('Mlx5EthOptions');
