import { VirtualClock, type VirtualClockOptions } from '../../core/hal/index.js';

/** The clock of a machine: posted writes arrive before time moves, and after each event. */
export class SimClock extends VirtualClock {
  readonly #flush: () => boolean;
  readonly #drain: () => boolean;

  /**
   * @param flush delivers posted writes, and gives whether there were any
   * @param drain the same, and lets the CPUs take what is pending
   */
  constructor(options: VirtualClockOptions, flush: () => boolean, drain: () => boolean) {
    // What arrives may make a device do something sooner: time has not moved then.
    super({ ...options, advance: (toUs) => (flush() ? this.now() : toUs) });
    this.#flush = flush;
    this.#drain = drain;
    this.onEvent(() => void flush());
  }

  override elapse(us: number): number {
    this.#drain();
    const events = super.elapse(us);
    this.#drain();
    return events;
  }

  override relax(): boolean {
    const moved = this.#flush();
    return super.relax() || moved;
  }

  override runNext(): boolean {
    const moved = this.#flush();
    return super.runNext() || moved;
  }
}
