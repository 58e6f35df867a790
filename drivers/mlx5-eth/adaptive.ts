import { type Clock, type Coalesce, DIM_PROFILES, type Device, Dim, type Moderation, describeError } from '../../core/index.js';
import type { CompletionQueue } from '../lib/mlx5/index.js';
import type { ChannelStatistics } from './statistics.js';

/** What completion queues are made with: where one adapts, what it begins with. */
export function firstModeration({ rxUs, rxFrames, txUs, txFrames, adaptiveRx, adaptiveTx }: Coalesce): {
  readonly rx: Moderation;
  readonly tx: Moderation;
} {
  return {
    rx: adaptiveRx === true ? new Dim(DIM_PROFILES.rx).moderation : { us: rxUs, frames: rxFrames },
    tx: adaptiveTx === true ? new Dim(DIM_PROFILES.tx).moderation : { us: txUs, frames: txFrames },
  };
}

/** Interrupt moderation of one completion queue: what its user has set, or what its traffic asks for. */
class Moderated {
  readonly #cq: CompletionQueue;
  readonly #dev: Device;
  readonly #profiles: readonly Moderation[];
  #dim: Dim | undefined;
  #work: Promise<void> | undefined = undefined;

  constructor(cq: CompletionQueue, dev: Device, profiles: readonly Moderation[], isAdaptive: boolean) {
    this.#cq = cq;
    this.#dev = dev;
    this.#profiles = profiles;
    this.#dim = isAdaptive ? new Dim(profiles) : undefined;
  }

  get isAdaptive(): boolean {
    return this.#dim !== undefined;
  }

  sample(nowUs: number, packets: number, bytes: number): void {
    const dim = this.#dim!;
    if (dim.sample(nowUs, this.#cq.armSn, packets, bytes)) this.#work = this.#apply(dim);
  }

  /** @throws {Errno} as the command: it goes on as before */
  async set(isAdaptive: boolean, fixed: Moderation): Promise<void> {
    const before = this.#dim;
    if (isAdaptive && before !== undefined) return;
    await this.end();
    const dim = isAdaptive ? new Dim(this.#profiles) : undefined;
    const { us, frames } = dim?.moderation ?? fixed;
    try {
      await this.#cq.setModeration(us, frames);
    } catch (error) {
      this.#dim = before;
      throw error;
    }
    this.#dim = dim;
  }

  /** It adapts no more, and no command of its own is under way. */
  async end(): Promise<void> {
    this.#dim = undefined;
    await this.#work;
  }

  /** @see Linux 7.2 en_dim.c mlx5e_complete_dim_work */
  async #apply(dim: Dim): Promise<void> {
    // A poll is under way, which sends no commands.
    await Promise.resolve();
    try {
      const { us, frames } = dim.moderation;
      if (this.#dim === dim) await this.#cq.setModeration(us, frames);
    } catch (error) {
      this.#dev.log('warn', `completion queue ${this.#cq.cqn} keeps its moderation: ${describeError(error)}`, 'dim_failed');
    } finally {
      dim.applied();
    }
  }
}

/**
 * Interrupt moderation of a channel, which adapts to its traffic where its user wants that.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/en_dim.c, en_txrx.c mlx5e_handle_rx_dim, mlx5e_handle_tx_dim
 */
export class ChannelModeration {
  readonly #clock: Clock;
  readonly #statistics: ChannelStatistics;
  readonly #rx: Moderated;
  readonly #tx: Moderated;

  /** @param coalesce what its queues were made with: {@link firstModeration} */
  constructor(
    dev: Device,
    clock: Clock,
    statistics: ChannelStatistics,
    rx: CompletionQueue,
    tx: CompletionQueue,
    { adaptiveRx, adaptiveTx }: Coalesce,
  ) {
    this.#clock = clock;
    this.#statistics = statistics;
    this.#rx = new Moderated(rx, dev, DIM_PROFILES.rx, adaptiveRx === true);
    this.#tx = new Moderated(tx, dev, DIM_PROFILES.tx, adaptiveTx === true);
  }

  /** A poll is over, and its queues are about to be armed. */
  sample(): void {
    const rx = this.#rx;
    const tx = this.#tx;
    if (!rx.isAdaptive && !tx.isAdaptive) return;
    const statistics = this.#statistics;
    const nowUs = this.#clock.now();
    if (tx.isAdaptive) tx.sample(nowUs, statistics.txPackets, statistics.txBytes);
    if (rx.isAdaptive) rx.sample(nowUs, statistics.rxPackets, statistics.rxBytes);
  }

  /** @throws {Errno} as the command @see Linux 7.2 en_ethtool.c mlx5e_ethtool_set_coalesce */
  async set({ rxUs, rxFrames, txUs, txFrames, adaptiveRx, adaptiveTx }: Coalesce): Promise<void> {
    await this.#tx.set(adaptiveTx === true, { us: txUs, frames: txFrames });
    await this.#rx.set(adaptiveRx === true, { us: rxUs, frames: rxFrames });
  }

  /** What it was doing is over; of a channel that is polled no more. */
  async end(): Promise<void> {
    await this.#tx.end();
    await this.#rx.end();
  }
}
