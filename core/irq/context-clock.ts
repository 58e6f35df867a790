import type { Clock, ClockEvent, PollOptions } from '../hal/index.js';
import type { Subscription } from '../lib/signal.js';

/**
 * The host's clock as the system uses it: sleeping in an interrupt handler is refused.
 * @internal
 */
export class ContextClock implements Clock {
  readonly #inner: Clock;
  /** Throws where nothing may sleep. */
  check: ((what: string) => void) | undefined = undefined;

  constructor(inner: Clock) {
    this.#inner = inner;
  }

  now(): number {
    return this.#inner.now();
  }
  after(us: number, fn: () => void): ClockEvent {
    return this.#inner.after(us, fn);
  }
  deadline(us: number, fn: () => void): ClockEvent {
    return this.#inner.deadline(us, fn);
  }
  alarm(us: number, fn: () => void): ClockEvent {
    return this.#inner.alarm(us, fn);
  }
  sleep(us: number): Promise<void> {
    this.check?.(`sleep of ${us} us`);
    return this.#inner.sleep(us);
  }
  poll<T>(read: () => T | undefined | false, options: PollOptions): Promise<T> {
    this.check?.(`poll of ${options.what ?? 'a register'}`);
    return this.#inner.poll(read, options);
  }
  relax(): boolean {
    return this.#inner.relax();
  }
  onEvent(listener: () => void): Subscription {
    return this.#inner.onEvent(listener);
  }
}
