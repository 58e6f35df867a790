import type { IrqCore } from './core.js';
import type { VectorMatrix } from './matrix.js';

/** A vector of a CPU. */
export interface VectorPlace {
  readonly cpu: number;
  readonly vector: number;
}

/** One CPU, and which of its vectors are somebody's. */
export interface CpuVectorsView {
  readonly cpu: number;
  readonly online: boolean;
  /** Ascending by vector. */
  readonly vectors: readonly { readonly vector: number; readonly virq: number }[];
  /** Undefined on a host without APICs. */
  readonly counts: CpuCounts | undefined;
}

/** The account of one CPU. */
export interface CpuCounts {
  readonly available: number;
  readonly allocated: number;
  /** Set aside for managed interrupts. */
  readonly managed: number;
  /** How many of those are in use. */
  readonly managedAllocated: number;
}

/** The vectors of all CPUs. */
export interface VectorsView {
  readonly cpus: readonly CpuVectorsView[];
  /** Undefined on a host without APICs. */
  readonly totals: VectorTotals | undefined;
  /** Vectors that came and belonged to nobody. */
  readonly unexpected: number;
}

/** Of the CPUs that are online. */
export interface VectorTotals {
  readonly available: number;
  readonly allocated: number;
  /** Promised, and taken when they are requested. */
  readonly reserved: number;
  /** The vectors that the system keeps for itself, ascending. */
  readonly system: readonly number[];
}

/** @see Linux 7.2 arch/x86/kernel/apic/vector.c x86_vector_debug_show */
export function vectorsView(core: IrqCore): VectorsView {
  const matrix = core.vectorDomain?.matrix;
  const owned = Array.from(core.cpus.possible, (): { vector: number; virq: number }[] => []);
  for (const { cpu, vector, virq } of vectorsInUse(core)) owned[cpu]!.push({ vector, virq });
  return {
    cpus: owned.map((vectors, cpu) => ({
      cpu,
      online: core.cpus.online.has(cpu),
      vectors,
      counts: matrix === undefined ? undefined : countsOf(matrix, cpu),
    })),
    totals: matrix === undefined ? undefined : totalsOf(matrix, core.cpus.count),
    unexpected: core.unexpectedCount,
  };
}

function countsOf(matrix: VectorMatrix, cpu: number): CpuCounts {
  const { available, allocated, managed, managedAllocated } = matrix.cpu(cpu);
  return { available, allocated, managed, managedAllocated };
}

function totalsOf(matrix: VectorMatrix, cpus: number): VectorTotals {
  const { available, reserved, systemVectors: system } = matrix;
  let allocated = 0;
  // Its own total leaves out what was freed on CPUs that are offline, as Linux's does.
  for (let cpu = 0; cpu < cpus; cpu++) allocated += matrix.cpu(cpu).allocated;
  return { available, allocated, reserved, system };
}

/** The vectors that are somebody's, by CPU and vector. @internal */
export function* vectorsInUse(core: IrqCore): Generator<VectorPlace & { readonly virq: number }> {
  const vectors = core.controller?.vectors ?? 0;
  for (let cpu = 0; cpu < core.cpus.count; cpu++) {
    for (let vector = 0; vector < vectors; vector++) {
      const virq = core.vector(cpu, vector)?.virq;
      if (virq !== undefined) yield { cpu, vector, virq };
    }
  }
}
