import type { Clock, ClockEvent } from '../hal/index.js';
import { Errno } from '../lib/errno.js';

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  alarm: ClockEvent | undefined;
}

/**
 * What a task waits for and an interrupt handler brings about.
 *
 * It counts: each `complete` lets one wait go on, also one that comes later. `fail` ends all waits, those that come too.
 * @example
 * ```ts
 * const done = new Completion(dev.clock, `${dev.name}: command`);
 * this.irqs.request(dev, virq, () => done.complete());
 * regs.write(COMMAND, { start: 1 });
 * await done.wait(1_000);
 * ```
 * @see Linux 7.2 kernel/sched/completion.c
 */
export class Completion {
  readonly #clock: Clock;
  readonly #what: string;
  #done = 0;
  #error: unknown = undefined;
  readonly #waiters = new Set<Waiter>();

  /** @param what named in the ETIMEDOUT message: the device and what it is to do */
  constructor(clock: Clock, what: string) {
    this.#clock = clock;
    this.#what = what;
  }

  /** Whether a wait would go on at once. */
  get isDone(): boolean {
    return this.#done > 0;
  }

  /** Lets one wait go on: the one that began first. Also for interrupt handlers. */
  complete(): void {
    const [first] = this.#waiters;
    if (first === undefined) {
      this.#done++;
      return;
    }
    this.#end(first);
    first.resolve();
  }

  /** Forgets what was completed and not waited for. @see Linux 7.2 include/linux/completion.h reinit_completion */
  reinit(): void {
    this.#done = 0;
  }

  /** Ends every wait with `error`, from now on: what was waited for is gone. */
  fail(error: unknown): void {
    this.#error = error;
    for (const waiter of this.#waiters) {
      this.#end(waiter);
      waiter.reject(error);
    }
  }

  /**
   * Waits for one `complete`.
   * @throws {Errno} ETIMEDOUT after `timeoutUs` microseconds; what `fail` was given
   */
  wait(timeoutUs: number): Promise<void> {
    if (this.#error !== undefined) return Promise.reject(this.#error);
    if (this.#done > 0) {
      this.#done--;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { resolve, reject, alarm: undefined };
      waiter.alarm = this.#clock.alarm(timeoutUs, () => {
        this.#end(waiter);
        reject(new Errno('ETIMEDOUT', `${this.#what}: not done within ${timeoutUs} us`));
      });
      // Who cannot wait must not be let go on in place of who does.
      this.#waiters.add(waiter);
    });
  }

  #end(waiter: Waiter): void {
    this.#waiters.delete(waiter);
    waiter.alarm?.cancel();
  }
}
