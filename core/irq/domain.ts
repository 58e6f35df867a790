import { Errno, joinErrors } from '../lib/errno.js';
import { NumberTable } from '../lib/number-table.js';
import type { Device } from '../device/index.js';
import { type IrqChip, NO_IRQ_CHIP } from './chip.js';
import type { IrqCore } from './core.js';
import type { CpuMask } from './cpu-mask.js';
import { IrqData } from './data.js';
import type { IrqDesc } from './desc.js';
import { type FlowHandler, handleBad } from './flow.js';
import type { MsiParentOps } from './msi-parent.js';
import * as S from './state.js';
import type { IrqAffinityDesc, TriggerType } from './types.js';

/** What kind of bus a domain serves: two domains of one device differ in it. @see Linux 7.2 include/linux/irqdomain_defs.h */
export type BusToken =
  | 'any'
  | 'wired'
  | 'pci-msi'
  | 'pci-device-msi'
  | 'pci-device-msix'
  | 'pci-device-ims'
  | 'device-msi'
  | 'device-ims'
  | 'dmar'
  | 'wired-to-msi';

/**
 * What an allocation goes by on its way through the levels: each sets what its parent needs.
 * @see Linux 7.2 arch/x86/include/asm/hw_irq.h struct irq_alloc_info
 */
export interface IrqAllocInfo {
  /** Decides how parents treat it: IMS as MSI-X. */
  kind: 'msi' | 'msix' | 'ims' | 'line';
  /** The number in the outermost domain. */
  hwirq: number;
  /** Who will send the message; undefined when that is not known, and not checked. */
  requesterId: number | undefined;
  device: Device | undefined;
  /** The descriptor of a message. */
  desc: object | undefined;
  /** Where it must have a vector at once; absent: when it is activated, where its affinity says. */
  readonly mask?: CpuMask;
}

/** What a domain does for interrupts. @see Linux 7.2 include/linux/irqdomain.h struct irq_domain_ops */
export interface IrqDomainOps {
  /**
   * Sets up `count` interrupts from `virq` on at this level; by contract it has its parent do so (`allocParent`) before it uses
   * the parent's data. Absent: the domain is no hierarchy.
   * @throws what it cannot do; what it has taken is given back then
   */
  alloc?(domain: IrqDomain, virq: number, count: number, info: IrqAllocInfo): void;
  /** Gives one interrupt back at this level, and at its parent's (`freeParent`). */
  free?(domain: IrqDomain, virq: number, count: number): void;
  /** @param reserve a placeholder will do until it is requested */
  activate?(domain: IrqDomain, data: IrqData, reserve: boolean): void;
  deactivate?(domain: IrqDomain, data: IrqData): void;
  /** Of a domain without hierarchy: sets up one interrupt. */
  map?(domain: IrqDomain, virq: number, hwirq: number): void;
  unmap?(domain: IrqDomain, virq: number): void;
}

export interface IrqDomainOptions {
  readonly name: string;
  readonly ops: IrqDomainOps;
  /** The domain towards the CPU. */
  readonly parent?: IrqDomain | undefined;
  readonly busToken?: BusToken;
  /** The first number that is too large; default none is. */
  readonly hwirqMax?: number;
  /** The ops' own. */
  readonly hostData?: unknown;
  /** Makes it a parent of the MSI domains of devices. */
  readonly msiParent?: MsiParentOps | undefined;
  /** The device whose domain it is. */
  readonly device?: Device | undefined;
  /** Whether it verifies that a device may raise the interrupt it names. */
  readonly isolatedMsi?: boolean;
}

/** What a hierarchical allocation may say. */
export interface IrqAllocOptions {
  /** NUMA node, default any. */
  readonly node?: number;
  /** One for each interrupt. */
  readonly affinity?: readonly IrqAffinityDesc[] | undefined;
  /** The number that a single interrupt must have; default any. */
  readonly virq?: number;
}

/**
 * One interrupt controller's numbers (hwirq), and the interrupts (virq) behind them. Domains stack: each level has a chip and a
 * number of its own for the same interrupt.
 * @see Linux 7.2 kernel/irq/irqdomain.c
 */
export class IrqDomain {
  readonly name: string;
  readonly ops: IrqDomainOps;
  readonly parent: IrqDomain | undefined;
  readonly busToken: BusToken;
  readonly hwirqMax: number;
  readonly msiParent: MsiParentOps | undefined;
  readonly device: Device | undefined;
  readonly isolatedMsi: boolean;
  hostData: unknown;
  readonly #byHwirq = new NumberTable<IrqDesc>();
  #isRemoved = false;

  /** The domain is in the system from now on. */
  constructor(
    readonly core: IrqCore,
    options: IrqDomainOptions,
  ) {
    this.name = options.name;
    this.ops = options.ops;
    this.parent = options.parent;
    this.busToken = options.busToken ?? 'any';
    this.hwirqMax = options.hwirqMax ?? Number.MAX_SAFE_INTEGER;
    this.hostData = options.hostData;
    this.msiParent = options.msiParent;
    this.device = options.device;
    this.isolatedMsi = options.isolatedMsi ?? false;
    core.domains.add(this);
  }

