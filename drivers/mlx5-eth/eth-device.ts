import {
  type Channels as ChannelCounts,
  type Coalesce,
  type Device,
  Errno,
  type Irqs,
  NetNode,
  type NetOperations,
  type NetStatistics,
  type RingParameters,
  describeError,
} from '../../core/index.js';
import type { Mlx5Child } from '../mlx5/api.js';
import type { Mlx5EthOptions } from './api.js';
import type { Channel } from './channel.js';
import { Channels } from './channels.js';
import { Gate } from './gate.js';
import { MTU, Parameters, slotBytes } from './parameters.js';
import { ChannelStatistics, listStatistics, sumStatistics } from './statistics.js';

/**
 * After how long a stopped queue is stuck.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/en_main.c mlx5e_build_nic_netdev
 */
const WATCHDOG_US = 15_000_000;

/** What a network device of the adapter is made of. */
export interface EthSetup {
  readonly core: Mlx5Child;
  /** The part. */
  readonly dev: Device;
  readonly irqs: Irqs;
  readonly mac: Uint8Array;
  readonly maxChannels: number;
  readonly options: Mlx5EthOptions;
  /** What its port is called at the switch. */
  readonly portName?: string;
  /** The port that its packets leave by; absent: the function's own. */
  readonly leavesBy?: number;
  /** For all that acquire in the ledger of the part; absent: it is the only one. */
  readonly gate?: Gate;
}

/**
 * A network device of the adapter. Its channels exist while it is open.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/en_main.c
 */
export abstract class EthDevice implements NetOperations {
  readonly node: NetNode;
  readonly adaptsCoalesce = true;
  protected readonly core: Mlx5Child;
  protected readonly dev: Device;
  protected readonly parameters: Parameters;
  protected readonly irqs: Irqs;
  readonly #statistics: readonly ChannelStatistics[];
  readonly #leavesBy: number | undefined;
  readonly #gate: Gate;
  #channels: Channels | undefined = undefined;
  /** By number: while it is open. */
  protected live: readonly Channel[] = [];

  constructor({ core, dev, irqs, mac, maxChannels, options, portName, leavesBy, gate }: EthSetup) {
    this.core = core;
    this.dev = dev;
    this.irqs = irqs;
    this.#leavesBy = leavesBy;
    this.#gate = gate ?? new Gate();
    this.parameters = new Parameters(dev.name, maxChannels, options);
    this.#statistics = Array.from({ length: maxChannels }, () => new ChannelStatistics());
    this.node = new NetNode(dev, this, {
      queues: maxChannels,
      mac,
      mtu: MTU.default,
      minMtu: MTU.min,
      maxMtu: MTU.max,
      watchdogUs: WATCHDOG_US,
      ...(portName !== undefined && { portName }),
    });
  }

  /** Has packets sent to the receive queues of its channels: in the ledger behind those. */
  protected abstract steer(channels: readonly Channel[]): Promise<void>;

  /** Whether there is a link; of a device that is open. @throws {Errno} as the command */
  protected abstract isLinkUp(): Promise<boolean>;

  /** It is being closed, and its channels are there still. */
  protected closing(): Promise<void> | void {}

  /** @see Linux 7.2 en_main.c mlx5e_open_locked */
  async open(): Promise<void> {
    const { core, dev, node, irqs } = this;
    await this.#fitChannels();
    const { logSqSize, logRqSize, channels, coalesce } = this.parameters;
    node.activeQueues = channels;
    const setup = { core, dev, irqs, node, logSqSize, logRqSize, coalesce };
    const more = { slotBytes: slotBytes(node.mtu), leavesBy: this.#leavesBy };
    const statistics = this.#statistics.slice(0, channels);
    const steer = (list: readonly Channel[]): Promise<void> => this.steer(list);
    const opened = await this.#gate.run(() => Channels.open({ ...setup, ...more }, statistics, steer));
    this.#channels = opened;
    this.live = opened.list;
    await this.updateCarrier();
  }

  /** Where the function has too few vectors, there are fewer channels: one has to be. @throws {Errno} as `Mlx5Child.compEqn` */
  async #fitChannels(): Promise<void> {
    const { core, dev, parameters } = this;
    const { channels } = parameters;
    for (let n = 0; n < Math.min(channels, core.compVectorCount); n++) {
      try {
        await core.compEqn(n);
      } catch (error) {
        if (n === 0 || !(Errno.is(error, 'EBUSY') || Errno.is(error, 'ENOSPC')) || !parameters.canHave(n)) throw error;
        dev.log('warn', `${n} channels, not ${channels}: ${error.text}`, 'fewer_channels');
        parameters.setChannels(n);
        return;
      }
    }
  }

  /** @see Linux 7.2 en_main.c mlx5e_close_locked */
  async stop(): Promise<void> {
    const channels = this.#channels!;
    this.node.carrierOff();
    // A handler of frames may close the device: its poll ends first.
    await Promise.resolve();
    this.live = [];
    try {
      this.#statistics[0]!.rxOutOfBuffer += await this.#outOfBuffer();
      await this.closing();
    } catch (error) {
      // It goes all the same.
      this.dev.log('warn', `the device does not answer while it is closed: ${describeError(error)}`, 'close_failed');
    } finally {
      this.#channels = undefined;
      await channels.close();
    }
  }

  startXmit(queue: number, buffer: Uint8Array, offset: number, length: number, more: boolean): number {
    return this.live[queue]!.tx.send(buffer, offset, length, more);
  }

  txTimeout(queue: number): void {
    this.live[queue]?.tx.timedOut();
  }

  async addStatistics(into: NetStatistics): Promise<void> {
    sumStatistics(this.#statistics, await this.#outOfBuffer(), into);
  }

  async ethtoolStatistics(into: Map<string, number>): Promise<void> {
    listStatistics(this.#statistics.slice(0, this.parameters.channels), await this.#outOfBuffer(), into);
  }

  coalesce(): Coalesce {
    return this.parameters.coalesce;
  }

  /** @see Linux 7.2 en_ethtool.c mlx5e_ethtool_set_coalesce */
  async setCoalesce(coalesce: Coalesce): Promise<void> {
    this.parameters.checkCoalesce(coalesce);
    for (const { moderation } of this.live) await moderation.set(coalesce);
    this.parameters.setCoalesce(coalesce);
  }

  channels(): ChannelCounts {
    return { combined: this.parameters.channels, maxCombined: this.parameters.maxChannels };
  }

  setChannels(channels: number): void {
    this.parameters.setChannels(channels);
  }

  ring(): RingParameters {
    return this.parameters.ring;
  }

  setRing(ring: { readonly rx: number; readonly tx: number }): void {
    this.parameters.setRing(ring);
  }

  /** Carrier is what the link is; without an answer there is none. @see Linux 7.2 en_main.c mlx5e_update_carrier */
  protected async updateCarrier(): Promise<void> {
    const { node, dev } = this;
    if (this.#channels === undefined) return;
    let isUp = false;
    try {
      isUp = await this.isLinkUp();
    } catch (error) {
      dev.log('warn', `its link is not known: ${describeError(error)}`, 'link_unknown');
    }
    if (isUp && this.live.length > 0) node.carrierOn();
    else node.carrierOff();
  }

  /** Of queues that there are. */
  async #outOfBuffer(): Promise<number> {
    const channels = this.#channels;
    if (channels === undefined || this.core.isFailed || this.dev.dead) return 0;
    return channels.outOfBuffer();
  }
}
