import type { ClockEvent } from '../hal/index.js';
import type { IrqCore } from './core.js';
import type { VectorMatrix } from './matrix.js';
import type { VectorData } from './vector-data.js';

/** Time between two timer interrupts of a CPU. */
const TICK_US = 1000;

/**
 * The vectors that interrupts have moved away from. Each is freed by the next tick of its CPU, unless it is still pending there.
 * @see Linux 7.2 arch/x86/kernel/apic/vector.c __vector_schedule_cleanup, vector_cleanup_callback
 * @internal
 */
export class VectorMoves {
  readonly #core: IrqCore;
  readonly #matrix: VectorMatrix;
  /** By the CPU that was left. */
  readonly #waiting: Set<VectorData>[] = [];
  readonly #ticks: (ClockEvent | undefined)[] = [];

  constructor(core: IrqCore, matrix: VectorMatrix) {
    this.#core = core;
    this.#matrix = matrix;
    for (let cpu = 0; cpu < core.cpus.count; cpu++) {
      this.#waiting.push(new Set());
      this.#ticks.push(undefined);
    }
  }

  /** Whether the old vector of an interrupt is still there. */
  isUnfinished(own: VectorData): boolean {
    return own.prevVector !== 0;
  }

  /** Nothing arrives at the old place any more: it is freed soon. */
  schedule(own: VectorData): void {
    if (!own.moveInProgress) return;
    own.moveInProgress = false;
    const cpu = own.prevCpu;
    if (!this.#core.cpus.online.has(cpu)) {
      this.free(own);
      return;
    }
    this.#waiting[cpu]!.add(own);
    this.#ticks[cpu] ??= this.#core.clock.after(TICK_US, () => this.#tick(cpu));
  }

  /**
   * Frees the old vector of an interrupt now; what is pending there is raised again at the new one.
   * @see Linux 7.2 vector.c free_moved_vector; arch/x86/kernel/irq.c fixup_irqs
   */
  free(own: VectorData): void {
    const { prevVector: vector, prevCpu: cpu, desc } = own;
    if (vector === 0) return;
    this.#core.tracer?.event('vector_free_moved', cpu, desc.virq, vector, desc.who, own.isManaged ? 'managed' : '');
    this.#core.setVector(cpu, vector, undefined);
    this.#matrix.free(cpu, vector, own.isManaged);
    this.#waiting[cpu]!.delete(own);
    own.prevVector = 0;
    own.moveInProgress = false;
    const { controller } = this.#core;
    if (own.vector !== 0 && controller?.isPending(cpu, vector) === true) controller.send(own.cpu, own.vector);
  }

  /** The CPU has no ticks any more: frees what it left over, pending or not. */
  flush(cpu: number): void {
    this.#ticks[cpu]?.cancel();
    this.#ticks[cpu] = undefined;
    for (const own of this.#waiting[cpu]!) this.free(own);
  }

  /** Ends all ticks. */
  stop(): void {
    for (const tick of this.#ticks) tick?.cancel();
    this.#ticks.fill(undefined);
  }

  #tick(cpu: number): void {
    this.#ticks[cpu] = undefined;
    const waiting = this.#waiting[cpu]!;
    for (const own of waiting) {
      if (this.#core.controller?.isPending(cpu, own.prevVector) !== true) this.free(own);
    }
    if (waiting.size > 0) this.#ticks[cpu] = this.#core.clock.after(TICK_US, () => this.#tick(cpu));
  }
}
