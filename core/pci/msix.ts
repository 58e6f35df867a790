import { Mmio, type MsiMsg, PCI, type Reg } from '../hal/index.js';
import type { IrqAffinityDesc, IrqChip, IrqData, IrqHardwareState } from '../irq/index.js';
import { Errno, joinErrors } from '../lib/index.js';
import { type MsiDesc, type MsiDomain, type MsiTemplate, msiDescOf } from '../msi/index.js';
import type { PciIrqDevice } from './irq-device.js';
import { allowIntx } from './intx.js';
import { Shortage, checkMessage, endSlots, isLevelFull } from './msi-setup.js';

const MASKED = 1;
const CONTROL = PCI.MSIX_ENTRY_CONTROL.offset;

const entryOf = (data: IrqData): MsixEntry => msiDescOf(data).slot as MsixEntry;

const CHIP: IrqChip = {
  name: 'PCI-MSIX',
  oneshotSafe: true,
  startup: (data) => entryOf(data).unmask(),
  shutdown: (data) => entryOf(data).mask(),
  mask: (data) => entryOf(data).mask(),
  unmask: (data) => entryOf(data).unmask(),
  writeMsiMsg: (data, msg) => entryOf(data).write(msg),
  getState: (data, which) => entryOf(data).state(which),
};

/** @see Linux 7.2 drivers/pci/msi/irqdomain.c pci_msix_template */
export const MSIX_TEMPLATE: MsiTemplate = {
  chip: CHIP,
  busToken: 'pci-device-msix',
  flags: ['free-msi-descs', 'activate-early', 'dev-sysfs', 'must-reactivate', 'pci-msix', 'pci-msix-alloc-dyn'],
  ops: {
    prepareDesc(desc) {
      const entry = (desc.domain.data as PciMsix).entry(desc.index);
      desc.slot = entry;
      desc.canMask = entry.canMask;
    },
  },
};

/**
 * One entry of a table as the core knows it. What is written to it is written to this copy, too, since a device forgets its
 * table in a reset.
 */
class MsixEntry {
  readonly #at: number;
  /** The control word. */
  #control = 0;

  /** @param canMask false beyond the end of the table, and where masks are somebody else's */
  constructor(
    readonly msix: PciMsix,
    readonly index: number,
    readonly canMask: boolean,
  ) {
    this.#at = index * PCI.MSIX_ENTRY_BYTES;
    if (canMask) this.#control = msix.table?.read32(this.#at + CONTROL) ?? MASKED;
  }

