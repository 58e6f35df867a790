import type { MaybePromise } from '../lib/flow.js';
import type { Channels, Coalesce, NetStatistics, ReceiveHash, RingParameters, RxMode } from './net-device.js';

/**
 * What a driver does for a network device; what is absent, the device lacks. Those that may wait run one at a time.
 * @see Linux 7.2 include/linux/netdevice.h struct net_device_ops, include/linux/ethtool.h struct ethtool_ops
 */
export interface NetOperations {
  /** Makes queues and lets them work; what it acquires goes back in {@link stop}, or by itself when this throws. */
  open(): MaybePromise<void>;
  /** Queues stop, polls end, what they hold goes. Nothing is sent or received when it is over. */
  stop(): MaybePromise<void>;
  /**
   * Takes a frame: the memory is not its own when this has returned. Called only while the device is open, has carrier, and the queue is
   * not stopped.
   * @param more another follows at once; the device need be told only with the last
   * @returns `XMIT.OK`, also for a frame that it had to drop; BUSY when there is no room though the queue is not stopped, which is a mistake
   */
  startXmit(queue: number, buffer: Uint8Array, offset: number, length: number, more: boolean): number;
  /** A stopped queue has sent nothing for too long: in a clock event. */
  txTimeout?(queue: number): void;
  /** @param mac of one device */
  setMac?(mac: Uint8Array): MaybePromise<void>;
  /** @param mtu within the limits of the device */
  setMtu?(mtu: number): MaybePromise<void>;
  setRxMode?(mode: RxMode): MaybePromise<void>;
  /** Adds what has been counted. */
  addStatistics?(statistics: NetStatistics): MaybePromise<void>;
  /** Names as `ethtool -S` has them. */
  ethtoolStatistics?(statistics: Map<string, number>): MaybePromise<void>;
  /** Whether {@link setCoalesce} understands `adaptiveRx` and `adaptiveTx`. @see Linux 7.2 ETHTOOL_COALESCE_USE_ADAPTIVE */
  readonly adaptsCoalesce?: boolean;
  coalesce?(): Coalesce;
  setCoalesce?(coalesce: Coalesce): MaybePromise<void>;
  channels?(): Channels;
  setChannels?(combined: number): MaybePromise<void>;
  ring?(): RingParameters;
  setRing?(ring: { readonly rx: number; readonly tx: number }): MaybePromise<void>;
  receiveHash?(): ReceiveHash;
  setReceiveHash?(hash: ReceiveHash): MaybePromise<void>;
}
