import {
  IRTE_WORDS,
  type Irte,
  type MsiMsg,
  type RemappingUnit,
  composeRemappable,
  irteDestination,
  packIrte,
} from '../hal/index.js';
import {
  type AffinityResult,
  type CpuMask,
  type IrqAllocInfo,
  type IrqChip,
  type IrqCore,
  type IrqData,
  IrqDomain,
  type MsiParentOps,
  NO_IRQ_CHIP,
  VECTOR_MSI_FLAGS,
  type VcpuInfo,
  type VectorData,
  type VectorDomain,
  chipParent,
} from '../irq/index.js';
import { IndexMap } from '../lib/index-map.js';
import { Errno } from '../lib/index.js';
import { RemapFaults } from './remap-faults.js';

const NOT_PRESENT = new Uint32Array(IRTE_WORDS);
/** Factor by which a number of this domain packs its entry; the rest counts the interrupts of one device's block. */
const INDEX = 0x1_0000;

/**
 * What the remapping unit knows of one interrupt.
 * @see Linux 7.2 drivers/iommu/intel/irq_remapping.c struct intel_ir_data
 */
class RemapData {
  /** Where the entry delivers; kept while it posts to a guest. */
  vector = 0;
  destination = 0;
  /** Whether the entry says so now. */
  isPresent = false;
  isPosted = false;

  constructor(
    /** The entry of the block's first interrupt, and how far this one's is behind it. */
    readonly index: number,
    readonly subHandle: number,
    /** Entries behind this one that it keeps free. */
    readonly spare: number,
    /** Whose messages it takes; undefined: everybody's. */
    readonly requesterId: number | undefined,
  ) {}

  get entry(): number {
    return this.index + this.subHandle;
  }
}

/**
 * Interrupt remapping: the message in a device names an entry of a table for as long as the interrupt lives, and a move of the
 * CPU changes the entry alone. That is what lets a device keep its messages wherever it likes.
 * @see Linux 7.2 drivers/iommu/intel/irq_remapping.c
 */
export class RemapDomain {
  readonly domain: IrqDomain;
  readonly faults: RemapFaults;
  readonly #core: IrqCore;
  readonly #unit: RemappingUnit;
  readonly #vectors: VectorDomain;
  readonly #apicId: (cpu: number) => number;
  readonly #entries: IndexMap;
  readonly #chip: IrqChip;
  readonly #words = new Uint32Array(IRTE_WORDS);

  /** @param apicId of a CPU, as destinations name it */
  constructor(core: IrqCore, unit: RemappingUnit, vectors: VectorDomain, apicId: (cpu: number) => number) {
    this.#core = core;
    this.#unit = unit;
    this.#vectors = vectors;
    this.#apicId = apicId;
    this.#entries = new IndexMap(unit.entries);
    this.#chip = {
      name: 'INTEL-IR',
      ack: chipParent.ack,
      acksByParent: true,
      setAffinity: (data, mask, force) => this.#setAffinity(data, mask, force),
      composeMsiMsg: (data) => compose(data.chipData as RemapData),
      ...(unit.canPost && { setVcpuAffinity: (data, info) => this.#setVcpuAffinity(data, info) }),
    };
    this.domain = new IrqDomain(core, {
      name: 'INTEL-IR',
      parent: vectors.domain,
      busToken: 'dmar',
      isolatedMsi: true,
      ops: {
        alloc: (domain, virq, count, info) => this.#alloc(domain, virq, count, info),
        free: (domain, virq, count) => this.#free(domain, virq, count),
        activate: (_domain, data) => this.#activate(data),
        deactivate: (_domain, data) => this.#deactivate(data),
      },
      msiParent: remapMsiParent(unit),
    });
    this.faults = new RemapFaults(core, unit);
  }

  /** Takes the domain away; its interrupts must be gone. */
  close(): void {
    this.faults.close();
    this.domain.remove();
  }

  /** @see Linux 7.2 irq_remapping.c intel_irq_remapping_alloc, alloc_irte */
  #alloc(domain: IrqDomain, virq: number, count: number, info: IrqAllocInfo): void {
    if (count > 1 && info.kind !== 'msi') {
      throw new Errno(
        'EINVAL',
        `domain ${domain.name}: ${count} interrupts in a row are for MSI alone, not ${info.kind}: allocate one by one`,
      );
    }
    domain.allocParent(virq, count, info);
    // A device counts up the low bits of its message: the block is all that it can count to.
    const size = count === 1 ? 1 : 2 ** Math.ceil(Math.log2(count));
    const index = this.#entries.findFreeRun(size, size);
    if (index < 0) {
      domain.freeParent(virq, count);
      const { count: used, size: all } = this.#entries;
      throw new Errno(
        'ENOMEM',
        `domain ${domain.name}: no ${size} remapping entries in a row are left: ${used} of ${all} are in use: free interrupts`,
      );
    }
    for (let n = 0; n < size; n++) this.#entries.take(index + n);
    const { tracer } = this.#core;
    tracer?.event('irte_alloc', this.#core.currentCpu, virq, -1, domain.data(virq).desc.who, `index=${index} count=${size}`);
    for (let n = 0; n < count; n++) {
      const spare = n === count - 1 ? size - count : 0;
      domain.setHwirq(virq + n, index * INDEX + n, this.#chip, new RemapData(index, n, spare, info.requesterId));
    }
  }

  /** @see Linux 7.2 irq_remapping.c intel_irq_remapping_free */
  #free(domain: IrqDomain, virq: number, count: number): void {
    for (let n = virq; n < virq + count; n++) {
      const data = domain.data(n);
      const { chipData: own } = data;
      if (!(own instanceof RemapData)) continue;
      if (own.isPresent) this.#clear(n, own);
      for (let i = 0; i <= own.spare; i++) this.#entries.free(own.entry + i);
      data.set(0, NO_IRQ_CHIP, undefined);
    }
    domain.freeParent(virq, count);
  }

  /** @see Linux 7.2 irq_remapping.c intel_irq_remapping_activate */
  #activate(data: IrqData): void {
    this.#aim(data);
    this.#writeRemapped(data);
  }

