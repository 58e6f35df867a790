import type { Device } from '../device/index.js';
import type { BusToken, IrqDomain } from './domain.js';
import type { IrqChip } from './chip.js';
import type { FlowHandler } from './flow.js';

/**
 * What an MSI domain may be asked to do: the names are Linux's. Those up to `use-dev-fwnode` concern the core alone; the others
 * need the parent's support.
 * @see Linux 7.2 include/linux/msi.h MSI_FLAG_*
 */
export type MsiFlag =
  | 'use-def-dom-ops'
  | 'use-def-chip-ops'
  | 'activate-early'
  | 'must-reactivate'
  | 'dev-sysfs'
  | 'alloc-simple-msi-descs'
  | 'free-msi-descs'
  | 'multi-pci-msi'
  | 'pci-msix'
  | 'level-capable'
  | 'msix-contiguous'
  | 'pci-msix-alloc-dyn'
  | 'no-affinity'
  | 'no-mask'
  | 'ims';

/** The flags that need no support of the parent. @see Linux 7.2 include/linux/msi.h MSI_GENERIC_FLAGS_MASK */
export const MSI_GENERIC_FLAGS: readonly MsiFlag[] = [
  'use-def-dom-ops',
  'use-def-chip-ops',
  'activate-early',
  'must-reactivate',
  'dev-sysfs',
  'alloc-simple-msi-descs',
  'free-msi-descs',
];

/** A device's domain in the making, as its parent sees and completes it: a copy of the template. */
export interface MsiDomainDraft {
  readonly device: Device;
  readonly busToken: BusToken;
  readonly flags: Set<MsiFlag>;
  /** The chip's own callbacks, to which the parent adds: a plain object, which is copied. */
  chip: IrqChip;
  flow: FlowHandler;
  flowName: string;
}

/**
 * What makes a domain the parent of devices' MSI domains: it alone decides what they can do.
 * @see Linux 7.2 include/linux/msi.h struct msi_parent_ops
 */
export interface MsiParentOps {
  readonly supported: ReadonlySet<MsiFlag>;
  /** Of the names of chips: `IR-`. */
  readonly prefix: string;
  /**
   * Completes a device's domain: drops flags that are not supported, adds the callbacks that the hardware needs.
   * @param realParent the parent nearest to the device, when parents are stacked
   * @returns why there cannot be such a domain; undefined when there can
   */
  initDeviceDomain(draft: MsiDomainDraft, parent: IrqDomain, realParent: IrqDomain): string | undefined;
  /** Before the allocations of a domain, once. @throws {Errno} when there cannot be any */
  prepare?(domain: IrqDomain, device: Device): void;
  /** Whether a move of the CPU leaves the message in the device as it is. */
  readonly constantMessage: boolean;
}
