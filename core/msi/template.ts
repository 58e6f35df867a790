import type { BusToken, FlowHandler, IrqAllocInfo, IrqChip, MsiFlag } from '../irq/index.js';
import { Errno } from '../lib/errno.js';
import type { MsiDesc } from './msi-desc.js';
import type { MsiDomain } from './msi-domain.js';

/** Indices that a domain can have: also what "limited by software alone" comes to. @see Linux 7.2 kernel/irq/msi.c MSI_XA_DOMAIN_SIZE */
export const MAX_SLOTS = 65_536;

/** What a template does at each step of a domain; all optional. @see Linux 7.2 include/linux/msi.h struct msi_domain_ops */
export interface MsiDomainOps {
  /** Once, before the first allocation; a parent that has a `prepare` of its own does that instead. */
  prepare?(domain: MsiDomain): void;
  /** When the domain is gone. */
  teardown?(domain: MsiDomain): void;
  /** Finds the place of a message and masks it. `info.hwirq` is the index, and may be set to another. */
  prepareDesc?(desc: MsiDesc, info: IrqAllocInfo): void;
  /** Has the last word on what the parents go by. */
  setDesc?(desc: MsiDesc, info: IrqAllocInfo): void;
  /** The index is given back; only after `prepareDesc` succeeded. */
  freeDesc?(desc: MsiDesc): void;
  /** The device has forgotten the message: what is known of it no longer holds. */
  invalidate?(desc: MsiDesc): void;
  /** What the device calls the interrupt; default its index. */
  deviceVisibleId?(desc: MsiDesc): number;
}

/**
 * What the MSI domains of devices are made from. Each domain has a copy of it, which its parent completes.
 * @see Linux 7.2 include/linux/msi.h struct msi_domain_template
 */
export interface MsiTemplate {
  /** A plain object: each domain has a copy, named `IR-IMS-0000:00:05.0`. */
  readonly chip: IrqChip;
  readonly busToken: BusToken;
  /** What is asked for; a parent drops what it lacks. */
  readonly flags: readonly MsiFlag[];
  readonly ops?: MsiDomainOps;
  /** Default that of edges, `edge`. */
  readonly flow?: FlowHandler;
  readonly flowName?: string;
}

/** The domain of a device's MSI and MSI-X. @see Linux 7.2 include/linux/msi.h MSI_DEFAULT_DOMAIN */
const DEFAULT_DOMAIN = 'default';

export const isIms = (token: BusToken): boolean => token === 'device-ims' || token === 'pci-device-ims';

/** How parents are to treat the interrupts of a template. @see Linux 7.2 arch/x86/kernel/apic/msi.c x86_msi_prepare */
export function allocKind(token: BusToken): IrqAllocInfo['kind'] {
  if (isIms(token)) return 'ims';
  return token === 'pci-device-msi' ? 'msi' : 'msix';
}

/**
 * @throws {Errno} EINVAL with what is wrong with it
 * @see Linux 6.2 drivers/pci/msi/irqdomain.c pci_create_ims_domain
 */
export function checkTemplate(who: string, id: string, { chip, busToken, flags }: MsiTemplate): void {
  if ((busToken === 'pci-device-msi' || busToken === 'pci-device-msix') && id !== DEFAULT_DOMAIN) {
    throw new Errno(
      'EINVAL',
      `${who}: template ${chip.name} is of ${busToken}, whose place is the ${DEFAULT_DOMAIN} domain alone`,
    );
  }
  for (const callback of ['mask', 'unmask', 'writeMsiMsg'] as const) {
    if (typeof chip[callback] !== 'function') throw new Errno('EINVAL', `${who}: chip ${chip.name} has no ${callback}`);
  }
  if (!isIms(busToken)) return;
  for (const flag of ['alloc-simple-msi-descs', 'free-msi-descs'] as const) {
    if (!flags.includes(flag)) throw new Errno('EINVAL', `${who}: template ${chip.name} lacks the flag ${flag}`);
  }
  if (chip.setAffinity !== undefined) {
    throw new Errno(
      'EINVAL',
      `${who}: chip ${chip.name} has setAffinity, which is the parent's: a CPU move arrives as a new message`,
    );
  }
}

/** @returns the size of a domain; @param size 0: limited by software alone. @throws {Errno} ERANGE */
export function checkSize(who: string, size: number): number {
  if (!(Number.isInteger(size) && size >= 0 && size <= MAX_SLOTS)) {
    throw new Errno('ERANGE', `${who}: ${size} slots: must be an integer of 1 to ${MAX_SLOTS}, or 0 for no limit of its own`);
  }
  return size === 0 ? MAX_SLOTS : size;
}
