/** When an interrupt comes at the latest. @see Linux 7.2 include/linux/dim.h struct dim_cq_moder */
export interface Moderation {
  /** Microseconds after what it is for. */
  readonly us: number;
  /** Packets that it is for. */
  readonly frames: number;
}

/** What {@link Dim} chooses from: quick first, then ever fewer interrupts. @see Linux 7.2 lib/dim/net_dim.c NET_DIM_RX_EQE_PROFILES, NET_DIM_TX_EQE_PROFILES */
export const DIM_PROFILES = {
  rx: profiles(256, [1, 8, 64, 128, 256]),
  tx: profiles(128, [1, 8, 32, 64, 128]),
} as const;

/** Interrupts that one measurement takes. @see Linux 7.2 include/linux/dim.h DIM_NEVENTS */
const EVENTS = 64;
/** In per cent: what differs by no more is the same. @see Linux 7.2 include/linux/dim.h IS_SIGNIFICANT_DIFF */
const NOISE = 10;

/** What is done with the next sample. @see Linux 7.2 include/linux/dim.h enum dim_state */
const BEGIN = 0;
const MEASURE = 1;
/** Its user has not applied the choice yet. */
const WAIT = 2;

/** The best there is, until the traffic changes. @see Linux 7.2 include/linux/dim.h enum dim_tune_state */
const ON_TOP = 0;
/** It has tried for long; rests as long as that. */
const TIRED = 1;
/** To fewer interrupts. */
const RIGHT = 2;
/** To more. */
const LEFT = 3;

/**
 * Chooses how long interrupts of a queue wait, by what comes: more bytes are better, then more packets, then fewer interrupts. It tries a
 * neighbour of what it has, goes on while that is better, turns when it is not, and stays where both sides are worse.
 *
 * It knows no clock and no device: its user samples it whenever a poll is over, and applies what it has chosen. No sample allocates.
 * @example
 * ```ts
 * if (dim.sample(clock.now(), interrupts, packets, bytes)) void apply(dim.moderation).finally(() => dim.applied());
 * ```
 * @see Linux 7.2 lib/dim/net_dim.c net_dim, Documentation/networking/net_dim.rst
 */
export class Dim {
  readonly #profiles: readonly Moderation[];
  #index = 0;
  #phase: number = BEGIN;
  #tune: number = ON_TOP;
  #rightSteps = 0;
  #leftSteps = 0;
  /** Steps since it was parked. */
  #tired = 0;
  // Where the measurement began.
  #us = 0;
  #events = 0;
  #packets = 0;
  #bytes = 0;
  // What the last one said, by the millisecond.
  #eventRate = 0;
  #packetRate = 0;
  #byteRate = 0;

  /** @param profiles one at least, ever fewer interrupts; default {@link DIM_PROFILES} of receive queues */
  constructor(profiles: readonly Moderation[] = DIM_PROFILES.rx) {
    this.#profiles = profiles;
  }

  /** What it has chosen; the first of all at first. */
  get moderation(): Moderation {
    return this.#profiles[this.#index]!;
  }

