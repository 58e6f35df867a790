import type { Device } from '../device/index.js';
import type { Clock } from '../hal/index.js';
import { Errno } from '../lib/errno.js';
import type { Subscription } from '../lib/signal.js';
import { Handlers } from './handlers.js';
import type { QueueInfo } from './net-device.js';
import { TxQueue, type TxQueueOwner } from './net-queue.js';
import { NetWatchdog, type Watched } from './net-watchdog.js';
import { Waiters } from './waiters.js';

/** What the queues of a network device ask of it. @internal */
export interface QueuesOwner {
  readonly dev: Device;
  readonly isOpen: boolean;
  readonly hasCarrier: boolean;
  /** @param queue stuck */
  timedOut(queue: number): void;
}

/** The transmit queues of a network device, those who wait for them, and their watchdog. @internal */
export class NetQueues implements TxQueueOwner, Watched {
  readonly dev: Device;
  readonly clock: Clock;
  readonly queues: readonly TxQueue[];
  readonly #owner: QueuesOwner;
  readonly #watchdog: NetWatchdog;
  readonly #wakers: Handlers<(queue: number) => void>;
  /** By queue. */
  readonly #waiters: readonly Waiters[];
  #active: number;

  constructor(owner: QueuesOwner, count: number, watchdogUs: number) {
    const { dev } = owner;
    this.dev = dev;
    this.clock = dev.core!.clock;
    this.#owner = owner;
    this.#watchdog = new NetWatchdog(this, watchdogUs);
    this.#wakers = new Handlers(dev, 'handler of wakes');
    this.queues = Array.from({ length: count }, (_, n) => new TxQueue(n, this));
    this.#waiters = this.queues.map(() => new Waiters(this.clock));
    this.#active = count;
  }

  get activeQueues(): number {
    return this.#active;
  }

  set activeQueues(count: number) {
    if (!(Number.isInteger(count) && count >= 1 && count <= this.queues.length)) {
      throw new Errno('EINVAL', `${this.dev.name}: ${count} transmit queues: must be an integer from 1 to ${this.queues.length}`);
    }
    this.#active = count;
  }

  get isUp(): boolean {
    return this.#owner.isOpen && this.#owner.hasCarrier;
  }

  get infos(): QueueInfo[] {
    const active = this.queues.slice(0, this.#active);
    return active.map(({ isStopped, transTimeout, limits: { inFlight } }) => ({ isStopped, transTimeout, inFlight }));
  }

  /** @throws {Errno} EINVAL when there is none */
  at(index: number): TxQueue {
    const queue = index < this.#active ? this.queues[index] : undefined;
    if (queue !== undefined) return queue;
    throw new Errno('EINVAL', `${this.dev.name}: transmit queue ${index}: there are ${this.#active}`);
  }

  /** Waits until a queue takes frames. @throws {Errno} ETIMEDOUT; what {@link down} was given */
  wait(index: number, timeoutUs: number): Promise<void> {
    return this.#waiters[index]!.wait(timeoutUs, `${this.dev.name}: room in transmit queue ${index}`);
  }

  onWake(handler: (queue: number) => void): Subscription {
    return this.#wakers.on(handler);
  }

  /** The device is about to be opened: what its driver has not woken by then is not stuck. @see Linux 7.2 net/sched/sch_generic.c dev_activate */
  opening(): void {
    for (const queue of this.queues) queue.transStartUs = Infinity;
  }

  /** The device is open and has carrier, perhaps: queues that are stopped are watched. */
  up(): void {
    this.#watchdog.start();
  }

  /** It is not: nobody is watched. @param closed what those who wait are told, of a device that was closed */
  down(closed?: Errno): void {
    this.#watchdog.stop();
    if (closed !== undefined) for (const waiters of this.#waiters) waiters.fail(closed);
  }

  stopped(_queue: TxQueue): void {
    this.#watchdog.start();
  }

  woken({ index }: TxQueue): void {
    if (!this.#owner.isOpen) return;
    this.#waiters[index]!.wake();
    for (const handler of this.#wakers.list) {
      try {
        handler(index);
      } catch (error) {
        this.#wakers.threw(error);
      }
    }
  }

  timedOut(queue: number): void {
    this.#owner.timedOut(queue);
  }
}
