import type { ClockTimer } from '../../../core/hal/index.js';
import type { ModelClock } from '../../endpoint/index.js';

/**
 * When the event of a completion queue is due: some time after the first completion that it is to tell of, or after so many of them,
 * whatever comes first.
 */
export class Moderation {
  readonly #clock: ModelClock;
  readonly #due: () => void;
  #timer: ClockTimer | undefined = undefined;
  #periodUs = 0;
  #maxCount = 0;
  /** Completions that no event has told of. */
  #count = 0;

  /** @param due called when the time is over */
  constructor(clock: ModelClock, due: () => void) {
    this.#clock = clock;
    this.#due = due;
  }

  get periodUs(): number {
    return this.#periodUs;
  }
  get maxCount(): number {
    return this.#maxCount;
  }

  /**
   * Takes effect on what waits already.
   * @param periodUs 0 to 4095; 0: at once
   * @param maxCount 0 to 65535; 0 and 1: at once
   * @returns whether an event is due now
   */
  set(periodUs: number, maxCount: number): boolean {
    this.#periodUs = periodUs;
    this.#maxCount = maxCount;
    if (this.#count === 0) return false;
    if (this.#isDue()) return true;
    this.#timer?.start(periodUs);
    return false;
  }

  /** One more completion. @returns whether the event is due now */
  add(): boolean {
    this.#count++;
    if (this.#isDue()) return true;
    if (this.#count === 1) (this.#timer ??= this.#clock.timer(this.#due)).start(this.#periodUs);
    return false;
  }

  /** Nothing waits: an event was sent, or software has seen everything. */
  clear(): void {
    if (this.#count === 0) return;
    this.#count = 0;
    this.#timer?.cancel();
  }

  #isDue(): boolean {
    return this.#periodUs === 0 || this.#count >= this.#maxCount;
  }
}
