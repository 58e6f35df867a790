import { Errno, Signal, type Subscription } from '../lib/index.js';

/**
 * A counter that one side signals and another waits for: how a user hears of interrupts.
 *
 * Signalling is for any context, and costs an addition when nobody listens. Once closed it is no descriptor any more: who is given it
 * says EBADF, and who has it signals nobody.
 * @see Linux 7.2 fs/eventfd.c
 */
export class EventFd implements Disposable {
  readonly #woken = new Signal<[]>();
  #count = 0;
  #isClosed = false;

  /** @param name in messages */
  constructor(readonly name = 'eventfd') {}

  /** Signals since the last {@link read}. */
  get count(): number {
    return this.#count;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Adds `n` to the count, and wakes who waits. */
  signal(n = 1): void {
    if (this.#isClosed) return;
    this.#count += n;
    if (this.#woken.active) this.#woken.emit();
  }

  /**
   * Takes the count: it is 0 after that.
   * @throws {Errno} EAGAIN when it is 0; EBADF when it is closed
   */
  read(): number {
    this.checkOpen('eventfd');
    const count = this.#count;
    if (count === 0) throw new Errno('EAGAIN', `${this.name}: was not signalled`);
    this.#count = 0;
    return count;
  }

  /** As {@link read}, waiting for a signal. */
  async wait(): Promise<number> {
    while (this.#count === 0 && !this.#isClosed) {
      await new Promise<void>((resolve) => {
        const waiter = this.#woken.on(() => {
          waiter.dispose();
          resolve();
        });
      });
    }
    return this.read();
  }

  /** Calls `listener` at each signal, in the context of who signals: it must not sleep or throw. */
  listen(listener: () => void): Subscription {
    return this.#woken.on(listener);
  }

  /** The descriptor is closed; who waits gets EBADF. Harmless when it is. */
  close(): void {
    this.#isClosed = true;
    this.#woken.emit();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Somebody is given this descriptor. @throws {Errno} EBADF when it is closed @internal */
  checkOpen(who: string): void {
    if (this.#isClosed) throw new Errno('EBADF', `${who}: ${this.name} is closed`);
  }
}
