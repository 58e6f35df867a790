import type { Device } from '../device/index.js';
import { Errno, joinErrors } from '../lib/errno.js';
import { type Flow, type MaybePromise, chain, run, settle } from '../lib/flow.js';
import type { Subscription } from '../lib/signal.js';
import { Handlers } from './handlers.js';
import { formatMac, isDeviceMac, parseMac } from './mac.js';
import {
  ETHERNET,
  type FrameHandler,
  type NetDevice,
  type NetInfo,
  type NetStatistics,
  type RxMode,
  XMIT,
} from './net-device.js';
import type { NetOperations } from './net-operations.js';
import type { TxQueue } from './net-queue.js';
import { NetQueues, type QueuesOwner } from './net-queues.js';
import { NetSettings } from './net-settings.js';
import { WATCHDOG_US } from './net-watchdog.js';

/** What a driver says of its network device. */
export interface NetNodeOptions {
  /** Transmit queues; default 1. */
  readonly queues?: number;
  /** Its address at first. */
  readonly mac: Uint8Array;
  /** Default 1500, of 68 to 1500. */
  readonly mtu?: number;
  readonly minMtu?: number;
  readonly maxMtu?: number;
  /** After how long a stopped queue is stuck, in microseconds; default {@link WATCHDOG_US}. */
  readonly watchdogUs?: number;
  /** What it is at the switch that it belongs to. */
  readonly portName?: string;
}

/** The least that IPv4 asks for. @see Linux 7.2 include/linux/if_ether.h ETH_MIN_MTU, ETH_DATA_LEN */
const MIN_MTU = 68;
const DEFAULT_MTU = 1500;
/** Longer than the watchdog of any device. */
const READY_US = 60_000_000;

/**
 * A network device, as its driver publishes it: `dev.publish(NetDevices, new NetNode(dev, operations, options))`. Its `remove` awaits
 * {@link shutdown}.
 *
 * It has no carrier at first. What changes it waits for what was begun before, so that operations never overlap.
 * @see Linux 7.2 net/core/dev.c register_netdevice
 */
export class NetNode extends NetSettings implements NetDevice, QueuesOwner {
  readonly #operations: NetOperations;
  readonly #queues: NetQueues;
  readonly #receivers: Handlers<FrameHandler>;
  readonly #observers: Handlers<FrameHandler>;
  readonly #minMtu: number;
  readonly #maxMtu: number;
  readonly #portName: string | undefined;
  #isOpen = false;
  #hasCarrier = false;
  #carrierUpCount = 0;
  #carrierDownCount = 0;
  #isGone = false;
  #mac: Uint8Array;
  #mtu: number;
  #maxBytes: number;
  #rxMode: RxMode = { promiscuous: false, allMulticast: false, unicast: [], multicast: [] };
  #txDropped = 0;
  #rxNoHandler = 0;

  constructor(dev: Device, operations: NetOperations, options: NetNodeOptions) {
    super(dev, operations);
    const { queues = 1, mac, mtu = DEFAULT_MTU, minMtu = MIN_MTU, maxMtu = DEFAULT_MTU, watchdogUs = WATCHDOG_US } = options;
    this.#operations = operations;
    this.#queues = new NetQueues(this, queues, watchdogUs);
    this.#receivers = new Handlers(dev, 'handler of frames');
    this.#observers = new Handlers(dev, 'handler of sent frames');
    this.#minMtu = minMtu;
    this.#maxMtu = maxMtu;
    this.#portName = options.portName;
    this.#mac = mac;
    this.#mtu = mtu;
    this.#maxBytes = frameBytes(mtu);
  }

  // For the driver

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get hasCarrier(): boolean {
    return this.#hasCarrier;
  }

  get mac(): Uint8Array {
    return this.#mac;
  }

  get mtu(): number {
    return this.#mtu;
  }

  get rxMode(): RxMode {
    return this.#rxMode;
  }

  /** All that it has, by number. */
  get queues(): readonly TxQueue[] {
    return this.#queues.queues;
  }

  /** Queues that there are for users: the first of all; default all. @see Linux 7.2 net/core/dev.c netif_set_real_num_tx_queues */
  get activeQueues(): number {
    return this.#queues.activeQueues;
  }

