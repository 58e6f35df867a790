import type { MsiMsg } from '../hal/index.js';
import { Errno } from '../lib/errno.js';
import { type AffinityResult, type IrqChip, NO_IRQ_CHIP } from './chip.js';
import type { CpuMask } from './cpu-mask.js';
import type { IrqDesc } from './desc.js';
import type { IrqDomain } from './domain.js';

/**
 * What one level of the hierarchy knows of an interrupt. The outermost, nearest to the device, belongs to the descriptor; each
 * has its parent towards the CPU.
 * @see Linux 7.2 include/linux/irq.h struct irq_data
 */
export class IrqData {
  /** Number of the interrupt in its domain. */
  hwirq = 0;
  chip: IrqChip = NO_IRQ_CHIP;
  /** The chip's own. */
  chipData: unknown = undefined;
  parent: IrqData | undefined = undefined;

  constructor(
    readonly desc: IrqDesc,
    public domain: IrqDomain | undefined,
  ) {}

  get virq(): number {
    return this.desc.virq;
  }

  /** What this level is to the interrupt. */
  set(hwirq: number, chip: IrqChip, chipData: unknown): void {
    this.hwirq = hwirq;
    this.chip = chip;
    this.chipData = chipData;
  }

  /** The level of a domain, from this one towards the CPU; undefined when it is not in the hierarchy. */
  at(domain: IrqDomain): IrqData | undefined {
    for (let data: IrqData | undefined = this; data !== undefined; data = data.parent) {
      if (data.domain === domain) return data;
    }
    return undefined;
  }

  /** The level at the CPU. */
  get root(): IrqData {
    let data: IrqData = this;
    while (data.parent !== undefined) data = data.parent;
    return data;
  }
}

/** The parent of a level whose chip hands on to it. */
function parentOf(data: IrqData): IrqData {
  if (data.parent === undefined) throw new Errno('ENOSYS', `irq ${data.virq}: chip ${data.chip.name} has no parent`);
  return data.parent;
}

/**
 * The message that raises an interrupt: the first level from this one towards the CPU that composes messages says so.
 * @throws {Errno} ENOSYS when no level does
 * @see Linux 7.2 kernel/irq/chip.c irq_chip_compose_msi_msg
 */
export function composeMsg(data: IrqData): MsiMsg {
  for (let level: IrqData | undefined = data; level !== undefined; level = level.parent) {
    if (level.chip.composeMsiMsg !== undefined) return level.chip.composeMsiMsg(level);
  }
  throw new Errno('ENOSYS', `irq ${data.virq}: no level of it composes messages`);
}

/**
 * Callbacks that hand on to the parent's chip.
 * @see Linux 7.2 kernel/irq/chip.c irq_chip_ack_parent and its siblings
 */
export const chipParent = {
  ack: (data: IrqData): void => {
    const parent = parentOf(data);
    parent.chip.ack?.(parent);
  },
  mask: (data: IrqData): void => {
    const parent = parentOf(data);
    parent.chip.mask?.(parent);
  },
  unmask: (data: IrqData): void => {
    const parent = parentOf(data);
    parent.chip.unmask?.(parent);
  },
  eoi: (data: IrqData): void => {
    const parent = parentOf(data);
    parent.chip.eoi?.(parent);
  },
  /** @throws {Errno} ENOSYS when the parent cannot */
  setAffinity: (data: IrqData, mask: CpuMask, force: boolean): AffinityResult => {
    const parent = parentOf(data);
    if (parent.chip.setAffinity === undefined) {
      throw new Errno('ENOSYS', `irq ${data.virq}: chip ${parent.chip.name} cannot move it`);
    }
    return parent.chip.setAffinity(parent, mask, force);
  },
  /** The first level towards the CPU that can. */
  retrigger: (data: IrqData): boolean => {
    for (let level = data.parent; level !== undefined; level = level.parent) {
      if (level.chip.retrigger !== undefined) return level.chip.retrigger(level);
    }
    return false;
  },
} as const;