  mask(): void {
    this.#control |= MASKED;
    this.writeControl();
    // It is masked when this returns.
    if (this.canMask) this.msix.table?.read32(this.#at + CONTROL);
  }

  unmask(): void {
    this.#control &= ~MASKED;
    this.writeControl();
  }

  writeControl(control = this.#control): void {
    if (this.canMask) this.msix.table?.write32(this.#at + CONTROL, control >>> 0);
  }

  /** An entry must be masked while its message changes. @see Linux 7.2 drivers/pci/msi/msi.c pci_write_msg_msix */
  write({ addressLo, addressHi, data }: MsiMsg): void {
    const { dev, table, size } = this.msix;
    if (this.index >= size || table === undefined || !dev.isReachable) return;
    const isOpen = (this.#control & MASKED) === 0;
    if (isOpen) this.writeControl(this.#control | MASKED);
    table.write32(this.#at + PCI.MSIX_ENTRY_ADDRESS_LO.offset, addressLo);
    table.write32(this.#at + PCI.MSIX_ENTRY_ADDRESS_HI.offset, addressHi);
    table.write32(this.#at + PCI.MSIX_ENTRY_DATA.offset, data);
    if (isOpen) this.writeControl();
    // The device has it when this returns.
    table.read32(this.#at + PCI.MSIX_ENTRY_DATA.offset);
  }

  state(which: IrqHardwareState): boolean | undefined {
    if (!this.canMask) return undefined;
    if (which === 'masked') return (this.#control & MASKED) !== 0;
    return which === 'pending' ? this.msix.isPending(this.index) : undefined;
  }
}

/** What of a table is to be set up. */
export interface MsixPlan {
  /** Entries of the table, in the order in which `masks` are for them. */
  readonly indices: readonly number[];
  readonly masks: readonly IrqAffinityDesc[] | undefined;
}

/**
 * The MSI-X capability of a function. Its table is mapped while it is enabled.
 * @see PCI Express Base Specification 5.0, 7.7.2; Linux 7.2 drivers/pci/msi/msi.c
 */
export class PciMsix {
  /** Entries of the table, 1 to 2048. */
  readonly size: number;
  /** The table, while it is enabled. */
  table: Mmio | undefined = undefined;
  readonly #at: number;
  readonly #control: Reg<'enable' | 'functionMask' | 'size'>;
  #pending: Mmio | undefined = undefined;
  #domain: MsiDomain | undefined = undefined;

  /** @param at offset of the capability. What firmware has enabled is disabled. */
  constructor(
    readonly dev: PciIrqDevice,
    at: number,
  ) {
    this.#at = at;
    this.#control = PCI.inCap(at, PCI.MSIX_CONTROL);
    this.size = dev.config.readField(this.#control, this.#control.fields.size) + 1;
    if (dev.config.readField(this.#control, this.#control.fields.enable) === 1) this.#set({ enable: 0, functionMask: 0 });
  }

  /** The domain of the entries, while it is enabled. */
  get domain(): MsiDomain | undefined {
    return this.#domain;
  }

  /** A copy of one entry, for who allocates it. */
  entry(index: number): MsixEntry {
    return new MsixEntry(this, index, index < this.size && !this.dev.supportsMsi('no-mask'));
  }

  isPending(index: number): boolean {
    this.#pending ??= this.#map(PCI.MSIX_PBA, 8 * Math.ceil(this.size / 64), 'pending bits');
    return ((this.#pending.read32(4 * (index >>> 5)) >>> (index & 31)) & 1) === 1;
  }

  /**
   * Allocates entries and enables the capability; when that fails, everything is as it was.
   * @throws {Errno} ENOMEM when the table has no address; ERANGE for an entry that cannot be; EIO for an address that the device
   *   cannot reach; ENOSPC when there is no interrupt. A {@link Shortage} when there are fewer than were asked for
   * @see Linux 7.2 drivers/pci/msi/msi.c msix_capability_init
   */
  enable(domain: MsiDomain, plan: MsixPlan): void {
    const { dev, size } = this;
    // Some devices show their table only when it is enabled; nothing is sent before it is set up.
    this.#set({ enable: 1, functionMask: 1 });
    try {
      this.table = this.#map(PCI.MSIX_TABLE, size * PCI.MSIX_ENTRY_BYTES, 'table');
      dev.useMemory(1);
      this.#domain = domain;
      allocAll(domain, plan);
      for (const desc of domain.descs()) checkMessage(dev, desc);
      allowIntx(dev, false);
      if (!dev.supportsMsi('no-mask')) this.#maskAll();
      this.#set({ functionMask: 0 });
    } catch (error) {
      const errors: unknown[] = [error];
      endSlots(domain, errors);
      this.#unmap();
      this.#set({ enable: 0, functionMask: 0 });
      throw errors.length === 1 ? error : joinErrors(errors, `${dev.name}: giving back MSI-X`);
    }
  }

  /** Masks every entry, disables the capability, and frees the interrupts. @see Linux 7.2 drivers/pci/msi/msi.c pci_msix_shutdown */
  disable(): void {
    const { dev } = this;
    const domain = this.#domain!;
    if (!dev.isMarkedGone) {
      for (const { slot } of domain.descs('associated')) (slot as MsixEntry).mask();
      this.#set({ enable: 0 });
      allowIntx(dev, true);
    }
    const errors: unknown[] = [];
    endSlots(domain, errors);
    this.#unmap();
    if (errors.length > 0) throw joinErrors(errors, `${dev.name}: disabling MSI-X`);
  }

  /** Writes everything again: the device was reset. @see Linux 7.2 drivers/pci/msi/msi.c __pci_restore_msix_state */
  restore(): void {
    if (this.#domain === undefined) return;
    const { config } = this.dev;
    allowIntx(this.dev, false);
    this.#set({ enable: 1, functionMask: 1 });
    const command = config.read(PCI.COMMAND);
    config.modify(PCI.COMMAND, { memory: 1 });
    for (const { slot, msg } of this.#domain.descs('associated')) {
      const entry = slot as MsixEntry;
      if (msg !== undefined) entry.write(msg);
      entry.writeControl();
    }
    config.write(PCI.COMMAND, command);
    this.#set({ functionMask: 0 });
  }

  #set(values: { enable?: 0 | 1; functionMask?: 0 | 1 }): void {
    this.dev.config.modify(this.#control, values);
  }

  /** What nobody has allocated must not be sent by accident. */
  #maskAll(): void {
    for (let index = 0; index < this.size; index++) this.table?.write32(index * PCI.MSIX_ENTRY_BYTES + CONTROL, MASKED);
  }

  #map(reg: typeof PCI.MSIX_TABLE, sizeBytes: number, what: string): Mmio {
    const { dev } = this;
    const place = PCI.inCap(this.#at, reg);
    const index = dev.config.readField(place, place.fields.bar);
    const bar = dev.bar(index);
    if (bar?.kind !== 'mem' || bar.address === undefined) {
      const why =
        bar === undefined
          ? 'which it does not have'
          : bar.kind === 'io'
            ? 'which is I/O space'
            : 'which has no address: see the log';
      throw new Errno('ENOMEM', `${dev.name}: its MSI-X ${what} is in BAR ${index}, ${why}`);
    }
    const address = bar.address + dev.config.readField(place, place.fields.offset) * 8;
    return new Mmio(dev.root.map('mem', address, sizeBytes), `${dev.name}: MSI-X ${what}`);
  }

  #unmap(): void {
    if (this.table !== undefined) this.dev.useMemory(-1);
    this.table = this.#pending = this.#domain = undefined;
  }
}

/**
 * Takes the indices, and then gives each its interrupt. What there is when that fails is left to the caller.
 * @see Linux 7.2 drivers/pci/msi/msi.c msix_setup_msi_descs, pci_msi_setup_msi_irqs
 */
function allocAll(domain: MsiDomain, { indices, masks }: MsixPlan): void {
  const descs: MsiDesc[] = [];
  let done = 0;
  try {
    for (const [n, index] of indices.entries()) {
      if (!(Number.isInteger(index) && index >= 0 && index < domain.size)) {
        throw new Errno('ERANGE', `${domain.device.name}: MSI-X entry ${index}: must be an integer of 0 to ${domain.size - 1}`);
      }
      descs.push(domain.insert(index, index, { affinity: masks?.[n] }));
    }
    for (; done < descs.length; done++) domain.associate(descs[done]!);
  } catch (error) {
    for (const desc of domain.descs('not-associated')) domain.drop(desc);
    throw done > 0 && isLevelFull(error) ? new Shortage(domain.device.name, done, error) : error;
  }
}
