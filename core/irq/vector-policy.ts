import type { ApicMessages } from '../hal/index.js';
import { Errno, assert } from '../lib/errno.js';
import type { IrqCore } from './core.js';
import { CpuMask } from './cpu-mask.js';
import { VectorMatrix, matrixCpu, matrixVector } from './matrix.js';
import * as S from './state.js';
import type { VectorData } from './vector-data.js';
import { VectorMoves } from './vector-moves.js';

/** Lower vectors are exceptions. @see Linux 7.2 arch/x86/include/asm/irq_vectors.h FIRST_EXTERNAL_VECTOR */
const FIRST_VECTOR = 0x20;
/** @see Linux 7.2 irq_vectors.h IA32_SYSCALL_VECTOR */
const SYSTEM_CALL = 0x80;
/** The first of those that the system keeps for itself. @see Linux 7.2 irq_vectors.h FIRST_SYSTEM_VECTOR, POSTED_MSI_NOTIFICATION_VECTOR */
const FIRST_SYSTEM_VECTOR = 0xeb;
/** What messages say while there is no vector: it belongs to nobody. @see Linux 7.2 irq_vectors.h MANAGED_IRQ_SHUTDOWN_VECTOR */
export const PLACEHOLDER_VECTOR = 0xef;

/** The largest ids that fit 8 bits, where the last means all CPUs, and 15 bits. */
const LAST_8_BIT_ID = 0xfe;
const LAST_15_BIT_ID = 0x7fff;

/** Which vectors devices may have. */
export interface VectorOptions {
  /** The first; default 0x20. */
  readonly first?: number;
  /** The first above them; default 0xeb. */
  readonly end?: number;
  /** Those between that are the system's on every CPU; default 0x80 alone. */
  readonly system?: readonly number[];
}

/** What came of a search for a vector: `full`: no CPU had one; `busy`: the last move is not over. */
export type Assignment = 'done' | 'full' | 'busy';

/**
 * Which interrupt gets which vector of which CPU, and when: promised at allocation, taken at activation; managed interrupts
 * have theirs set aside on every CPU of their mask.
 * @see Linux 7.2 arch/x86/kernel/apic/vector.c
 * @internal
 */
export class VectorPolicy {
  readonly matrix: VectorMatrix;
  readonly moves: VectorMoves;
  readonly #core: IrqCore;
  /** CPUs that messages can name. */
  readonly #reachable: CpuMask;
  /** Vectors of each CPU that devices may have. */
  readonly #perCpu: number;
  /** A mask of each CPU alone. */
  readonly #alone: readonly CpuMask[];

  constructor(core: IrqCore, reachable: CpuMask, options: VectorOptions) {
    const { first = FIRST_VECTOR, end = FIRST_SYSTEM_VECTOR, system = [SYSTEM_CALL] } = options;
    this.#core = core;
    this.#reachable = reachable;
    this.matrix = new VectorMatrix({
      cpus: core.cpus.count,
      start: first,
      end,
      warn: (text, kind) => {
        assert(kind === 'overcommitted', text);
        core.device.logFor('warn', 'irq', `${text}: requests may fail`, 'vectors_overcommitted');
      },
    });
    for (const vector of system) this.matrix.assignSystem(vector);
    this.#perCpu = end - first - system.filter((vector) => vector >= first && vector < end).length;
    this.moves = new VectorMoves(core, this.matrix);
    this.#alone = Array.from({ length: core.cpus.count }, (_, cpu) => CpuMask.of(cpu));
    for (const cpu of core.cpus.online) this.addCpu(cpu);
  }

