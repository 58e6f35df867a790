import type { IrqAffinityDesc, IrqAllocInfo } from '../irq/index.js';
import { Errno, describeError, joinErrors } from '../lib/errno.js';
import { DescStore } from './desc-store.js';
import { deactivateUnused, initIrq, shutdownForced } from './irq-state.js';
import { MsiDesc } from './msi-desc.js';
import type { MsiDomain } from './msi-domain.js';
import { MsiMap } from './msi-map.js';
import { allocKind } from './template.js';

type Affinity = readonly IrqAffinityDesc[] | undefined;

const ANYWHERE = {};

/** The release of a slot, in the ledger. */
const endSlot = (map: MsiMap): void => map.end();

/**
 * The descriptors of one domain, and the way of an interrupt into one and out again.
 * @see Linux 7.2 kernel/irq/msi.c __msi_domain_alloc_irqs, msi_domain_free_locked
 */
export class Slots {
  readonly descs: DescStore<MsiDesc>;
  readonly #domain: MsiDomain;
  /** Filled in anew for each allocation. */
  readonly #info: IrqAllocInfo;
  readonly #label: string | undefined;

  /** @param label in the ledger; undefined when slots of this domain are not in there */
  constructor(domain: MsiDomain, requesterId: number | undefined, label: string | undefined) {
    const { device, busToken, size } = domain;
    this.#domain = domain;
    this.#label = label;
    this.#info = { kind: allocKind(busToken), hwirq: 0, requesterId, device, desc: undefined };
    this.descs = new DescStore(size);
  }

  /** Takes the lowest free index of `lo` to `hi`, and gives it an interrupt. */
  alloc(lo: number, hi: number, count: number, cookie: unknown, affinity: Affinity): MsiMap {
    this.#faultPoint();
    return this.#enter(this.#associate(this.insert(lo, hi, count, cookie, affinity)));
  }

  /** Takes the lowest free index of `lo` to `hi`. @throws {Errno} EBUSY when there is none */
  insert(lo: number, hi: number, count: number, cookie: unknown, affinity: Affinity): MsiDesc {
    const domain = this.#domain;
    const index = this.descs.findFree(lo, hi);
    if (index < 0) {
      const which = lo === hi ? `index ${lo} is taken` : `indices ${lo} to ${hi} are all taken`;
      throw new Errno('EBUSY', `${domain.who}: ${which}: ${this.descs.count} of ${domain.size} are`);
    }
    const desc = new MsiDesc(domain, index, count, copyOf(cookie), affinity);
    this.descs.set(index, desc);
    this.#trace('msi_insert_desc', desc);
    return desc;
  }

  /** Gives an interrupt to a descriptor. When that fails, the descriptor is gone as well. */
  associate(desc: MsiDesc): MsiMap {
    try {
      this.#faultPoint();
      return this.#enter(this.#associate(desc));
    } catch (error) {
      this.descs.delete(desc.index);
      throw error;
    }
  }

  /** Frees a slot, by way of the ledger where it is in there. */
  release(desc: MsiDesc): void {
    const { entry, map } = desc;
    if (entry !== undefined) void this.#domain.device.devres.releaseEntry(entry);
    else if (map !== undefined) map.end();
    else this.descs.delete(desc.index);
  }

  /** The end of a slot. */
  end(desc: MsiDesc): void {
    const errors: unknown[] = [];
    this.#trace('msi_free', desc);
    this.#undo(desc, true, errors);
    if (errors.length > 0) throw joinErrors(errors, `freeing index ${desc.index} of ${this.#domain.name}`);
  }

  #faultPoint(): void {
    if (this.#label !== undefined) this.#domain.device.devres.faultPoint(this.#label);
  }

  /** Into the ledger, when slots of this domain are in there. */
  #enter(desc: MsiDesc): MsiMap {
    const map = desc.map!;
    if (this.#label !== undefined) desc.entry = this.#domain.device.devres.enter(this.#label, map, endSlot);
    return map;
  }

  #associate(desc: MsiDesc): MsiDesc {
    const domain = this.#domain;
    const { ops } = domain;
    const { core } = domain.irqDomain;
    const info = this.#info;
    let isPrepared = false;
    try {
      info.hwirq = desc.index;
      info.desc = desc;
      this.#trace('msi_prepare_desc', desc);
      ops.prepareDesc?.(desc, info);
      isPrepared = true;
      this.#trace('msi_set_desc', desc);
      ops.setDesc?.(desc, info);
      desc.virq = this.#allocIrqs(desc, info);
      desc.irq = core.descs[desc.virq];
      for (let n = 0; n < desc.count; n++) initIrq(desc, core.descs[desc.virq + n]!);
    } catch (error) {
      const errors: unknown[] = [error];
      this.#undo(desc, isPrepared, errors);
      throw joinErrors(errors, `giving back index ${desc.index}`);
    }
    desc.map = new MsiMap(domain, desc.index, desc.virq);
    return desc;
  }

  /** @throws {Errno} ENOSPC for whatever a level threw @see Linux 7.2 kernel/irq/msi.c msi_handle_pci_fail */
  #allocIrqs(desc: MsiDesc, info: IrqAllocInfo): number {
    const domain = this.#domain;
    try {
      return domain.irqDomain.allocIrqs(desc.count, info, desc.affinity === undefined ? ANYWHERE : { affinity: desc.affinity });
    } catch (cause) {
      throw new Errno('ENOSPC', `${domain.who}: no interrupt for index ${desc.index}: ${describeError(cause)}`, { cause });
    }
  }

  /** Takes back what was done of a descriptor, all of it whatever throws, and the descriptor. */
  #undo(desc: MsiDesc, isPrepared: boolean, errors: unknown[]): void {
    const { irqDomain, ops } = this.#domain;
    const { virq, count } = desc;
    if (virq !== 0) {
      for (let n = 0; n < count; n++) this.#quiet(virq + n, errors);
      try {
        irqDomain.freeIrqs(virq, count);
      } catch (error) {
        errors.push(error);
      }
      desc.virq = 0;
      desc.irq = undefined;
    }
    try {
      if (isPrepared) ops.freeDesc?.(desc);
    } catch (error) {
      errors.push(error);
    }
    desc.map = undefined;
    desc.entry = undefined;
    this.descs.delete(desc.index);
  }

  /** Has an interrupt come no more, whatever it is doing. */
  #quiet(virq: number, errors: unknown[]): void {
    const domain = this.#domain;
    const irq = domain.irqDomain.core.descs[virq];
    try {
      if (irq?.action !== undefined) {
        domain.report(
          'msi-freed-in-use',
          `irq ${virq} goes while ${irq.action.name} handles it: free the handler before its slot`,
        );
        shutdownForced(irq);
      } else if (irq?.activated === true) {
        deactivateUnused(irq);
      }
    } catch (error) {
      errors.push(error);
    }
  }

  #trace(name: 'msi_insert_desc' | 'msi_prepare_desc' | 'msi_set_desc' | 'msi_free', desc: MsiDesc): void {
    const { core } = this.#domain.irqDomain;
    core.tracer?.event(name, core.currentCpu, desc.virq, -1, this.#domain.device.name, `index=${desc.index}`);
  }
}

/** What the allocating driver changes later is its own: a plain object is copied, anything else is a handle. */
function copyOf<T>(cookie: T): T {
  const isPlain = typeof cookie === 'object' && cookie !== null && Object.getPrototypeOf(cookie) === Object.prototype;
  return isPlain ? { ...cookie } : cookie;
}