  /** How many interrupts are mapped. */
  get size(): number {
    return this.#byHwirq.size;
  }

  get isHierarchy(): boolean {
    return this.ops.alloc !== undefined;
  }

  /** The interrupt of a number; undefined when none is mapped. */
  lookup(hwirq: number): IrqDesc | undefined {
    return this.#byHwirq.get(hwirq);
  }

  /** The mapped interrupts by number, in order. */
  mappings(): [hwirq: number, desc: IrqDesc][] {
    return [...this.#byHwirq.entries()].sort(([a], [b]) => a - b);
  }

  // A hierarchy

  /**
   * Allocates interrupts through all levels.
   * @returns the first number
   * @throws {Errno} ENOSYS without hierarchy; ENOSPC without numbers; EEXIST when `options.virq` or a level's number is taken; what a level threw.
   *   Nothing is left then
   * @see Linux 7.2 kernel/irq/irqdomain.c irq_domain_alloc_irqs_locked
   */
  allocIrqs(count: number, info: IrqAllocInfo, options: IrqAllocOptions = {}): number {
    const { ops, core } = this;
    if (ops.alloc === undefined) throw new Errno('ENOSYS', `domain ${this.name}: is no hierarchy`);
    const virq = options.virq === undefined ? core.allocDescs(count, options) : core.allocDescAt(options.virq, options);
    for (let n = 0; n < count; n++) this.#addLevels(core.descs[virq + n]!);
    this.#traceAlloc(virq);
    try {
      ops.alloc(this, virq, count, info);
    } catch (error) {
      core.freeDescs(virq, count);
      throw error;
    }
    for (let n = 0; n < count; n++) {
      if (insert(core.descs[virq + n]!)) continue;
      const error = new Errno(
        'EEXIST',
        `domain ${this.name}: a number of irq ${virq + n} is mapped already in one of its levels`,
      );
      this.freeIrqs(virq, count);
      throw error;
    }
    return virq;
  }

  /**
   * Frees interrupts through all levels. Their handlers must be gone.
   * @throws {Errno} EINVAL when one of them is not of this domain: nothing has changed then; what levels threw, when all are free
   * @see Linux 7.2 kernel/irq/irqdomain.c irq_domain_free_irqs
   */
  freeIrqs(virq: number, count: number): void {
    const { core, ops } = this;
    const errors: unknown[] = [];
    for (let n = 0; n < count; n++) {
      if (core.descs[virq + n]?.data.domain === this) continue;
      throw new Errno('EINVAL', `domain ${this.name}: irq ${virq + n} is not of this domain, and cannot be freed here`);
    }
    for (let n = 0; n < count; n++) remove(core.descs[virq + n]!);
    for (let n = 0; n < count; n++) {
      try {
        ops.free?.(this, virq + n, 1);
      } catch (error) {
        errors.push(error);
      }
    }
    core.freeDescs(virq, count);
    if (errors.length > 0) throw joinErrors(errors, `freeing irq ${virq} of domain ${this.name}`);
  }

  /** For `ops.alloc`: the same at the parent. @throws {Errno} ENOSYS without parent */
  allocParent(virq: number, count: number, info: IrqAllocInfo): void {
    const { parent } = this;
    if (parent?.ops.alloc === undefined) throw new Errno('ENOSYS', `domain ${this.name}: has no parent that allocates`);
    parent.#traceAlloc(virq);
    parent.ops.alloc(parent, virq, count, info);
  }

  #traceAlloc(virq: number): void {
    const { core } = this;
    core.tracer?.event('irq_domain_alloc', core.currentCpu, virq, -1, this.device?.name ?? 'irq', this.name);
  }

  /** For `ops.free`: the same at the parent. */
  freeParent(virq: number, count: number): void {
    const { parent } = this;
    parent?.ops.free?.(parent, virq, count);
  }

  /** For `ops.alloc`: what this level is to an interrupt. */
  setHwirq(virq: number, hwirq: number, chip: IrqChip, chipData: unknown = undefined): void {
    this.data(virq).set(hwirq, chip, chipData);
  }

  /** This level of an interrupt. @throws {Errno} ENOENT when the interrupt does not pass this domain */
  data(virq: number): IrqData {
    const data = this.core.descs[virq]?.data.at(this);
    if (data === undefined) throw new Errno('ENOENT', `domain ${this.name}: irq ${virq} does not pass here`);
    return data;
  }

  /** As {@link data}, undefined when it does not pass here. */
  findData(virq: number): IrqData | undefined {
    return this.core.descs[virq]?.data.at(this);
  }

  // No hierarchy