  /** A CPU is there: it takes interrupts if messages can name it. */
  addCpu(cpu: number): void {
    if (this.#reachable.has(cpu)) this.matrix.online(cpu);
  }

  /** A CPU is gone. */
  removeCpu(cpu: number): void {
    this.moves.flush(cpu);
    if (this.matrix.cpu(cpu).online) this.matrix.offline(cpu);
  }

  /** Promises a vector. @see Linux 7.2 vector.c reserve_irq_vector_locked */
  reserve(own: VectorData): void {
    this.matrix.reserve();
    own.canReserve = true;
    own.hasReserved = true;
    this.#core.tracer?.event('vector_reserve', this.#core.currentCpu, own.desc.virq, -1, own.desc.who, '');
    this.usePlaceholder(own);
  }

  /** Sets a vector aside on each CPU of the affinity. @see Linux 7.2 vector.c reserve_managed_vector */
  reserveManaged(own: VectorData): boolean {
    const { affinity } = own.desc;
    if (!this.matrix.reserveManaged(affinity)) return false;
    own.managed = affinity;
    this.#core.tracer?.event('vector_reserve', this.#core.currentCpu, own.desc.virq, -1, own.desc.who, 'managed');
    return true;
  }

  /** Messages name a vector that belongs to nobody. @see Linux 7.2 vector.c vector_assign_managed_shutdown */
  usePlaceholder(own: VectorData): void {
    this.#aim(own, this.#core.cpus.online.first, PLACEHOLDER_VECTOR);
  }

  /** A vector on a CPU of the mask that is online; there is one. @see Linux 7.2 vector.c assign_vector_locked */
  assign(own: VectorData, mask: CpuMask): Assignment {
    const { online } = this.#core.cpus;
    if (own.vector !== 0 && online.has(own.cpu) && mask.has(own.cpu)) return 'done';
    if (this.moves.isUnfinished(own)) return 'busy';
    const target = mask.isSubsetOf(online) ? mask : mask.and(online);
    if (target.isEmpty) return 'full';
    return this.#move(own, this.matrix.alloc(target, own.hasReserved), own.hasReserved ? 'reserved' : '');
  }

  /** A vector where the affinity says, or at least near; else on any CPU. @see Linux 7.2 vector.c assign_irq_vector_any_locked */
  assignAny(own: VectorData): Assignment {
    const { affinity, node } = own.desc;
    const { cpus } = this.#core;
    const near = node >= 0 ? cpus.ofNode(node) : CpuMask.EMPTY;
    if (!near.isEmpty && this.assign(own, near.and(affinity)) === 'done') return 'done';
    if (this.assign(own, affinity) === 'done') return 'done';
    if (!near.isEmpty && this.assign(own, near) === 'done') return 'done';
    return this.assign(own, cpus.online);
  }

  /** One of the vectors that are set aside, on a CPU of the mask that is online. @see Linux 7.2 vector.c assign_managed_vector */
  assignManaged(own: VectorData, managed: CpuMask, mask: CpuMask): Assignment {
    const target = mask.and(managed).and(this.#core.cpus.online);
    if (own.vector !== 0 && target.has(own.cpu)) return 'done';
    if (this.moves.isUnfinished(own)) return 'busy';
    if (target.isEmpty) return 'full';
    return this.#move(own, this.matrix.allocManaged(target), 'managed');
  }

  /** Gives its vectors back. @see Linux 7.2 vector.c clear_irq_vector */
  clear(own: VectorData): void {
    const { vector, cpu, desc } = own;
    if (vector === 0) return;
    // It came before its last CPU went: it is raised again where it starts next.
    if (desc.managedShutdown && this.#core.controller?.isPending(cpu, vector) === true) desc.state |= S.PENDING;
    this.#core.tracer?.event('vector_clear', cpu, desc.virq, vector, desc.who, '');
    this.#core.setVector(cpu, vector, undefined);
    this.matrix.free(cpu, vector, own.isManaged);
    own.vector = 0;
    this.moves.free(own);
  }

  /** Gives back what is promised to it, and what is set aside. @see Linux 7.2 vector.c vector_free_reserved_and_managed */
  release(own: VectorData): void {
    if (own.hasReserved) this.matrix.removeReserved();
    if (own.managed !== undefined) this.matrix.removeManaged(own.managed);
    own.hasReserved = false;
    own.managed = undefined;
  }

  /** Why no CPU of a mask has a vector; or which have none, where each should set one aside. */
  noSpace({ desc, isManaged }: VectorData, mask: CpuMask): Errno {
    const who = `${desc.who}: irq ${desc.virq}`;
    const named = mask.and(this.#reachable);
    if (named.isEmpty) {
      const text = `messages cannot name CPUs ${String(mask)}, but only CPUs ${String(this.#reachable)}`;
      return new Errno('ENOSPC', `${who}: ${text}: needs interrupt remapping with 32-bit ids`);
    }
    const isOnEach = desc.managed && !isManaged;
    const cpus = isOnEach ? CpuMask.from([...named].filter((cpu) => this.#left(cpu) === 0)) : named;
    let left = 0;
    for (const cpu of cpus) left += this.#left(cpu);
    const all = cpus.size * this.#perCpu;
    const text = `no vector is left: ${all - left} of ${all} are in use on CPUs ${String(cpus)}`;
    return new Errno('ENOSPC', `${who}: ${text}: free interrupts, or let several users share one`);
  }

  /** What a CPU, online or not, has left. */
  #left(cpu: number): number {
    const { allocated, managed, managedAllocated } = this.matrix.cpu(cpu);
    return this.#perCpu - allocated - (managed - managedAllocated);
  }

  /** @see Linux 7.2 vector.c apic_update_vector */
  #move(own: VectorData, packed: number, how: string): Assignment {
    if (packed < 0) return 'full';
    const cpu = matrixCpu(packed);
    const vector = matrixVector(packed);
    const { desc } = own;
    const core = this.#core;
    core.tracer?.event('vector_alloc', cpu, desc.virq, vector, desc.who, how);
    core.tracer?.event('vector_update', cpu, desc.virq, vector, desc.who, `from cpu ${own.cpu} vector ${own.vector}`);
    if (own.vector !== 0) {
      own.moveInProgress = true;
      own.prevVector = own.vector;
      own.prevCpu = own.cpu;
    }
    own.vector = vector;
    own.cpu = cpu;
    core.setVector(cpu, vector, desc);
    this.#aim(own, cpu, vector);
    // From a CPU that is going away nothing can arrive that would end the move.
    if (own.moveInProgress && !core.cpus.online.has(own.prevCpu)) this.moves.free(own);
    return 'done';
  }

  #aim(own: VectorData, cpu: number, vector: number): void {
    own.targetCpu = cpu;
    own.targetVector = vector;
    own.desc.effective = this.#alone[cpu]!;
  }
}

/** The CPUs that messages can name: those of the remapping unit, or those that devices send themselves. */
export function reachableCpus(core: IrqCore, messages: ApicMessages): CpuMask {
  const { remapping } = messages;
  if (remapping?.x2apic === true) return core.cpus.possible;
  const last = remapping === undefined && messages.extendedIds ? LAST_15_BIT_ID : LAST_8_BIT_ID;
  return CpuMask.from([...core.cpus.possible].filter((cpu) => messages.apicId(cpu) <= last));
}
