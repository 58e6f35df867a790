import { Errno } from '../../core/lib/errno.js';
import type { Subscription } from '../../core/lib/signal.js';
import type { Clock, ClockEvent, PollOptions } from '../../core/hal/clock.js';
import { VirtualClock } from '../../core/hal/virtual-clock.js';

/** How long `relax` lets hardware that runs by itself go on. */
const RELAX_MS = 0.05;

/**
 * Time as the wall clock moves it, from 0 at construction: for hosts whose hardware runs by itself.
 *
 * Events run late rather than early, by up to a millisecond, in order of their time. A pending one keeps the process alive.
 */
export class RealClock implements Clock {
  /** The order of events is that of a clock moved by hand; the hand is a timer. */
  readonly #queue = new VirtualClock({ mode: 'manual' });
  readonly #startMs = performance.now();
  readonly #nap = new Int32Array(new SharedArrayBuffer(4));
  #timer: NodeJS.Timeout | undefined = undefined;

  now(): number {
    return Math.floor((performance.now() - this.#startMs) * 1000);
  }

  after(us: number, fn: () => void): ClockEvent {
    const event = this.#queue.after(us + this.now() - this.#queue.now(), fn);
    this.#arm();
    return event;
  }

  deadline(us: number, fn: () => void): ClockEvent {
    return this.after(us, fn);
  }

  alarm(us: number, fn: () => void): ClockEvent {
    return this.after(us, fn);
  }

  sleep(us: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(us, resolve);
    });
  }

  async poll<T>(read: () => T | undefined | false, options: PollOptions): Promise<T> {
    const end = this.now() + options.timeoutUs;
    for (;;) {
      const last = this.now() >= end;
      const value = read();
      if (value !== undefined && value !== false) return value;
      if (last) throw new Errno('ETIMEDOUT', `${options.what ?? 'poll'}: no result within ${options.timeoutUs} us`);
      await this.sleep(options.intervalUs ?? 10);
    }
  }

  /** Sleeps 50 us; true always, since what is pending in the hardware is not known. */
  relax(): boolean {
    Atomics.wait(this.#nap, 0, 0, RELAX_MS);
    return true;
  }

  onEvent(listener: () => void): Subscription {
    return this.#queue.onEvent(listener);
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const due = this.#queue.nextDueUs;
    this.#timer = due === undefined ? undefined : setTimeout(() => this.#run(), Math.max(0, (due - this.now()) / 1000));
  }

  #run(): void {
    try {
      this.#queue.elapse(Math.max(0, this.now() - this.#queue.now()));
    } finally {
      this.#arm();
    }
  }
}
