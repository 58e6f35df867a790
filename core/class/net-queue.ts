import type { Clock } from '../hal/index.js';
import { ByteLimits } from './byte-limits.js';

/** A ring of a driver's, as its transmit queue knows it. */
export interface TxRing {
  /** Entries that are free. */
  room(): number;
}

/** What a queue tells of itself. @internal */
export interface TxQueueOwner {
  readonly clock: Clock;
  /** Nothing more is taken for now. */
  stopped(queue: TxQueue): void;
  /** There is room again. */
  woken(queue: TxQueue): void;
}

const BY_DRIVER = 1;
const BY_LIMIT = 2;

/**
 * A transmit queue of a network device, as its driver starts and stops it. A stopped queue takes no frames; its users wait until it is woken.
 *
 * A queue that is stopped while its last entry becomes free would never be woken: so whoever stops it looks again.
 * {@link maybeStop} and {@link maybeWake} do.
 * @see Linux 7.2 include/linux/netdevice.h struct netdev_queue, include/net/netdev_queues.h
 */
export class TxQueue {
  readonly #owner: TxQueueOwner;
  #state = BY_DRIVER;
  /** When it was stopped, and so took its last frame; in microseconds. Infinity: not since the device was opened. */
  transStartUs = Infinity;
  /** Times that the watchdog found it stuck. */
  transTimeout = 0;
  readonly limits: ByteLimits = new ByteLimits();

  /** @internal */
  constructor(
    readonly index: number,
    owner: TxQueueOwner,
  ) {
    this.#owner = owner;
  }

  /** Whether frames are refused. */
  get isStopped(): boolean {
    return this.#state !== 0;
  }

  /** @see Linux 7.2 include/linux/netdevice.h netif_tx_stop_queue */
  stop(): void {
    this.#off(BY_DRIVER);
  }

  /** @returns whether it was stopped @see Linux 7.2 net/core/dev.c netif_tx_wake_queue */
  wake(): boolean {
    return this.#on(BY_DRIVER);
  }

  /**
   * Stops the queue where fewer than `stopBelow` entries are free, and looks again.
   * @param startFrom entries with which it goes on
   * @returns 0 stopped, 1 left alone, -1 stopped and started again
   * @see Linux 7.2 include/net/netdev_queues.h netif_txq_maybe_stop
   */
  maybeStop(ring: TxRing, stopBelow: number, startFrom: number): 0 | 1 | -1 {
    return ring.room() >= stopBelow ? 1 : this.tryStop(ring, startFrom);
  }

  /** Stops the queue, and looks again. @returns 0 stopped, -1 stopped and started again @see Linux 7.2 netif_txq_try_stop */
  tryStop(ring: TxRing, startFrom: number): 0 | -1 {
    this.stop();
    if (ring.room() < startFrom) return 0;
    this.#on(BY_DRIVER);
    return -1;
  }

  /**
   * Wakes the queue where `startFrom` entries are free.
   * @param isDown it is to stay stopped whatever is free
   * @returns 0 woken, 1 was not stopped or is to stay so, -1 not enough room
   * @see Linux 7.2 include/net/netdev_queues.h __netif_txq_maybe_wake
   */
  maybeWake(ring: TxRing, startFrom: number, isDown = false): 0 | 1 | -1 {
    if (ring.room() < startFrom) return -1;
    if ((this.#state & BY_DRIVER) === 0 || isDown) return 1;
    this.#on(BY_DRIVER);
    return 0;
  }

  /**
   * Reports bytes that were handed to the device.
   * @param more others follow at once
   * @returns whether the device is to be told now
   * @see Linux 7.2 include/linux/netdevice.h __netdev_tx_sent_queue
   */
  sent(bytes: number, more: boolean): boolean {
    const { limits } = this;
    limits.queued(bytes);
    if (more) return this.#state !== 0;
    if (limits.room < 0) this.#off(BY_LIMIT);
    return true;
  }

  /** Reports bytes that have left, at the poll. @see Linux 7.2 include/linux/netdevice.h netdev_tx_completed_queue */
  completed(bytes: number): void {
    if (bytes === 0) return;
    const { limits } = this;
    limits.completed(bytes, this.#owner.clock.now());
    if (limits.room >= 0) this.#on(BY_LIMIT);
  }

  /** Nothing is under way any more. @see Linux 7.2 include/linux/netdevice.h netdev_tx_reset_queue */
  reset(): void {
    this.limits.reset();
    this.#on(BY_LIMIT);
  }

  #off(why: number): void {
    const before = this.#state;
    this.#state = before | why;
    // Whoever stops it once more must not put its watchdog off.
    if (before !== 0 && this.transStartUs !== Infinity) return;
    this.transStartUs = this.#owner.clock.now();
    this.#owner.stopped(this);
  }

  #on(why: number): boolean {
    const before = this.#state;
    if ((before & why) === 0) return false;
    this.#state = before & ~why;
    if (this.#state === 0) this.#owner.woken(this);
    return true;
  }
}
