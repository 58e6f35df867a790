import type { MaybePromise } from '../lib/flow.js';
import type { Subscription } from '../lib/signal.js';
import { DeviceClass } from './device-class.js';

/** What became of a frame that was sent. @see Linux 7.2 include/linux/netdevice.h enum netdev_tx, NET_XMIT_DROP */
export const XMIT = {
  /** It was taken. */
  OK: 0,
  /** It was dropped, and counted. */
  DROP: 1,
  /** The queue is stopped: the frame is the caller's still, who waits until the queue is woken. */
  BUSY: 0x10,
} as const;

/** Bytes of an Ethernet header, and of the tag that a frame may have beside it. */
export const ETHERNET = { headerBytes: 14, tagBytes: 4, addressBytes: 6 } as const;

/** Packets and bytes of a network device since it was made. @see Linux 7.2 include/uapi/linux/if_link.h struct rtnl_link_stats64 */
export interface NetStatistics {
  rxPackets: number;
  /** By what has left the device, not by what was handed to it. */
  txPackets: number;
  rxBytes: number;
  txBytes: number;
  rxErrors: number;
  txErrors: number;
  rxDropped: number;
  txDropped: number;
  multicast: number;
  /** There was no free entry in the ring. */
  rxMissed: number;
  /** Nobody was there to receive it. */
  rxNoHandler: number;
}

/** How many packets, and how long, an interrupt waits. @see Linux 7.2 include/linux/ethtool.h struct ethtool_coalesce */
export interface Coalesce {
  /** In microseconds; 0 with 0 or 1 frames: at once. */
  readonly rxUs: number;
  readonly rxFrames: number;
  readonly txUs: number;
  readonly txFrames: number;
  /** The driver chooses by what comes, and the numbers above wait until it does not any more; absent: no. */
  readonly adaptiveRx?: boolean;
  /** As {@link adaptiveRx}, of what is sent. */
  readonly adaptiveTx?: boolean;
}

/** How many queues there are, and can be. @see Linux 7.2 include/linux/ethtool.h struct ethtool_channels */
export interface Channels {
  /** Pairs of a transmit and a receive queue. */
  readonly combined: number;
  readonly maxCombined: number;
}

/** Entries of rings. @see Linux 7.2 include/linux/ethtool.h struct ethtool_ringparam */
export interface RingParameters {
  readonly rx: number;
  readonly tx: number;
  readonly maxRx: number;
  readonly maxTx: number;
}

/** How received packets are spread over queues. @see Linux 7.2 include/linux/ethtool.h struct ethtool_rxfh_param */
export interface ReceiveHash {
  /** By the low bits of the hash: the queue. */
  readonly table: readonly number[];
  /** Of the Toeplitz hash. */
  readonly key: Uint8Array;
}

/** What a device receives, beside frames to its own address and to all. */
export interface RxMode {
  readonly promiscuous: boolean;
  readonly allMulticast: boolean;
  /** Further addresses: `02:00:00:00:00:01`. */
  readonly unicast: readonly string[];
  readonly multicast: readonly string[];
}

/** How a network device stands. */
export interface NetInfo {
  /** Its bus device. */
  readonly device: string;
  readonly isOpen: boolean;
  readonly hasCarrier: boolean;
  readonly carrierUpCount: number;
  readonly carrierDownCount: number;
  readonly mac: string;
  /** Of a frame without its header, in bytes. */
  readonly mtu: number;
  readonly minMtu: number;
  readonly maxMtu: number;
  /** What it is at the switch that it belongs to: `pf0sf88`; undefined where it is none's. */
  readonly portName: string | undefined;
  /** By number: of each transmit queue. */
  readonly queues: readonly QueueInfo[];
}

/** How a transmit queue stands. */
export interface QueueInfo {
  readonly isStopped: boolean;
  /** Times that the watchdog found it stuck. */
  readonly transTimeout: number;
  /** Bytes under way. */
  readonly inFlight: number;
}

/**
 * Takes frames: `length` bytes of `buffer` from `offset` on, the Ethernet header first and no checksum at the end. They are the device's:
 * copy what is to be kept before this returns. Called in task context, once for each frame; what it throws is reported, and reaches nobody.
 */
export type FrameHandler = (buffer: Uint8Array, offset: number, length: number, queue: number) => void;

