import { Errno } from '../../core/lib/errno.js';
import { Signal, type Subscription } from '../../core/lib/signal.js';
import type { Clock, ClockEvent, PollOptions } from '../../core/hal/clock.js';
import { VirtualClock } from '../../core/hal/virtual-clock.js';
import type { QtestLink } from './qtest-link.js';

/**
 * QEMU's time moves in pieces, since an interrupt is heard only between two of them: the clock stops after the piece in which
 * one came, so a waiting driver has it before its own limit runs out. A piece is 1 ms, or a thousandth of a long way.
 */
const PIECE_US = 1000;
const PIECES = 1000;
/** Real time given to QEMU's threads with each whole piece: some devices compute in one, whatever the virtual time is. */
const NAP_MS = 0.05;
/** How far a busy-waiting driver moves time with each look. */
const RELAX_US = 100;

/** QEMU's clock, as far as it was moved. */
class QemuTime {
  readonly #link: Pick<QtestLink, 'irqLines' | 'stepClock'>;
  readonly #nap = new Int32Array(new SharedArrayBuffer(4));
  #nowUs = 0;
  #called = false;

  constructor(link: Pick<QtestLink, 'irqLines' | 'stepClock'>, interrupted: Signal<[]>) {
    this.#link = link;
    link.irqLines.on((_line, raised) => {
      this.#called ||= raised;
    });
    interrupted.on(() => {
      this.#called = true;
    });
  }

  /** Moves to `toUs`, or to the end of the piece in which a line was raised or a doorbell rang. */
  advance(toUs: number): number {
    const pieceUs = Math.max(PIECE_US, (toUs - this.#nowUs) / PIECES);
    this.#called = false;
    while (this.#nowUs < toUs && !this.#called) {
      const end = Math.min(toUs, this.#nowUs + pieceUs);
      if (end - this.#nowUs >= PIECE_US) Atomics.wait(this.#nap, 0, 0, NAP_MS);
      this.#step(end);
    }
    return this.#nowUs;
  }

  #step(toUs: number): void {
    const ns = Math.round(toUs * 1000) - Math.round(this.#nowUs * 1000);
    this.#nowUs = toUs;
    if (ns === 0) return;
    try {
      this.#link.stepClock(ns);
    } catch {
      // QEMU is gone. Time goes on, and whoever wakes hears of it at the next access.
    }
  }
}

/**
 * A virtual clock that takes QEMU's along: sleeping moves both by the same amount, and nothing moves while nobody waits.
 * @internal
 */
export class SteppedClock extends VirtualClock {
  /** @param interrupted told when an interrupt became pending */
  constructor(link: Pick<QtestLink, 'irqLines' | 'stepClock'>, interrupted: Signal<[]>) {
    const qemu = new QemuTime(link, interrupted);
    super({ advance: (toUs) => qemu.advance(toUs) });
  }

  /**
   * Moves time by 100 us, or to the next event if that is sooner.
   * @returns false when that is a deadline: else true, since what is pending in QEMU is not known
   */
  override relax(): boolean {
    const tick = this.after(RELAX_US, () => {});
    const moved = super.relax();
    tick.cancel();
    return moved;
  }
}

/**
 * The clock that a host shows from its construction on, whichever it turns out to have: until `adopt` it stands at 0 and
 * takes listeners, but no events.
 * @internal
 */
export class AdoptedClock implements Clock {
  #clock: Clock | undefined = undefined;
  readonly #ran = new Signal<[]>();

  adopt(clock: Clock): void {
    this.#clock = clock;
    clock.onEvent(() => this.#ran.emit());
  }

  now(): number {
    return this.#clock?.now() ?? 0;
  }
  after(us: number, fn: () => void): ClockEvent {
    return this.#started().after(us, fn);
  }
  deadline(us: number, fn: () => void): ClockEvent {
    return this.#started().deadline(us, fn);
  }
  alarm(us: number, fn: () => void): ClockEvent {
    return this.#started().alarm(us, fn);
  }
  sleep(us: number): Promise<void> {
    return this.#started().sleep(us);
  }
  poll<T>(read: () => T | undefined | false, options: PollOptions): Promise<T> {
    return this.#started().poll(read, options);
  }
  relax(): boolean {
    return this.#started().relax();
  }
  onEvent(listener: () => void): Subscription {
    return this.#ran.on(listener);
  }

  #started(): Clock {
    if (this.#clock === undefined) throw new Errno('EIO', 'qtest: the clock does not run yet: start the host first');
    return this.#clock;
  }
}
