import { type ClockEvent, type Window, wordOf } from '../../core/hal/index.js';
import { checkRange, hex } from '../../core/lib/index.js';
import { ImsSlots, type Model, type ModelClock, type PciModel, type PciModelContext, pcie } from '../endpoint/index.js';
import * as TIMER from '../regs/timer.js';

/** Options of {@link timer}. */
export interface TimerOptions {
  /** Timers of the card, 1 to 64; default 4. */
  readonly timers?: number;
  /** Slots of its message store, 1 to 64; default 64. */
  readonly slots?: number;
}

/**
 * The timer card of `hw/regs/timer.ts`: no interrupts but those of its own message store.
 * @throws {Errno} ERANGE for a number of timers or slots that cannot be
 */
export function timer(options: TimerOptions = {}): PciModel {
  const { timers = 4, slots = TIMER.IMS.slots } = options;
  checkRange('timer', 'timers', timers, 1, TIMER.TIMERS_MAX);
  checkRange('timer', 'slots', slots, 1, TIMER.IMS.slots);
  return {
    name: 'timer',
    config: {
      vendor: TIMER.TIMER_VENDOR,
      device: TIMER.TIMER_DEVICE,
      classCode: TIMER.TIMER_CLASS,
      revision: TIMER.TIMER_REVISION,
      bars: { 0: { kind: 'mem32', sizeBytes: TIMER.BAR_BYTES } },
      capabilities: [pcie({ flr: true })],
    },
    create: (context) => new TimerCard(context, timers, slots),
  };
}

const ONES = 0xffff_ffff;
const ENABLE = 1;
const PERIODIC = 2;
const IDENT = wordOf(TIMER.IDENT).reset;
const FIRST_TIMER = TIMER.EXPIRY.offset;

class TimerCard implements Model, Window {
  readonly sizeBytes = TIMER.BAR_BYTES;
  readonly regions: { readonly 0: Window } = { 0: this };
  readonly #context: PciModelContext;
  readonly #timers: readonly IntervalTimer[];
  readonly #slots: ImsSlots;
  #resetUs: number;

  constructor(context: PciModelContext, timers: number, slots: number) {
    this.#context = context;
    this.#slots = new ImsSlots(slots, context.irq);
    this.#timers = Array.from({ length: timers }, () => new IntervalTimer(context.clock, this.#slots));
    this.#resetUs = context.clock.now();
  }

