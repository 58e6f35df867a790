import type { InterruptController } from '../hal/index.js';
import { checkRange } from '../lib/bits.js';
import { CpuMask, MAX_CPUS } from './cpu-mask.js';

/**
 * The CPUs of a system: which can be, which run, and how they are near to each other.
 *
 * Here they are only known; `Irqs.offline` and `online` take them out and in, and move the interrupts.
 */
export class IrqCpus {
  readonly possible: CpuMask;
  readonly present: CpuMask;
  /** Those that run now. */
  online: CpuMask;
  /** Where interrupts go that nobody has said anything about. @see Linux 7.2 kernel/irq/manage.c irq_default_affinity */
  defaultAffinity: CpuMask;
  /** CPUs that managed interrupts keep away from while another can serve them. */
  isolated = CpuMask.EMPTY;
  readonly #nodes: readonly CpuMask[];
  readonly #nodeOf: readonly number[];

  /** @param controller without one there is one CPU */
  constructor(controller: InterruptController | undefined) {
    const count = controller?.cpus ?? 1;
    checkRange('irq', 'the number of CPUs', count, 1, MAX_CPUS);
    this.possible = CpuMask.all(count);
    this.present = this.possible;
    this.online = this.possible;
    this.defaultAffinity = this.possible;
    this.#nodeOf = Array.from({ length: count }, (_, cpu) => controller?.node?.(cpu) ?? 0);
    const nodes: number[][] = [];
    for (const [cpu, node] of this.#nodeOf.entries()) (nodes[node] ??= []).push(cpu);
    this.#nodes = Array.from(nodes, (cpus) => CpuMask.from(cpus ?? []));
  }

  /** How many can be. */
  get count(): number {
    return this.#nodeOf.length;
  }

  node(cpu: number): number {
    return this.#nodeOf[cpu] ?? 0;
  }

  ofNode(node: number): CpuMask {
    return this.#nodes[node] ?? CpuMask.EMPTY;
  }

  /** CPUs that share a core with one: itself alone, there is no simultaneous multithreading here. */
  siblings(cpu: number): CpuMask {
    return CpuMask.of(cpu);
  }
}
