import type { AffinityResult } from './chip.js';
import type { CpuMask } from './cpu-mask.js';
import { type IrqData, chipParent } from './data.js';
import { completeDraft } from './msi-draft.js';
import { MSI_GENERIC_FLAGS, type MsiDomainDraft, type MsiFlag, type MsiParentOps } from './msi-parent.js';
import type { VectorData } from './vector-data.js';
import type { VectorDomain } from './vector-domain.js';

/** What devices' domains can do without remapping. @see Linux 7.2 arch/x86/include/asm/msi.h X86_VECTOR_MSI_FLAGS_SUPPORTED */
export const VECTOR_MSI_FLAGS: readonly MsiFlag[] = [...MSI_GENERIC_FLAGS, 'pci-msix', 'pci-msix-alloc-dyn'];

/** The vector domain as the parent of devices' domains: of those with a parent between, too. @internal */
export function vectorMsiParent(vectors: VectorDomain): MsiParentOps {
  return {
    supported: new Set(VECTOR_MSI_FLAGS),
    prefix: '',
    constantMessage: false,
    // Instead of a template's: what an allocation is goes by its bus token alone. @see Linux 7.2 apic/msi.c x86_msi_prepare
    prepare() {},
    initDeviceDomain(draft, parent, realParent) {
      const { msiParent } = realParent;
      if (msiParent === undefined) return `domain ${realParent.name} is no parent for messages`;
      const refused = initDraft(draft, msiParent);
      if (refused !== undefined || realParent !== parent) return refused;
      draft.chip = { ...draft.chip, setAffinity: (data, mask, force) => setPlainAffinity(vectors, draft, data, mask, force) };
      return undefined;
    },
  };
}

/**
 * Completes a device's domain for the parent nearest to it.
 * @returns why there cannot be such a domain
 * @see Linux 7.2 arch/x86/kernel/apic/msi.c x86_init_dev_msi_info
 */
function initDraft(draft: MsiDomainDraft, { supported, prefix }: MsiParentOps): string | undefined {
  switch (draft.busToken) {
    case 'pci-device-msi':
    case 'pci-device-msix':
      break;
    case 'pci-device-ims':
    case 'device-ims':
      if (supported.has('ims')) break;
      return prefix === ''
        ? 'the platform has no interrupt remapping, and messages that a device keeps in its own way cannot follow a CPU move without it: use MSI-X'
        : "interrupt remapping is a hypervisor's here, which does not see messages that a device keeps in its own way: use MSI-X";
    default:
      return `the platform has no messages for bus ${draft.busToken}: use pci-device-msi, pci-device-msix, pci-device-ims or device-ims`;
  }
  completeDraft(draft, supported);
  return undefined;
}

/**
 * Moves an interrupt whose message names CPU and vector. A device may send while address and data are half of the old message,
 * half of the new one: so either it is masked, or first the vector changes and then the CPU.
 * @see Linux 7.2 arch/x86/kernel/apic/msi.c msi_set_affinity
 */
function setPlainAffinity(
  vectors: VectorDomain,
  draft: MsiDomainDraft,
  data: IrqData,
  mask: CpuMask,
  force: boolean,
): AffinityResult {
  const { desc, chip } = data;
  const own = data.parent!.chipData as VectorData;
  const { targetCpu: oldCpu, targetVector: oldVector } = own;
  const result = chipParent.setAffinity(data, mask, force);
  const { targetCpu: cpu, targetVector: vector } = own;
  if (result === 'busy' || (cpu === oldCpu && vector === oldVector)) return result;
  const message = vectors.message(cpu, vector);
  const maskable = isMaskable(draft, data);
  if (!desc.started || cpu === oldCpu || vector === oldVector || (maskable && desc.masked)) {
    chip.writeMsiMsg?.(data, message);
  } else if (maskable) {
    chip.mask?.(data);
    chip.writeMsiMsg?.(data, message);
    chip.unmask?.(data);
  } else {
    chip.writeMsiMsg?.(data, vectors.message(oldCpu, vector));
    chip.writeMsiMsg?.(data, message);
    if (vectors.isPending(oldCpu, vector)) chipParent.retrigger(data);
  }
  return result;
}

/** An MSI capability may have no mask bits: its interrupts may then not be reserved. */
function isMaskable(draft: MsiDomainDraft, { desc, chip }: IrqData): boolean {
  return draft.busToken === 'pci-device-msi' ? desc.canReserve : chip.mask !== undefined;
}