  reset(): void {
    for (const one of this.#timers) one.reset();
    this.#slots.reset();
    this.#resetUs = this.#context.clock.now();
  }

  read8(offset: number): number {
    this.#refuse('read of 1 byte', offset);
    return 0xff;
  }
  read16(offset: number): number {
    this.#refuse('read of 2 bytes', offset);
    return 0xffff;
  }
  read32(offset: number): number {
    const one = this.#timerAt(offset);
    if (one !== undefined) {
      switch (FIRST_TIMER + (offset % TIMER.TIMER_STRIDE)) {
        case TIMER.EXPIRY.offset:
          return one.slot;
        case TIMER.PERIOD.offset:
          return one.periodUs;
        case TIMER.CONTROL.offset:
          return (one.isRunning ? ENABLE : 0) | (one.isPeriodic ? PERIODIC : 0);
        case TIMER.COUNT.offset:
          return one.remainingUs;
        case TIMER.EXPIRIES.offset:
          return one.expiries;
      }
    }
    if (this.#slots.has(offset - TIMER.IMS.offset)) return this.#slots.read32(offset - TIMER.IMS.offset);
    switch (offset) {
      case TIMER.IDENT.offset:
        return IDENT;
      case TIMER.CAPS.offset:
        return (this.#slots.count << TIMER.CAPS.fields.slots.lsb) | this.#timers.length;
      case TIMER.IMS_OFFSET.offset:
        return TIMER.IMS.offset;
      case TIMER.COUNTER_LO.offset:
        return this.#counterUs % 2 ** 32;
      case TIMER.COUNTER_HI.offset:
        return Math.floor(this.#counterUs / 2 ** 32);
    }
    this.#refuse('read of 4 bytes', offset);
    return ONES;
  }
  read64(offset: number, out: Uint32Array): void {
    this.#refuse('read of 8 bytes', offset);
    out[0] = out[1] = ONES;
  }
  write8(offset: number): void {
    this.#refuse('write of 1 byte', offset);
  }
  write16(offset: number): void {
    this.#refuse('write of 2 bytes', offset);
  }
  write32(offset: number, value: number): void {
    const one = this.#timerAt(offset);
    if (one !== undefined) {
      switch (FIRST_TIMER + (offset % TIMER.TIMER_STRIDE)) {
        case TIMER.EXPIRY.offset:
          if (value < this.#slots.count) one.slot = value;
          else this.#context.log.guestError(`EXPIRY ${value} is no slot: has ${this.#slots.count}`);
          return;
        case TIMER.PERIOD.offset:
          if (value > 0) one.periodUs = value;
          else this.#context.log.guestError('PERIOD 0: must be 1 us or more');
          return;
        case TIMER.CONTROL.offset:
          if ((value & ENABLE) === 0) one.stop();
          else if (one.periodUs === 0) this.#context.log.guestError('started with PERIOD 0: must be 1 us or more');
          else one.start((value & PERIODIC) !== 0);
          return;
      }
    }
    if (this.#slots.has(offset - TIMER.IMS.offset)) this.#slots.write32(offset - TIMER.IMS.offset, value);
    else this.#refuse('write of 4 bytes', offset);
  }
  write64(offset: number): void {
    this.#refuse('write of 8 bytes', offset);
  }

  get #counterUs(): number {
    return Math.floor(this.#context.clock.now() - this.#resetUs);
  }

  #timerAt(offset: number): IntervalTimer | undefined {
    return offset < FIRST_TIMER ? undefined : this.#timers[Math.floor((offset - FIRST_TIMER) / TIMER.TIMER_STRIDE)];
  }

  #refuse(what: string, offset: number): void {
    this.#context.log.guestError(`${what} at 0x${hex(offset)}: no register there takes it`);
  }
}

class IntervalTimer {
  slot = 0;
  periodUs = 0;
  isPeriodic = false;
  expiries = 0;
  readonly #clock: ModelClock;
  readonly #slots: ImsSlots;
  readonly #onDue = (): void => this.#expire();
  /** Set while it runs, with the time of that event. */
  #event: ClockEvent | undefined = undefined;
  #dueUs = 0;

  constructor(clock: ModelClock, slots: ImsSlots) {
    this.#clock = clock;
    this.#slots = slots;
  }

  get isRunning(): boolean {
    return this.#event !== undefined;
  }
  get remainingUs(): number {
    return this.#event === undefined ? 0 : Math.max(0, Math.ceil(this.#dueUs - this.#clock.now()));
  }

  start(isPeriodic: boolean): void {
    this.#event?.cancel();
    this.isPeriodic = isPeriodic;
    this.expiries = 0;
    this.#dueUs = this.#clock.now() + this.periodUs;
    this.#event = this.#clock.after(this.periodUs, this.#onDue);
  }

  stop(): void {
    this.#event?.cancel();
    this.#event = undefined;
    this.isPeriodic = false;
  }

  reset(): void {
    this.stop();
    this.slot = this.periodUs = this.expiries = 0;
  }

  #expire(): void {
    let expired = 1;
    this.#event = undefined;
    if (this.isPeriodic) {
      const now = this.#clock.now();
      // What a late clock has missed is counted and not made up for; the next expiry is in phase.
      expired += Math.max(0, Math.floor((now - this.#dueUs) / this.periodUs));
      this.#dueUs += expired * this.periodUs;
      this.#event = this.#clock.after(this.#dueUs - now, this.#onDue);
    }
    this.expiries = (this.expiries + expired) >>> 0;
    this.#slots.send(this.slot);
  }
}