  /** @see Linux 7.2 irq_remapping.c intel_irq_remapping_deactivate */
  #deactivate(data: IrqData): void {
    const own = data.chipData as RemapData;
    if (own.isPosted) {
      const { desc } = data;
      this.#core.report(
        'posted-at-deactivation',
        desc,
        `irq ${desc.virq}: deactivated while it is posted to a guest: take it back first`,
      );
    }
    this.#clear(data.virq, own);
  }

  /** @see Linux 7.2 irq_remapping.c intel_ir_set_affinity */
  #setAffinity(data: IrqData, mask: CpuMask, force: boolean): AffinityResult {
    const own = data.chipData as RemapData;
    const result = chipParent.setAffinity(data, mask, force);
    if (result === 'busy' || result === 'done') return result;
    const isNew = this.#aim(data);
    if (!own.isPosted && (isNew || !own.isPresent)) this.#writeRemapped(data);
    this.#vectors.scheduleCleanup(data.parent!.chipData as VectorData);
    return 'done';
  }

  /** @see Linux 7.2 irq_remapping.c intel_ir_set_vcpu_affinity */
  #setVcpuAffinity(data: IrqData, info: VcpuInfo | undefined): void {
    const own = data.chipData as RemapData;
    if (info === undefined) {
      if (!own.isPosted) return;
      if (data.desc.activated) this.#writeRemapped(data);
      else this.#clear(data.virq, own);
      return;
    }
    const { vector, descriptor, urgent = false } = info;
    const { requesterId: sourceId = 0 } = own;
    this.#write(data, own, { posted: true, vector, descriptor, urgent, sourceId, check: checkOf(own) });
    own.isPosted = true;
  }

  /** Takes over where the parent delivers. @returns whether that is elsewhere than before */
  #aim(data: IrqData): boolean {
    const own = data.chipData as RemapData;
    const { targetVector, targetCpu } = data.parent!.chipData as VectorData;
    const destination = irteDestination(this.#apicId(targetCpu), this.#unit.x2apic);
    if (own.vector === targetVector && own.destination === destination) return false;
    own.vector = targetVector;
    own.destination = destination;
    return true;
  }

  #writeRemapped(data: IrqData): void {
    const own = data.chipData as RemapData;
    const { vector, destination, requesterId: sourceId = 0 } = own;
    this.#write(data, own, { posted: false, vector, destination, sourceId, check: checkOf(own) });
    own.isPosted = false;
  }

  #write({ desc, parent }: IrqData, own: RemapData, irte: Irte): void {
    packIrte(irte, this.#words);
    this.#store(own.entry, this.#words);
    own.isPresent = true;
    const { tracer } = this.#core;
    if (tracer === undefined) return;
    const what = irte.posted ? 'posted' : 'remapped';
    const { targetCpu } = parent!.chipData as VectorData;
    tracer.event('irte_write', targetCpu, desc.virq, irte.vector, desc.who, `index=${own.entry} ${what}`);
  }

  #clear(virq: number, own: RemapData): void {
    this.#core.tracer?.event('irte_clear', this.#core.currentCpu, virq, -1, 'INTEL-IR', `index=${own.entry}`);
    this.#store(own.entry, NOT_PRESENT);
    own.isPresent = false;
    own.isPosted = false;
  }

  #store(entry: number, words: Uint32Array): void {
    this.#unit.write(entry, words);
    this.#unit.invalidate(entry, 1);
  }
}

/** The same from allocation to free. @see Linux 7.2 irq_remapping.c fill_msi_msg */
const compose = ({ index, subHandle }: RemapData): MsiMsg => composeRemappable(index, subHandle);

/** A sender that is not known is not checked. @see Linux 7.2 irq_remapping.c set_msi_sid */
const checkOf = ({ requesterId }: RemapData): 'all' | 'none' => (requesterId === undefined ? 'none' : 'all');

/**
 * A hypervisor's unit hides how the real one is programmed: it has no IMS.
 * @see Linux 7.2 irq_remapping.c dmar_msi_parent_ops; drivers/iommu/amd/iommu.c
 */
function remapMsiParent({ isVirtual }: RemappingUnit): MsiParentOps {
  return {
    supported: new Set([...VECTOR_MSI_FLAGS, 'multi-pci-msi', ...(isVirtual ? [] : (['ims'] as const))]),
    prefix: isVirtual ? 'vIR-' : 'IR-',
    constantMessage: true,
    // As the vector domain, which it stands on.
    prepare() {},
    initDeviceDomain(draft, parent, realParent) {
      const { parent: next } = parent;
      if (next?.msiParent === undefined) return `domain ${parent.name} stands on none that takes messages`;
      return next.msiParent.initDeviceDomain(draft, next, realParent);
    },
  };
}
