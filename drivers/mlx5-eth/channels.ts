import { type Device, type DevresGroup, describeError } from '../../core/index.js';
import type { Mlx5Uar } from '../mlx5/api.js';
import { Channel, type ChannelSetup } from './channel.js';
import type { ChannelStatistics } from './statistics.js';

/** The channels of a device that is open: a group in its ledger, which they leave together. */
export class Channels {
  readonly list: Channel[] = [];
  readonly #group: DevresGroup;
  readonly #statistics: readonly ChannelStatistics[];

  /**
   * Makes channels, and what `steer` makes for their receive queues; then they work. What fails is undone.
   * @param statistics one for each; channel `n` has vector `n`, or the last there is
   * @throws {Errno} as the commands
   */
  static async open(
    setup: ChannelSetup,
    statistics: readonly ChannelStatistics[],
    steer: (channels: readonly Channel[]) => Promise<void>,
  ): Promise<Channels> {
    const channels = new Channels(setup, statistics);
    try {
      await channels.#open(setup, steer);
    } catch (error) {
      await channels.#undo(setup.dev);
      throw error;
    }
    return channels;
  }

  private constructor(setup: ChannelSetup, statistics: readonly ChannelStatistics[]) {
    this.#group = setup.dev.devres.group('channels');
    this.#statistics = statistics;
  }

  /** Packets that found no buffer, since this was opened. A device that does not answer any more has none to tell. */
  async outOfBuffer(): Promise<number> {
    let total = 0;
    for (const { rx } of this.list) total += await rx.rq.outOfBuffer();
    return total;
  }

  /** They stop, and go. */
  async close(): Promise<void> {
    await this.#group.release();
  }

  async #open(setup: ChannelSetup, steer: (channels: readonly Channel[]) => Promise<void>): Promise<void> {
    const { dev, core } = setup;
    const pages = await doorbells(setup, this.#statistics.length);
    for (const [index, statistics] of this.#statistics.entries()) {
      const uar = pages[index % pages.length]!;
      this.list.push(await Channel.create(setup, { index, vector: index % core.compVectorCount, uar, statistics }));
    }
    // In the ledger behind the queues, so that nothing uses them when they go; and in front of what sends packets to them.
    dev.devres.defer('active channels', () => this.#deactivate());
    for (const channel of this.list) await channel.activate();
    await steer(this.list);
    this.#group.close();
  }

  /** What made it fail is what its user is to know. */
  async #undo(dev: Device): Promise<void> {
    try {
      await this.#group[Symbol.asyncDispose]();
    } catch (error) {
      dev.log('err', `channels that could not be opened: ${describeError(error)}`, 'undo_failed');
    }
  }

  async #deactivate(): Promise<void> {
    for (const channel of this.list) channel.deactivate();
    for (const channel of this.list) await channel.end();
  }
}

/**
 * The pages of doorbells that channels take in turns.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/en_common.c mlx5e_create_mdev_resources
 */
async function doorbells({ core, dev }: ChannelSetup, channels: number): Promise<readonly Mlx5Uar[]> {
  const count = Math.min(core.channelDoorbells, channels);
  if (count === 0) return [core.uar];
  const pages: Mlx5Uar[] = [];
  while (pages.length < count) pages.push(await core.allocUar(dev));
  return pages;
}
