import type { Device } from '../device/index.js';
import { PCI } from '../hal/index.js';
import { PciDevice } from './device.js';

/** Page requests that may be under way, of a device that can have more. @see Linux 6.12 drivers/iommu/intel/iommu.h PRQ_DEPTH */
const PAGE_REQUESTS = 32;

/** The part of a function by which it sends PASIDs. */
export interface PciPasids {
  /** Bits of a PASID that it can send. */
  readonly bits: number;
  /** Lets it send them, all kinds that it has; where it can, it also asks for translations and for pages. */
  enable(): void;
  disable(): void;
}

/**
 * The PASIDs of a device; undefined for one without that capability, and for what is no PCI function.
 * @see Linux 6.12 drivers/pci/ats.c pci_enable_pasid, drivers/iommu/intel/iommu.c iommu_enable_pci_caps
 */
export function pciPasids(dev: Device): PciPasids | undefined {
  if (!(dev instanceof PciDevice)) return undefined;
  const { config } = dev;
  const at = dev.findExtCapability(PCI.EXT_PASID);
  if (at === undefined) return undefined;
  const ats = dev.findExtCapability(PCI.EXT_ATS);
  const pri = dev.findExtCapability(PCI.EXT_PRI);
  const caps = PCI.inCap(at, PCI.PASID_CAPS);
  const control = PCI.inCap(at, PCI.PASID_CONTROL);
  return {
    bits: config.readField(caps, caps.fields.width),
    // Once translations are asked for, PASIDs can neither be switched on nor off.
    enable: () => {
      const [execute, privileged] = [config.readField(caps, caps.fields.execute), config.readField(caps, caps.fields.privileged)];
      config.modify(control, { enable: 1, execute, privileged });
      if (pri !== undefined) {
        const most = config.read(PCI.inCap(pri, PCI.PRI_CAPACITY));
        config.write(PCI.inCap(pri, PCI.PRI_ALLOCATION), Math.min(most, PAGE_REQUESTS));
        config.modify(PCI.inCap(pri, PCI.PRI_CONTROL), { enable: 1 });
      }
      if (ats !== undefined) config.modify(PCI.inCap(ats, PCI.ATS_CONTROL), { enable: 1 });
    },
    disable: () => {
      if (ats !== undefined) config.modify(PCI.inCap(ats, PCI.ATS_CONTROL), { enable: 0 });
      if (pri !== undefined) config.modify(PCI.inCap(pri, PCI.PRI_CONTROL), { enable: 0 });
      config.modify(control, { enable: 0, execute: 0, privileged: 0 });
    },
  };
}
