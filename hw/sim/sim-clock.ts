import { VirtualClock, type VirtualClockOptions } from '../../core/hal/index.js';

/** The clock of a machine: posted writes arrive before time moves, and after each event. */
export class SimClock extends VirtualClock {
  readonly #drain: () => boolean;

  /** @param drain delivers posted writes, and gives whether there were any */
  constructor(options: VirtualClockOptions, drain: () => boolean) {
    super(options);
    this.#drain = drain;
    this.onEvent(() => void drain());
  }

  override elapse(us: number): number {
    this.#drain();
    return super.elapse(us);
  }

  override relax(): boolean {
    const moved = this.#drain();
    return super.relax() || moved;
  }

  override runNext(): boolean {
    const moved = this.#drain();
    return super.runNext() || moved;
  }
}
