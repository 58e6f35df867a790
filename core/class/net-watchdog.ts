import type { Device } from '../device/index.js';
import type { Clock, ClockEvent } from '../hal/index.js';
import { describeError } from '../lib/errno.js';
import type { TxQueue } from './net-queue.js';

/**
 * After this long a queue that is stopped and sends nothing is stuck, in microseconds; default.
 * @see Linux 7.2 net/sched/sch_generic.c netdev_watchdog_up
 */
export const WATCHDOG_US = 5_000_000;

/** What a watchdog asks of its device. @internal */
export interface Watched {
  readonly dev: Device;
  readonly clock: Clock;
  readonly queues: readonly TxQueue[];
  /** How many of those are in use. */
  readonly activeQueues: number;
  /** Open, with carrier. */
  readonly isUp: boolean;
  /** @param queue stuck */
  timedOut(queue: number): void;
}

/**
 * Finds transmit queues that are stuck: stopped, and nothing sent for too long. A timer begins only where a queue is stopped.
 * @see Linux 7.2 net/sched/sch_generic.c dev_watchdog
 */
export class NetWatchdog {
  readonly #net: Watched;
  readonly #timeoutUs: number;
  #timer: ClockEvent | undefined = undefined;

  constructor(net: Watched, timeoutUs: number) {
    this.#net = net;
    this.#timeoutUs = timeoutUs;
  }

  /** A queue was stopped, or the device is up again. */
  start(): void {
    if (this.#timer !== undefined || !this.#net.isUp) return;
    let oldestUs = Infinity;
    const { clock, queues, activeQueues } = this.#net;
    for (let n = 0; n < activeQueues; n++) if (queues[n]!.isStopped) oldestUs = Math.min(oldestUs, queues[n]!.transStartUs);
    if (oldestUs === Infinity) return;
    this.#timer = clock.after(Math.max(oldestUs + this.#timeoutUs - clock.now(), 0), this.#expired);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  readonly #expired = (): void => {
    this.#timer = undefined;
    const { clock, isUp, queues, activeQueues } = this.#net;
    if (!isUp) return;
    const stuckUs = clock.now() - this.#timeoutUs;
    const queue = queues.find(
      ({ isStopped, transStartUs, index }) => isStopped && transStartUs <= stuckUs && index < activeQueues,
    );
    if (queue !== undefined) this.#bark(queue);
    this.start();
  };

  #bark(queue: TxQueue): void {
    const { dev, clock } = this.#net;
    const ms = Math.floor((clock.now() - queue.transStartUs) / 1000);
    queue.transTimeout++;
    // It is asked again when it is stuck as long once more.
    queue.transStartUs = clock.now();
    // Clock events run on CPU 0.
    const text = `NETDEV WATCHDOG: CPU: 0: transmit queue ${queue.index} timed out ${ms} ms`;
    dev.log('crit', text, 'netdev_watchdog');
    try {
      this.#net.timedOut(queue.index);
    } catch (error) {
      const thrown = `its recovery of transmit queue ${queue.index} threw: ${describeError(error)}`;
      dev.log('err', thrown, 'callback_threw');
      dev.core?.report('callback-threw', dev, thrown);
    }
  }
}
