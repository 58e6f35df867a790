import type { Device, NetNode } from '../../core/index.js';
import type { CqClient, DoorbellRecords } from '../lib/mlx5/index.js';
import type { Mlx5Child, Mlx5Uar } from '../mlx5/api.js';
import type { ChannelStatistics } from './statistics.js';

/** What a ring of a channel is made of. */
export interface RingSetup {
  readonly core: Mlx5Child;
  readonly dev: Device;
  readonly node: NetNode;
  readonly index: number;
  readonly eqn: number;
  /** Binary logarithm of its entries. */
  readonly logSize: number;
  /** Of one buffer: a power of two. */
  readonly slotBytes: number;
  readonly periodUs: number;
  readonly maxCount: number;
  readonly client: CqClient;
  readonly records: DoorbellRecords;
  /** The page of its doorbells. */
  readonly uar: Mlx5Uar;
  readonly statistics: ChannelStatistics;
}
