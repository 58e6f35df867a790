import type { Clock, ClockEvent } from '../hal/index.js';
import { Errno } from '../lib/errno.js';

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Errno) => void;
  alarm: ClockEvent | undefined;
}

/** Those who wait for one thing; all of them go on when it is there. */
export class Waiters {
  readonly #clock: Clock;
  readonly #all = new Set<Waiter>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param what named when it takes too long. @throws {Errno} ETIMEDOUT after `timeoutUs`; what {@link fail} was given */
  wait(timeoutUs: number, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { resolve, reject, alarm: undefined };
      waiter.alarm = this.#clock.alarm(timeoutUs, () => {
        this.#all.delete(waiter);
        reject(new Errno('ETIMEDOUT', `${what}: not within ${timeoutUs} us`));
      });
      this.#all.add(waiter);
    });
  }

  wake(): void {
    for (const { resolve, alarm } of this.#all) {
      alarm?.cancel();
      resolve();
    }
    this.#all.clear();
  }

  fail(error: Errno): void {
    for (const { reject, alarm } of this.#all) {
      alarm?.cancel();
      reject(error);
    }
    this.#all.clear();
  }
}
