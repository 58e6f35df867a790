import { type Coalesce, type Device, type Irqs, Napi, type NapiPoller, NetRx, type NetNode } from '../../core/index.js';
import { type CqClient, DoorbellRecords } from '../lib/mlx5/index.js';
import type { Mlx5Child, Mlx5Uar } from '../mlx5/api.js';
import { ChannelModeration, firstModeration } from './adaptive.js';
import { Rx } from './rx.js';
import type { ChannelStatistics } from './statistics.js';
import { Tx } from './tx.js';

/** What all channels of a device have in common. */
export interface ChannelSetup {
  readonly core: Mlx5Child;
  readonly dev: Device;
  readonly irqs: Irqs;
  readonly node: NetNode;
  readonly logSqSize: number;
  readonly logRqSize: number;
  readonly slotBytes: number;
  readonly coalesce: Coalesce;
  readonly leavesBy: number | undefined;
}

/** What is a channel's own. */
export interface ChannelOptions {
  readonly index: number;
  /** Of its event queue. */
  readonly vector: number;
  /** The page of its doorbells. */
  readonly uar: Mlx5Uar;
  readonly statistics: ChannelStatistics;
}

/**
 * A transmit and a receive ring that share an event queue, and so an interrupt: it schedules their poll, which arms them again when nothing
 * is left.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/en_txrx.c
 */
export class Channel implements NapiPoller, CqClient {
  readonly napi: Napi;
  readonly #core: Mlx5Child;
  readonly #irqs: Irqs;
  readonly #statistics: ChannelStatistics;
  #tx: Tx | undefined = undefined;
  #rx: Rx | undefined = undefined;
  #moderation: ChannelModeration | undefined = undefined;

  /** Makes its queues, in state reset. */
  static async create(setup: ChannelSetup, { index, vector, uar, statistics }: ChannelOptions): Promise<Channel> {
    const { core, dev, node, logSqSize, logRqSize, slotBytes, coalesce, leavesBy } = setup;
    const eqn = await core.compEqn(vector);
    const channel = new Channel(setup, vector, statistics);
    const records = new DoorbellRecords(core, dev);
    const both = { core, dev, node, index, eqn, slotBytes, records, uar, client: channel, statistics };
    const first = firstModeration(coalesce);
    const tx = await Tx.create({ ...both, logSize: logSqSize, periodUs: first.tx.us, maxCount: first.tx.frames, leavesBy });
    const rx = await Rx.create({ ...both, logSize: logRqSize, periodUs: first.rx.us, maxCount: first.rx.frames });
    channel.#tx = tx;
    channel.#rx = rx;
    channel.#moderation = new ChannelModeration(dev, core.clock, statistics, rx.cq, tx.cq, coalesce);
    return channel;
  }

  private constructor(
    { core, dev, irqs }: ChannelSetup,
    readonly vector: number,
    statistics: ChannelStatistics,
  ) {
    this.#core = core;
    this.#irqs = irqs;
    this.#statistics = statistics;
    this.napi = new Napi(
      dev,
      NetRx.of(dev, (run) => irqs.later(run)),
      this,
    );
  }

  get tx(): Tx {
    return this.#tx!;
  }

  get rx(): Rx {
    return this.#rx!;
  }

  get moderation(): ChannelModeration {
    return this.#moderation!;
  }

  /** It works. @see Linux 7.2 en_main.c mlx5e_activate_channel */
  async activate(): Promise<void> {
    this.napi.enable();
    await this.rx.activate();
    await this.tx.activate();
    // The first poll arms.
    this.napi.schedule(this.#irqs.core.currentCpu);
  }

  /** It is not polled any more when this has returned. @see Linux 7.2 en_main.c mlx5e_deactivate_channel */
  deactivate(): void {
    this.tx.deactivate();
    this.rx.deactivate();
    this.napi.disable();
  }

  /** What its halves were doing is over. */
  async end(): Promise<void> {
    await this.moderation.end();
    await this.tx.end();
    await this.rx.end();
  }

  /** In interrupt context. @see Linux 7.2 en_txrx.c mlx5e_completion_event */
  completed(): void {
    this.#statistics.events++;
    this.napi.schedule(this.#irqs.core.currentCpu);
  }

  /** @see Linux 7.2 en_txrx.c mlx5e_napi_poll */
  poll(budget: number): number {
    const tx = this.#tx!;
    const rx = this.#rx!;
    const statistics = this.#statistics;
    statistics.poll++;
    const hasMore = tx.poll();
    if (budget === 0) return 0;
    let work = rx.poll(budget);
    rx.refill();
    if (hasMore || work === budget) {
      if (this.#isOnItsCpu()) return budget;
      // Its interrupt has moved: by completing it, the next poll is where that comes.
      statistics.affChange++;
      if (work === budget) work--;
    }
    if (!this.napi.completeDone(work)) return work;
    statistics.arm++;
    this.#moderation!.sample();
    tx.cq.arm();
    rx.cq.arm();
    return work;
  }

  #isOnItsCpu(): boolean {
    return this.#core.compCpus(this.vector)?.has(this.napi.cpu) ?? true;
  }
}