  /** Only of a device that is closed. @throws {Errno} EINVAL for more than there are */
  set activeQueues(count: number) {
    this.#queues.activeQueues = count;
  }

  /** There is a link; harmless when it is known. @see Linux 7.2 net/sched/sch_generic.c netif_carrier_on */
  carrierOn(): void {
    if (this.#hasCarrier) return;
    this.#hasCarrier = true;
    this.#carrierUpCount++;
    this.#queues.up();
  }

  /** There is none; harmless when it is known. @see Linux 7.2 net/sched/sch_generic.c netif_carrier_off */
  carrierOff(): void {
    if (!this.#hasCarrier) return;
    this.#hasCarrier = false;
    this.#carrierDownCount++;
    this.#queues.down();
  }

  /**
   * Hands up a frame that has come, in task context.
   * @see Linux 7.2 net/core/dev.c netif_receive_skb
   */
  receive(buffer: Uint8Array, offset: number, length: number, queue: number): void {
    const { list } = this.#receivers;
    if (list.length === 0) this.#rxNoHandler++;
    for (let n = 0; n < list.length; n++) {
      try {
        list[n]!(buffer, offset, length, queue);
      } catch (error) {
        this.#receivers.threw(error);
      }
    }
  }

  /** It is closed and stays so, when what was begun is over: of the driver's `remove`. */
  shutdown(): MaybePromise<void> {
    return this.serial.run(() => {
      this.#isGone = true;
      return this.#close();
    });
  }

  // For its users

  open(): MaybePromise<void> {
    return this.serial.run(() => this.#open());
  }

  close(): MaybePromise<void> {
    return this.serial.run(() => this.#close());
  }

  info(): NetInfo {
    return {
      device: this.dev.name,
      isOpen: this.#isOpen,
      hasCarrier: this.#hasCarrier,
      carrierUpCount: this.#carrierUpCount,
      carrierDownCount: this.#carrierDownCount,
      mac: formatMac(this.#mac),
      mtu: this.#mtu,
      minMtu: this.#minMtu,
      maxMtu: this.#maxMtu,
      portName: this.#portName,
      queues: this.#queues.infos,
    };
  }

  send(queue: number, buffer: Uint8Array, offset: number, length: number, more = false): number {
    if (!this.#isOpen) throw this.#down();
    const tx = this.#queues.at(queue);
    const isPart = (offset | 0) === offset && (length | 0) === length && offset >= 0 && offset + length <= buffer.length;
    if (!isPart || length < ETHERNET.headerBytes || length > this.#maxBytes) {
      throw this.#badFrame(buffer, offset, length);
    }
    if (!this.#hasCarrier) {
      this.#txDropped++;
      return XMIT.DROP;
    }
    if (tx.isStopped) return XMIT.BUSY;
    const { list } = this.#observers;
    const code = this.#operations.startXmit(queue, buffer, offset, length, more);
    if (code !== XMIT.OK) return code;
    for (let n = 0; n < list.length; n++) this.#show(list[n]!, buffer, offset, length, queue);
    return code;
  }

  ready(queue: number, timeoutUs: number = READY_US): MaybePromise<void> {
    if (!this.#isOpen) throw this.#down();
    const tx = this.#queues.at(queue);
    if (!tx.isStopped) return;
    return this.#queues.wait(queue, timeoutUs);
  }

  setByteLimit(queue: number, minBytes: number): void {
    this.#queues.at(queue).limits.minBytes = minBytes;
  }

  onReceive(handler: FrameHandler): Subscription {
    return this.#receivers.on(handler);
  }

  onTransmit(handler: FrameHandler): Subscription {
    return this.#observers.on(handler);
  }

  onWake(handler: (queue: number) => void): Subscription {
    return this.#queues.onWake(handler);
  }

  setMtu(mtu: number): MaybePromise<void> {
    if (!(Number.isInteger(mtu) && mtu >= this.#minMtu && mtu <= this.#maxMtu)) {
      throw new Errno('EINVAL', `${this.dev.name}: mtu ${mtu}: must be an integer from ${this.#minMtu} to ${this.#maxMtu}`);
    }
    return this.serial.run(() => (mtu === this.#mtu ? undefined : this.reopened(() => this.#setMtu(mtu))));
  }

  setMac(text: string): MaybePromise<void> {
    const mac = parseMac(text);
    if (!isDeviceMac(mac)) throw new Errno('EINVAL', `${this.dev.name}: ${text}: is no address of one device`);
    const set = this.has('setMac', 'its address cannot be changed');
    return this.serial.run(() =>
      chain(set.call(this.#operations, mac), () => {
        this.#mac = mac;
      }),
    );
  }

  setRxMode(change: Partial<RxMode>): MaybePromise<void> {
    for (const text of change.unicast ?? []) {
      if (!isDeviceMac(parseMac(text))) throw new Errno('EINVAL', `${this.dev.name}: ${text}: is no address of one device`);
    }
    for (const text of change.multicast ?? []) {
      if ((parseMac(text)[0]! & 1) === 0) throw new Errno('EINVAL', `${this.dev.name}: ${text}: is no address of a group`);
    }
    const set = this.has('setRxMode', 'what it receives cannot be chosen');
    return this.serial.run(() => {
      const mode = { ...this.#rxMode, ...change };
      return chain(set.call(this.#operations, mode), () => {
        this.#rxMode = mode;
      });
    });
  }

  statistics(): MaybePromise<NetStatistics> {
    const all: NetStatistics = {
      rxPackets: 0,
      txPackets: 0,
      rxBytes: 0,
      txBytes: 0,
      rxErrors: 0,
      txErrors: 0,
      rxDropped: 0,
      txDropped: this.#txDropped,
      multicast: 0,
      rxMissed: 0,
      rxNoHandler: this.#rxNoHandler,
    };
    return chain(this.#operations.addStatistics?.(all), () => all);
  }

  ethtoolStatistics(): MaybePromise<ReadonlyMap<string, number>> {
    const all = new Map<string, number>();
    return chain(this.#operations.ethtoolStatistics?.(all), () => all);
  }

  // For its queues

  /** @internal */
  timedOut(queue: number): void {
    this.#operations.txTimeout?.(queue);
  }

  /** @internal */
  protected override reopened(change: () => MaybePromise<void>): MaybePromise<void> {
    return this.#isOpen ? run(this.#reopen(change)) : change();
  }

  /** What is refused leaves it open, as it was; closed where that fails too. */
  *#reopen(change: () => MaybePromise<void>): Flow<void> {
    yield* settle(this.#close());
    const errors: unknown[] = [];
    for (const step of [change, () => this.#open()]) {
      try {
        yield* settle(step());
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw joinErrors(errors, `opening ${this.dev.name} again`);
  }

  #setMtu(mtu: number): MaybePromise<void> {
    return chain(this.#operations.setMtu?.(mtu), () => {
      this.#mtu = mtu;
      this.#maxBytes = frameBytes(mtu);
    });
  }

  #open(): MaybePromise<void> {
    if (this.#isGone) throw new Errno('ENODEV', `${this.dev.name}: is gone`);
    if (this.#isOpen) return;
    this.#queues.opening();
    return chain(this.#operations.open(), () => {
      this.#isOpen = true;
      this.#queues.up();
    });
  }

  #close(): MaybePromise<void> {
    if (!this.#isOpen) return;
    // Users see it closed from here on, before anything is taken away.
    this.#isOpen = false;
    this.#queues.down(this.#down());
    return this.#operations.stop();
  }

  #show(handler: FrameHandler, buffer: Uint8Array, offset: number, length: number, queue: number): void {
    try {
      handler(buffer, offset, length, queue);
    } catch (error) {
      this.#observers.threw(error);
    }
  }

  #down(): Errno {
    return new Errno('ENETDOWN', `${this.dev.name}: is not open`);
  }

  #badFrame(buffer: Uint8Array, offset: number, length: number): Errno {
    const what = `a frame of ${length} bytes at offset ${offset} of a buffer of ${buffer.length}`;
    return new Errno('ERANGE', `${this.dev.name}: ${what}: must be ${ETHERNET.headerBytes} to ${this.#maxBytes} bytes in it`);
  }
}

/** Bytes of a frame at most. */
const frameBytes = (mtu: number): number => mtu + ETHERNET.headerBytes + ETHERNET.tagBytes;
