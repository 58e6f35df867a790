import type { ApicMessages, InterruptController, MsiMsg } from '../hal/index.js';
import { composeCompat } from '../hal/index.js';
import { Errno } from '../lib/errno.js';
import { movePending } from './affinity.js';
import { type AffinityResult, type IrqChip, NO_IRQ_CHIP } from './chip.js';
import type { IrqCore } from './core.js';
import type { CpuMask } from './cpu-mask.js';
import type { IrqData } from './data.js';
import { type IrqAllocInfo, IrqDomain } from './domain.js';
import type { VectorMatrix } from './matrix.js';
import * as S from './state.js';
import { VectorData } from './vector-data.js';
import { vectorMsiParent } from './vector-msi.js';
import { type VectorOptions, VectorPolicy, reachableCpus } from './vector-policy.js';

/** More is to be done than to acknowledge. */
const MOVING = S.MOVE_IN_PROGRESS | S.AFFINITY_PENDING;

/**
 * The domain at the CPUs: an interrupt is a vector of a CPU there. All others stand on it.
 * @see Linux 7.2 arch/x86/kernel/apic/vector.c
 */
export class VectorDomain {
  readonly domain: IrqDomain;
  readonly #core: IrqCore;
  readonly #controller: InterruptController;
  readonly #messages: ApicMessages;
  readonly #policy: VectorPolicy;
  readonly #chip: IrqChip;
  readonly #format: { readonly extended: boolean };