/**
 * A network device, for those who use it. Frames go out by {@link send} and come in by handlers; both are views of memory that somebody
 * else owns, and nothing is allocated for a frame.
 *
 * Settings throw {@link Errno} EOPNOTSUPP where the device lacks them.
 * @example
 * ```ts
 * const [[, eth0]] = system.list(NetDevices);
 * await eth0.open();
 * eth0.onReceive((buffer, offset, length) => console.log(`${length} bytes`));
 * eth0.send(0, frame, 0, frame.length);
 * ```
 * @see Linux 7.2 include/linux/netdevice.h struct net_device
 */
export interface NetDevice {
  /** Begins to work; harmless when it does. @throws {Errno} what its driver throws: it is closed then */
  open(): MaybePromise<void>;
  /** Ends that: frames under way are given up. Harmless when it is closed. */
  close(): MaybePromise<void>;
  info(): NetInfo;

  /**
   * Sends a frame. When this has returned the memory is the caller's again, whatever came of the frame.
   * @param queue a transmit queue
   * @param more another frame for the same queue follows at once: the device may be told of both together
   * @returns one of {@link XMIT}: BUSY while the queue is stopped; DROP without carrier
   * @throws {Errno} ENETDOWN when it is not open; EINVAL without such a queue; ERANGE for what is no frame, or one above the MTU
   */
  send(queue: number, buffer: Uint8Array, offset: number, length: number, more?: boolean): number;
  /**
   * Waits until a queue takes frames.
   * @param timeoutUs default a minute
   * @throws {Errno} ENETDOWN when it is not open, or is closed meanwhile; EINVAL without such a queue; ETIMEDOUT
   */
  ready(queue: number, timeoutUs?: number): MaybePromise<void>;
  /**
   * Limits the bytes that a transmit queue has under way to what keeps the device busy, which is found out; at first there is no limit.
   * @param minBytes what is allowed in any case; Infinity: no limit
   * @throws {Errno} ERANGE for what is no number of bytes; EINVAL without such a queue
   * @see Linux 7.2 Documentation/ABI/testing/sysfs-class-net-queues limit_min
   */
  setByteLimit(queue: number, minBytes: number): void;
  /** Calls `handler` for each frame that comes. */
  onReceive(handler: FrameHandler): Subscription;
  /** Calls `handler` for each frame that is taken to be sent: for who looks on. */
  onTransmit(handler: FrameHandler): Subscription;
  /** Calls `handler` whenever a queue that was stopped takes frames again. */
  onWake(handler: (queue: number) => void): Subscription;

  /** An open device is closed for it, and opened again. @throws {Errno} EINVAL outside `minMtu` to `maxMtu` */
  setMtu(mtu: number): MaybePromise<void>;
  /** @throws {Errno} EINVAL for what is no address of one device */
  setMac(mac: string): MaybePromise<void>;
  /** What is absent stays as it is. @throws {Errno} EINVAL for what is no address */
  setRxMode(mode: Partial<RxMode>): MaybePromise<void>;

  /** A promise where the device has to be asked. */
  statistics(): MaybePromise<NetStatistics>;
  /** The driver's own counters by the names that `ethtool -S` has for them. */
  ethtoolStatistics(): MaybePromise<ReadonlyMap<string, number>>;
  coalesce(): Coalesce;
  /** What is absent stays as it is. @throws {Errno} ERANGE for what the device cannot count to; EOPNOTSUPP to adapt where it cannot */
  setCoalesce(coalesce: Partial<Coalesce>): MaybePromise<void>;
  channels(): Channels;
  /** As {@link setMtu}. @throws {Errno} EINVAL for more than it can have */
  setChannels(combined: number): MaybePromise<void>;
  ring(): RingParameters;
  /** As {@link setMtu}. @throws {Errno} EINVAL for sizes that rings cannot have */
  setRing(ring: { readonly rx?: number; readonly tx?: number }): MaybePromise<void>;
  receiveHash(): ReceiveHash;
  /** What is absent stays as it is. @throws {Errno} EINVAL for queues that there are not, or a key of another length */
  setReceiveHash(hash: Partial<ReceiveHash>): MaybePromise<void>;
}

/** The network devices of a system: `eth0`, ... Drivers publish a `NetNode`. @see Linux 7.2 net/core/dev.c register_netdevice */
export const NetDevices: DeviceClass<NetDevice> = new DeviceClass<NetDevice>('net', {
  prefix: 'eth',
  methods: [
    'open',
    'close',
    'info',
    'send',
    'ready',
    'setByteLimit',
    'onReceive',
    'onTransmit',
    'onWake',
    'setMtu',
    'setMac',
    'setRxMode',
    'statistics',
    'ethtoolStatistics',
    'coalesce',
    'setCoalesce',
    'channels',
    'setChannels',
    'ring',
    'setRing',
    'receiveHash',
    'setReceiveHash',
  ],
});