  /**
   * The interrupt of a number, made when there is none yet.
   * @throws {Errno} EINVAL for a number that is too large, or in a hierarchy; ENOSPC; what `map` threw
   * @see Linux 7.2 kernel/irq/irqdomain.c irq_create_mapping_affinity
   */
  createMapping(hwirq: number): number {
    const there = this.lookup(hwirq);
    if (there !== undefined) return there.virq;
    if (this.isHierarchy) throw new Errno('EINVAL', `domain ${this.name}: is a hierarchy: allocate`);
    if (!(Number.isInteger(hwirq) && hwirq >= 0 && hwirq < this.hwirqMax)) {
      throw new Errno('EINVAL', `domain ${this.name}: hwirq ${hwirq} is not below ${this.hwirqMax}`);
    }
    const virq = this.core.allocDescs(1, {});
    const desc = this.core.descs[virq]!;
    desc.data.domain = this;
    desc.data.hwirq = hwirq;
    try {
      this.ops.map?.(this, virq, hwirq);
    } catch (error) {
      this.core.freeDescs(virq, 1);
      throw error;
    }
    insert(desc);
    return virq;
  }

  /**
   * Unmaps an interrupt; nothing happens when it is not mapped here.
   * @throws {Errno} EBUSY while it has handlers: nothing has changed then; what `unmap` threw, when it is unmapped
   * @see Linux 7.2 kernel/irq/irqdomain.c irq_dispose_mapping
   */
  disposeMapping(virq: number): void {
    const desc = this.core.descs[virq];
    if (desc?.data.domain !== this) return;
    if (desc.isRequested || (desc.settings & S.CHAINED) !== 0) {
      throw new Errno('EBUSY', `domain ${this.name}: irq ${virq} has handlers: free them first`);
    }
    if (this.isHierarchy) {
      this.freeIrqs(virq, 1);
      return;
    }
    try {
      this.ops.unmap?.(this, virq);
    } finally {
      remove(desc);
      this.core.freeDescs(virq, 1);
    }
  }

  /**
   * Ends the domain. Interrupts that are still mapped are a violation, and stay as they are.
   * @see Linux 7.2 kernel/irq/irqdomain.c irq_domain_remove
   */
  remove(): void {
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    if (this.size > 0) {
      const left = this.mappings().map(([hwirq, desc]) => `${hwirq} (irq ${desc.virq})`);
      this.core.device.report(
        'irq-domain-not-empty',
        this.device,
        `domain ${this.name} removed with ${left.join(', ')} mapped: free them first`,
      );
    }
    this.core.domains.delete(this);
  }

  /** @internal */
  enter(desc: IrqDesc, hwirq: number): boolean {
    return this.#byHwirq.add(hwirq, desc);
  }

  /** @internal */
  leave(desc: IrqDesc, hwirq: number): void {
    if (this.#byHwirq.get(hwirq) === desc) this.#byHwirq.delete(hwirq);
  }

  /** One level for each domain, this one outermost. */
  #addLevels(desc: IrqDesc): void {
    let level = desc.data;
    level.domain = this;
    for (let domain = this.parent; domain !== undefined; domain = domain.parent) {
      level.parent = new IrqData(desc, domain);
      level = level.parent;
    }
  }
}

/** Into the numbers of its domains, outermost first. @returns false when one of them has the number already */
function insert(desc: IrqDesc): boolean {
  for (let data: IrqData | undefined = desc.data; data !== undefined; data = data.parent) {
    if (data.domain?.enter(desc, data.hwirq) === false) return false;
    desc.core.tracer?.event('irq_domain_insert', desc.core.currentCpu, desc.virq, -1, desc.who, data.domain?.name ?? '');
  }
  desc.ackLevel = ackLevel(desc.data);
  desc.settings &= ~S.NO_REQUEST;
  return true;
}

/** Out of everything that could still reach it. */
function remove(desc: IrqDesc): void {
  desc.settings |= S.NO_REQUEST;
  for (let data: IrqData | undefined = desc.data; data !== undefined; data = data.parent) data.domain?.leave(desc, data.hwirq);
  desc.flow = handleBad;
  // Whoever still has a handler there reaches no hardware.
  desc.state &= ~S.ACTIVATED;
  desc.data.chip = NO_IRQ_CHIP;
}

/** The level that acknowledges for those nearer to the device that hand on to it. */
export function ackLevel(outermost: IrqData): IrqData {
  let level = outermost;
  while (level.chip.acksByParent === true && level.parent !== undefined) level = level.parent;
  return level;
}

/** Sets the chip and the flow handler of an interrupt's outermost level. @see Linux 7.2 irqdomain.c irq_domain_set_info */
export function setHandler(desc: IrqDesc, flow: FlowHandler, name: string): void {
  desc.flow = flow;
  desc.flowName = name;
}

/** Sets the chip of an interrupt that is in no hierarchy. @see Linux 7.2 kernel/irq/chip.c irq_set_chip_and_handler_name */
export function setChip(desc: IrqDesc, chip: IrqChip | undefined, flow: FlowHandler, name: string): void {
  desc.data.chip = chip ?? NO_IRQ_CHIP;
  desc.ackLevel = ackLevel(desc.data);
  setHandler(desc, flow, name);
}

/** @internal */
export function setTrigger(desc: IrqDesc, type: TriggerType, isLevel: boolean): void {
  desc.trigger = type;
  if (isLevel) desc.state |= S.LEVEL;
  else desc.state &= ~S.LEVEL;
}
