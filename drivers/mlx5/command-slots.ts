import { type Clock, type ClockEvent, Errno } from '../../core/index.js';

interface Waiter {
  readonly what: string;
  readonly timeoutUs: number;
  readonly resolve: (slot: number) => void;
  readonly reject: (error: Errno) => void;
  alarm: ClockEvent | undefined;
}

/**
 * Slots of the command queue, and who waits for one: first come, first served. A slot whose command has not been answered in time is lost
 * until that comes: the device may still write what belongs to it.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/cmd.c cmd_work_handler
 */
export class CommandSlots {
  readonly #clock: Clock;
  readonly #who: string;
  readonly #all: number;
  #free: number;
  #lost = 0;
  readonly #waiters: Waiter[] = [];
  #idle: (() => void)[] = [];

  /** @param mask its slots, a bit each; the words here are signed */
  constructor(clock: Clock, who: string, mask: number) {
    this.#clock = clock;
    this.#who = who;
    this.#all = mask | 0;
    this.#free = mask | 0;
  }

  /** Slots whose command is waited for, a bit each. */
  get busy(): number {
    return (this.#all & ~this.#free & ~this.#lost) >>> 0;
  }

  /** Slots that are lost, a bit each. */
  get lost(): number {
    return this.#lost >>> 0;
  }

  /**
   * The lowest free slot.
   * @throws {Errno} EAGAIN when all of them are lost; EBUSY when it is the first in the line for too long, ECANCELED when it is never
   */
  take(what: string, timeoutUs: number): Promise<number> {
    if (this.#lost === this.#all) {
      return Promise.reject(new Errno('EAGAIN', `${this.#who}: ${what}: no slot has answered: reset the function`));
    }
    const free = this.#free;
    if (free !== 0 && this.#waiters.length === 0) return Promise.resolve(this.#pick(free));
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { what, timeoutUs, resolve, reject, alarm: undefined };
      this.#waiters.push(waiter);
      this.#limit(waiter);
    });
  }

  /** A slot is free again; lost or not. */
  give(slot: number): void {
    const bit = 1 << slot;
    this.#lost &= ~bit;
    this.#free |= bit;
    const first = this.#waiters.shift();
    if (first !== undefined) {
      first.alarm?.cancel();
      first.resolve(this.#pick(this.#free));
      const next = this.#waiters[0];
      if (next !== undefined) this.#limit(next);
    }
    this.#tellIdle();
  }

  /** The command of a slot is not waited for any more. */
  lose(slot: number): void {
    this.#lost |= 1 << slot;
    this.#tellIdle();
  }

  /** Nobody gets a slot who waits for one. */
  fail(error: Errno): void {
    for (const { alarm, reject } of this.#waiters.splice(0)) {
      alarm?.cancel();
      reject(error);
    }
  }

  /** Resolves when no command is waited for. */
  whenIdle(): Promise<void> {
    return this.busy === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }

  #pick(free: number): number {
    const slot = 31 - Math.clz32(free & -free);
    this.#free &= ~(1 << slot);
    return slot;
  }

  /** Each has its time twice: until it is the first, and then until it has a slot. */
  #limit(waiter: Waiter): void {
    waiter.alarm?.cancel();
    waiter.alarm = this.#clock.alarm(waiter.timeoutUs, () => {
      const isFirst = this.#waiters[0] === waiter;
      this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
      const [code, text] = isFirst ? (['EBUSY', 'waiting for a slot'] as const) : (['ECANCELED', 'out of queue'] as const);
      waiter.reject(new Errno(code, `${this.#who}: ${waiter.what}: timed out ${text}, after ${waiter.timeoutUs} us`));
      const next = this.#waiters[0];
      if (isFirst && next !== undefined) this.#limit(next);
    });
  }

  #tellIdle(): void {
    if (this.busy !== 0 || this.#idle.length === 0) return;
    const all = this.#idle;
    this.#idle = [];
    for (const resolve of all) resolve();
  }
}
