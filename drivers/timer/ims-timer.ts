import { type Mmio, checkRange, regAt } from '../../core/index.js';
import { CONTROL, COUNT, COUNTER_HI, COUNTER_LO, EXPIRY, PERIOD, TIMER_STRIDE } from '../../hw/regs/timer.js';
import type { Timer } from './api.js';

const PERIOD_MAX = 2 ** 32 - 1;

/** One timer of a card, by its registers. */
export class ImsTimer implements Timer {
  readonly name: string;
  readonly #regs: Mmio;
  readonly #control: typeof CONTROL;
  readonly #period: typeof PERIOD;
  readonly #count: typeof COUNT;
  #tick: (() => void) | undefined = undefined;
  #isPeriodic = false;

  /** @param slot the slot of the message store whose interrupt calls `expired` */
  constructor(regs: Mmio, index: number, slot: number) {
    this.name = `timer${index}`;
    this.#regs = regs;
    this.#control = regAt(CONTROL, index, TIMER_STRIDE);
    this.#period = regAt(PERIOD, index, TIMER_STRIDE);
    this.#count = regAt(COUNT, index, TIMER_STRIDE);
    regs.write(regAt(EXPIRY, index, TIMER_STRIDE), slot);
  }

  start(periodUs: number, tick: () => void): void {
    this.#start(periodUs, tick, true);
  }

  startOnce(delayUs: number, tick: () => void): void {
    this.#start(delayUs, tick, false);
  }

  stop(): void {
    this.#tick = undefined;
    this.#regs.write(this.#control, { enable: 0 });
  }

  remainingUs(): number {
    return this.#regs.read(this.#count);
  }

  counterUs(): number {
    for (;;) {
      const high = this.#regs.read(COUNTER_HI);
      const low = this.#regs.read(COUNTER_LO);
      // The low word may have overflown in between.
      if (this.#regs.read(COUNTER_HI) === high) return high * 2 ** 32 + low;
    }
  }

  /** The handler: the time has come. */
  expired(): void {
    const tick = this.#tick;
    if (!this.#isPeriodic) this.#tick = undefined;
    tick?.();
  }

  #start(us: number, tick: () => void, isPeriodic: boolean): void {
    checkRange(this.name, 'time in microseconds', us, 1, PERIOD_MAX);
    this.stop();
    this.#tick = tick;
    this.#isPeriodic = isPeriodic;
    this.#regs.write(this.#period, us);
    this.#regs.write(this.#control, { enable: 1, periodic: isPeriodic ? 1 : 0 });
  }
}