  constructor(core: IrqCore, controller: InterruptController, messages: ApicMessages, options: VectorOptions = {}) {
    this.#core = core;
    this.#controller = controller;
    this.#messages = messages;
    this.#format = { extended: messages.extendedIds };
    this.#policy = new VectorPolicy(core, reachableCpus(core, messages), options);
    this.#chip = {
      name: 'APIC',
      // The hot path. @see Linux 7.2 vector.c apic_ack_edge
      ack: (data) => {
        if ((data.desc.state & MOVING) !== 0) this.#moveOn(data);
        controller.eoi(controller.currentCpu);
      },
      setAffinity: (data, mask) => this.#setAffinity(data, mask),
      retrigger: (data) => this.#retrigger(data.chipData as VectorData),
      composeMsiMsg: (data) => this.#compose(data.chipData as VectorData),
      forceCompleteMove: (data) => this.#forceCompleteMove(data.chipData as VectorData),
    };
    this.domain = new IrqDomain(core, {
      name: 'VECTOR',
      ops: {
        alloc: (domain, virq, count, info) => this.#alloc(domain, virq, count, info),
        free: (domain, virq, count) => this.#free(domain, virq, count),
        activate: (_domain, data, reserve) => this.#activate(data.chipData as VectorData, reserve),
        deactivate: (_domain, data) => this.#deactivate(data.chipData as VectorData),
      },
      msiParent: messages.msi ? vectorMsiParent(this) : undefined,
    });
    core.vectorDomain = this;
  }

  /** What is taken. */
  get matrix(): VectorMatrix {
    return this.#policy.matrix;
  }

  /** The message that raises a vector of a CPU, without remapping. */
  message(cpu: number, vector: number): MsiMsg {
    return composeCompat(this.#messages.apicId(cpu), vector, this.#format);
  }

  /** No interrupt goes to the old place of a moved one any more: it is cleaned up soon. @see Linux 7.2 vector.c vector_schedule_cleanup */
  scheduleCleanup(own: VectorData): void {
    this.#policy.moves.schedule(own);
  }

  /** Whether a vector of a CPU is requested and not yet taken. */
  isPending(cpu: number, vector: number): boolean {
    return this.#controller.isPending(cpu, vector);
  }

  /**
   * Whether the other CPUs have room for what a CPU has.
   * @throws {Errno} ENOSPC when they do not
   * @see Linux 7.2 arch/x86/kernel/apic/vector.c lapic_can_unplug_cpu
   */
  checkRemovable(cpu: number): void {
    const { matrix } = this;
    const { online, available } = matrix.cpu(cpu);
    if (!online) return;
    const left = matrix.available - available;
    const toMove = matrix.allocated(cpu);
    if (toMove > left) {
      throw new Errno(
        'ENOSPC',
        `cpu ${cpu}: has ${toMove} vectors to move, and the other CPUs have ${left} left: free interrupts first`,
      );
    }
    if (matrix.reserved > left) {
      const text = `${matrix.reserved} vectors are reserved, and the other CPUs have ${left} left: requests may fail`;
      this.#core.device.logFor('warn', `cpu${cpu}`, text, 'vectors_overcommitted');
    }
  }

  /** A CPU runs again, with the account that it had. */
  addCpu(cpu: number): void {
    this.#policy.addCpu(cpu);
  }

  /** A CPU whose interrupts have moved is gone. */
  removeCpu(cpu: number): void {
    this.#policy.removeCpu(cpu);
  }

  /** Takes the domain away; its interrupts must be gone. */
  close(): void {
    this.#policy.moves.stop();
    this.#core.vectorDomain = undefined;
    this.domain.remove();
  }

  /** @see Linux 7.2 vector.c x86_vector_alloc_irqs, assign_irq_vector_policy */
  #alloc(domain: IrqDomain, virq: number, count: number, { mask }: IrqAllocInfo): void {
    for (let n = 0; n < count; n++) {
      const data = domain.data(virq + n);
      const { desc } = data;
      const own = new VectorData(desc);
      data.set(virq + n, this.#chip, own);
      desc.state |= S.SINGLE_TARGET | S.ENFORCE_IRQ_CONTEXT | S.AFFINITY_ON_ACTIVATE;
      let isPlaced = true;
      if (desc.managed) {
        isPlaced = this.#policy.reserveManaged(own);
      } else if (mask !== undefined) {
        isPlaced = this.#policy.assign(own, mask) === 'done';
      } else {
        this.#policy.reserve(own);
        desc.state |= S.CAN_RESERVE;
      }
      if (isPlaced) continue;
      this.#free(domain, virq, n + 1);
      throw this.#policy.noSpace(own, mask ?? desc.affinity);
    }
  }

  /** @see Linux 7.2 vector.c x86_vector_free_irqs */
  #free(domain: IrqDomain, virq: number, count: number): void {
    for (let n = 0; n < count; n++) {
      const data = domain.data(virq + n);
      const { chipData } = data;
      if (!(chipData instanceof VectorData)) continue;
      this.#policy.clear(chipData);
      this.#policy.release(chipData);
      data.set(0, NO_IRQ_CHIP, undefined);
    }
  }

  /** @see Linux 7.2 vector.c x86_vector_activate; unlike there, an interrupt without vector is not activated */
  #activate(own: VectorData, reserve: boolean): void {
    const { desc } = own;
    this.#core.tracer?.event('vector_activate', this.#core.currentCpu, desc.virq, own.vector, desc.who, flags(own, reserve));
    if (!own.canReserve && !own.isManaged) {
      this.#checkPlaced(own, this.#policy.assignAny(own), this.#core.cpus.online);
    } else if (reserve || (desc.managed && desc.managedShutdown)) {
      this.#policy.usePlaceholder(own);
    } else if (own.managed !== undefined) {
      this.#checkPlaced(own, this.#policy.assignManaged(own, own.managed, desc.affinity));
    } else if (own.hasReserved) {
      this.#activateReserved(own);
    }
  }

  /** @see Linux 7.2 vector.c activate_reserved */
  #activateReserved(own: VectorData): void {
    const { desc } = own;
    this.#checkPlaced(own, this.#policy.assignAny(own), this.#core.cpus.online);
    own.hasReserved = false;
    // Only now is it known whether the device can be kept quiet while the vector is somebody else's.
    if (!desc.canReserve) own.canReserve = false;
    if (desc.effective.isSubsetOf(desc.affinity)) return;
    this.#core.log('warn', desc, `irq ${desc.virq}: affinity to CPUs ${String(desc.affinity)} broken: they have no vector left`);
  }

  /** @see Linux 7.2 vector.c x86_vector_deactivate */
  #deactivate(own: VectorData): void {
    const { desc } = own;
    this.#core.tracer?.event('vector_deactivate', this.#core.currentCpu, desc.virq, own.vector, desc.who, flags(own, false));
    if ((!own.isManaged && !own.canReserve) || own.hasReserved) return;
    this.#policy.clear(own);
    if (own.canReserve) this.#policy.reserve(own);
    else this.#policy.usePlaceholder(own);
  }

  /** @see Linux 7.2 vector.c apic_set_affinity */
  #setAffinity(data: IrqData, mask: CpuMask): AffinityResult {
    const { desc } = data;
    const own = data.chipData as VectorData;
    if (!desc.activated) {
      this.#core.report('affinity-before-activation', desc, `irq ${desc.virq}: its chip asked to move it before it is active`);
      throw new Errno('EIO', `${desc.who}: irq ${desc.virq}: is not active and cannot be moved`);
    }
    const result =
      own.managed === undefined ? this.#policy.assign(own, mask) : this.#policy.assignManaged(own, own.managed, mask);
    if (result === 'busy') return 'busy';
    this.#checkPlaced(own, result, mask);
    return 'ok';
  }

  #checkPlaced(own: VectorData, result: string, mask = own.desc.affinity): void {
    if (result === 'done') return;
    const { desc } = own;
    const { online } = this.#core.cpus;
    if (result === 'busy') throw new Errno('EBUSY', `${desc.who}: irq ${desc.virq}: its last move is not over`);
    if (!mask.intersects(online)) {
      throw new Errno(
        'EINVAL',
        `${desc.who}: irq ${desc.virq}: none of CPUs ${String(mask)} is online: online are ${String(online)}`,
      );
    }
    throw this.#policy.noSpace(own, mask.and(online));
  }

  /** Something is to be done when an interrupt is acknowledged. */
  #moveOn({ desc, chipData }: IrqData): void {
    const own = chipData as VectorData;
    if (own.moveInProgress && own.cpu === this.#controller.currentCpu) this.#policy.moves.schedule(own);
    if ((desc.state & S.AFFINITY_PENDING) !== 0) movePending(desc);
  }

  #retrigger(own: VectorData): boolean {
    if (own.vector === 0) return false;
    this.#controller.send(own.cpu, own.vector);
    return true;
  }

  #compose(own: VectorData): MsiMsg {
    return this.message(own.targetCpu, own.targetVector);
  }

  /** @see Linux 7.2 vector.c apic_force_complete_move */
  #forceCompleteMove(own: VectorData): void {
    const { online } = this.#core.cpus;
    if (!online.has(own.cpu) || !online.has(own.prevCpu)) this.#policy.moves.free(own);
  }
}

const flags = (own: VectorData, reserve: boolean): string =>
  `is_managed=${own.isManaged} can_reserve=${own.canReserve} reserve=${reserve}`;
