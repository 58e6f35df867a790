import type { VirtualClock } from '../../core/hal/virtual-clock.js';

const STEP_MS = 1;
/** A step takes longer than it moves time where a machine is slow: without a limit, each would be longer than the one before. */
const MOST_MS = 20;

/**
 * Keeps a simulated machine in step with the wall clock, from its construction until it is disposed of: for one that talks to the real
 * world. Every millisecond its clock is moved by the time that has passed; with it, no two runs are the same. One that cannot keep up falls
 * behind.
 *
 * @example
 * ```ts
 * using pace = new Pace(sim.clock);
 * ```
 */
export class Pace implements Disposable {
  readonly #clock: VirtualClock;
  readonly #timer: NodeJS.Timeout;
  #lastMs = performance.now();

  constructor(clock: VirtualClock) {
    this.#clock = clock;
    this.#timer = setInterval(() => this.#step(), STEP_MS);
    // It is others who have something to wait for.
    this.#timer.unref();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #step(): void {
    const nowMs = performance.now();
    const us = Math.floor(Math.min(MOST_MS, nowMs - this.#lastMs) * 1000);
    this.#lastMs = nowMs;
    this.#clock.elapse(us);
  }
}