  /**
   * Tells what was counted so far; the counters never go back.
   * @param nowUs in microseconds
   * @returns whether it has chosen something else: nothing more is measured before {@link applied}
   */
  sample(nowUs: number, events: number, packets: number, bytes: number): boolean {
    if (this.#phase === WAIT) return false;
    if (this.#phase === MEASURE) {
      const count = events - this.#events;
      const us = nowUs - this.#us;
      // Rates need time: the clock of a simulation stands still while a CPU works.
      if (count < EVENTS || us <= 0) return false;
      if (this.#decide(rate(count, us), rate(packets - this.#packets, us), rate(bytes - this.#bytes, us))) {
        this.#phase = WAIT;
        return true;
      }
    }
    this.#us = nowUs;
    this.#events = events;
    this.#packets = packets;
    this.#bytes = bytes;
    this.#phase = MEASURE;
    return false;
  }

  /** The device does what was chosen, or refused to: the next sample begins a measurement. */
  applied(): void {
    this.#phase = BEGIN;
  }

  /** @returns whether it has chosen something else @see Linux 7.2 lib/dim/net_dim.c net_dim_decision */
  #decide(eventRate: number, packetRate: number, byteRate: number): boolean {
    const index = this.#index;
    const wasOnTop = this.#tune === ON_TOP;
    if (wasOnTop) {
      if (this.#compare(eventRate, packetRate, byteRate) !== 0) this.#leaveParking();
    } else if (this.#tune === TIRED) {
      this.#tired--;
      if (this.#tired === 0) this.#leaveParking();
    } else {
      this.#walk(this.#compare(eventRate, packetRate, byteRate) > 0);
    }
    // On top it is compared with what was best, so that a slow change is noticed too.
    if (!wasOnTop || this.#tune !== ON_TOP) {
      this.#eventRate = eventRate;
      this.#packetRate = packetRate;
      this.#byteRate = byteRate;
    }
    return this.#index !== index;
  }

  /** @returns above 0 when it is better than before, below when it is worse @see Linux 7.2 net_dim_stats_compare */
  #compare(eventRate: number, packetRate: number, byteRate: number): number {
    const byBytes = difference(byteRate, this.#byteRate);
    if (byBytes !== 0 || this.#byteRate === 0) return byBytes;
    const byPackets = difference(packetRate, this.#packetRate);
    if (byPackets !== 0 || this.#packetRate === 0) return byPackets;
    return -difference(eventRate, this.#eventRate);
  }

  #walk(isBetter: boolean): void {
    if (!isBetter) this.#turn();
    if (this.#isOnTop()) this.#park(ON_TOP);
    else if (this.#tired === this.#profiles.length * 2) this.#park(TIRED);
    else if (!this.#step()) this.#park(ON_TOP);
  }

  /** @see Linux 7.2 lib/dim/dim.c dim_turn */
  #turn(): void {
    if (this.#tune === RIGHT) {
      this.#tune = LEFT;
      this.#leftSteps = 0;
    } else {
      this.#tune = RIGHT;
      this.#rightSteps = 0;
    }
  }

  /** Whether it has come over the best and back to it. @see Linux 7.2 lib/dim/dim.c dim_on_top */
  #isOnTop(): boolean {
    if (this.#tune === RIGHT) return this.#leftSteps > 1 && this.#rightSteps === 1;
    return this.#rightSteps > 1 && this.#leftSteps === 1;
  }

  #leaveParking(): void {
    this.#tune = this.#index > 0 ? LEFT : RIGHT;
    this.#step();
  }

  /** @see Linux 7.2 lib/dim/dim.c dim_park_on_top, dim_park_tired */
  #park(tune: typeof ON_TOP | typeof TIRED): void {
    this.#rightSteps = 0;
    this.#leftSteps = 0;
    if (tune === ON_TOP) this.#tired = 0;
    this.#tune = tune;
  }

  /** @returns whether there was a neighbour @see Linux 7.2 lib/dim/net_dim.c net_dim_step */
  #step(): boolean {
    if (this.#tune === RIGHT) {
      if (this.#index === this.#profiles.length - 1) return false;
      this.#index++;
      this.#rightSteps++;
    } else {
      if (this.#index === 0) return false;
      this.#index--;
      this.#leftSteps++;
    }
    this.#tired++;
    return true;
  }
}

/** By the millisecond. @see Linux 7.2 lib/dim/dim.c dim_calc_stats */
function rate(count: number, us: number): number {
  return Math.ceil((count * 1000) / us);
}

/** @returns 0 when they are about the same, else the sign of what is more than `before` */
function difference(now: number, before: number): number {
  if (before === 0) return Math.sign(now);
  return Math.floor((100 * Math.abs(now - before)) / before) > NOISE ? Math.sign(now - before) : 0;
}

function profiles(frames: number, periods: readonly number[]): readonly Moderation[] {
  return periods.map((us) => ({ us, frames }));
}
