/** What interrupts and packets cost a CPU: the simulated one works in no time, so that somebody has to say. */
import type { Clock, IrqTracer } from 'backplane';

/** Microseconds of a CPU. */
export interface Costs {
  /** An interrupt: entry, acknowledgement, exit. */
  readonly interruptUs: number;
  /** An event queue that its handler looks at: one line of memory, and an uncached store that arms it again. */
  readonly eventQueueUs: number;
  /** A packet: its poll, the program that answers, and sending that. */
  readonly packetUs: number;
}

/**
 * Keeps account of how long CPUs are busy, and puts off what comes for one that is. What comes for it meanwhile is taken together: a vector
 * that is requested again before it was served is served once.
 */
export class BusyCpus implements IrqTracer {
  interrupts = 0;
  readonly #clock: Clock;
  readonly #costs: Costs;
  /** By interrupt: event queues that share it. */
  readonly #queues: ReadonlyMap<number, number>;
  readonly #until: number[];
  readonly #waiting: (() => void)[][];

  constructor(clock: Clock, cpus: number, costs: Costs, queues: ReadonlyMap<number, number>) {
    this.#clock = clock;
    this.#costs = costs;
    this.#queues = queues;
    this.#until = Array.from({ length: cpus }, () => 0);
    this.#waiting = Array.from({ length: cpus }, () => []);
  }

  /** An interrupt is handled. */
  event(name: string, cpu: number, virq: number): void {
    if (name !== 'irq_handler_entry') return;
    this.interrupts++;
    this.#work(cpu, this.#costs.interruptUs + (this.#queues.get(virq) ?? 1) * this.#costs.eventQueueUs);
  }

  /** A packet is handled. @returns microseconds until that is done */
  packet(cpu: number): number {
    return this.#work(cpu, this.#costs.packetUs);
  }

  /** Has the device bring something for a CPU: as soon as it is not busy. */
  bring(cpu: number, fn: () => void): void {
    const waiting = this.#waiting[cpu]!;
    if (waiting.length === 0 && this.#left(cpu) === 0) fn();
    else if (waiting.push(fn) === 1) this.#wait(cpu);
  }

  #wait(cpu: number): void {
    this.#clock.after(this.#left(cpu), () => {
      if (this.#left(cpu) > 0) this.#wait(cpu);
      else for (const fn of this.#waiting[cpu]!.splice(0)) fn();
    });
  }

  #work(cpu: number, us: number): number {
    this.#until[cpu] = Math.max(this.#until[cpu]!, this.#clock.now()) + us;
    return this.#left(cpu);
  }

  #left(cpu: number): number {
    return Math.max(0, this.#until[cpu]! - this.#clock.now());
  }
}
