import { type MsiMsg, PCI, type Reg } from '../hal/index.js';
import type { IrqAffinityDesc, IrqChip, IrqData, IrqHardwareState } from '../irq/index.js';
import { joinErrors } from '../lib/index.js';
import { type MsiDesc, type MsiDomain, type MsiTemplate, msiDescOf } from '../msi/index.js';
import type { PciIrqDevice } from './irq-device.js';
import { allowIntx } from './intx.js';
import { Shortage, checkMessage, endSlots, isLevelFull } from './msi-setup.js';

const msiOf = (data: IrqData): PciMsi => msiDescOf(data).slot as PciMsi;
/** The mask bit of an interrupt: which message of the device it is. */
const bitOf = (data: IrqData): number => 1 << (data.virq - msiDescOf(data).virq);

const CHIP: IrqChip = {
  name: 'PCI-MSI',
  oneshotSafe: true,
  startup: (data) => msiOf(data).updateMask(bitOf(data), 0),
  shutdown: (data) => msiOf(data).updateMask(0, bitOf(data)),
  mask: (data) => msiOf(data).updateMask(0, bitOf(data)),
  unmask: (data) => msiOf(data).updateMask(bitOf(data), 0),
  writeMsiMsg: (data, msg) => msiOf(data).write(msiDescOf(data), msg),
  getState: (data, which) => msiOf(data).state(bitOf(data), which),
};

/** @see Linux 7.2 drivers/pci/msi/irqdomain.c pci_msi_template */
export const MSI_TEMPLATE: MsiTemplate = {
  chip: CHIP,
  busToken: 'pci-device-msi',
  flags: ['free-msi-descs', 'activate-early', 'dev-sysfs', 'must-reactivate', 'multi-pci-msi'],
  ops: {
    prepareDesc(desc) {
      const msi = desc.domain.data as PciMsi;
      desc.slot = msi;
      desc.canMask = msi.canMask;
      msi.begin();
    },
  },
};

/**
 * The MSI capability of a function: one descriptor, which is 1 to 32 messages that differ in the low bits of their data.
 * @see PCI Express Base Specification 5.0, 7.7.1; Linux 7.2 drivers/pci/msi/msi.c
 */
export class PciMsi {
  /** Messages that the device can send: 1, 2, 4, 8, 16 or 32. */
  readonly size: number;
  readonly is64: boolean;
  /** Whether the device can mask, and the core is to. */
  readonly canMask: boolean;
  readonly #control: Reg<'enable' | 'capable' | 'enabled' | 'is64' | 'maskable'>;
  readonly #at: number;
  readonly #maskAt: number;
  /** The mask bits as they were last written: the device forgets them in a reset. */
  #mask = 0;
  #domain: MsiDomain | undefined = undefined;
  #desc: MsiDesc | undefined = undefined;

  /** @param at offset of the capability. What firmware has enabled is disabled. */
  constructor(
    readonly dev: PciIrqDevice,
    at: number,
  ) {
    const { config } = dev;
    this.#at = at;
    this.#control = PCI.inCap(at, PCI.MSI_CONTROL);
    const { capable, is64, maskable, enable } = this.#control.fields;
    this.size = 1 << Math.min(config.readField(this.#control, capable), 5);
    this.is64 = config.readField(this.#control, is64) === 1;
    this.canMask = config.readField(this.#control, maskable) === 1 && !dev.supportsMsi('no-mask');
    this.#maskAt = at + (this.is64 ? PCI.MSI_MASK_64 : PCI.MSI_MASK_32).offset;
    if (config.readField(this.#control, enable) === 1) this.#enable(0);
  }

  /** The domain of its descriptor, while it is enabled. */
  get domain(): MsiDomain | undefined {
    return this.#domain;
  }

  /** The one descriptor, while it is enabled. */
  get desc(): MsiDesc | undefined {
    return this.#desc;
  }

  /**
   * Allocates messages and enables the capability; when that fails, everything is as it was.
   * @throws {Errno} EIO for an address that the device cannot reach; ENOSPC when there is no interrupt. A {@link Shortage} when
   *   there is one, and not several
   * @see Linux 7.2 drivers/pci/msi/msi.c msi_capability_init
   */
  enable(domain: MsiDomain, count: number, masks: readonly IrqAffinityDesc[] | undefined): void {
    const { dev } = this;
    if (count > 1 && !dev.supportsMsi('multi-pci-msi')) throw new Shortage(dev.name, 1);
    this.#enable(0);
    try {
      domain.allocMulti(count, masks);
      for (const desc of domain.descs()) {
        checkMessage(dev, desc);
        this.#desc = desc;
      }
    } catch (error) {
      const errors: unknown[] = [count > 1 && isLevelFull(error) ? new Shortage(dev.name, 1, error) : error];
      endSlots(domain, errors);
      this.updateMask(this.#allBits, 0);
      throw errors.length === 1 ? errors[0] : joinErrors(errors, `${dev.name}: giving back MSI`);
    }
    this.#domain = domain;
    allowIntx(dev, false);
    this.#enable(1);
  }

  /** Disables the capability, leaves it unmasked as it was found, and frees the interrupts. @see Linux 7.2 drivers/pci/msi/msi.c pci_msi_shutdown */
  disable(): void {
    const { dev } = this;
    const domain = this.#domain!;
    this.#enable(0);
    allowIntx(dev, true);
    this.#domain = this.#desc = undefined;
    this.updateMask(this.#allBits, 0);
    const errors: unknown[] = [];
    endSlots(domain, errors);
    if (errors.length > 0) throw joinErrors(errors, `${dev.name}: disabling MSI`);
  }

  /** Writes everything again: the device was reset. @see Linux 7.2 drivers/pci/msi/msi.c __pci_restore_msi_state */
  restore(): void {
    const { desc } = this;
    if (desc === undefined) return;
    allowIntx(this.dev, false);
    this.#enable(0);
    if (desc.msg !== undefined) this.write(desc, desc.msg);
    this.updateMask(0, 0);
    this.dev.config.modify(this.#control, { enabled: granted(desc), enable: 1 });
  }

  /** All messages are masked until their interrupts start. */
  begin(): void {
    if (!this.canMask) return;
    this.#mask = this.dev.config.read32(this.#maskAt);
    this.updateMask(0, this.#allBits);
  }

  /** @see Linux 7.2 drivers/pci/msi/msi.c pci_msi_update_mask */
  updateMask(clear: number, set: number): void {
    if (!this.canMask) return;
    this.#mask = ((this.#mask & ~clear) | set) >>> 0;
    this.dev.config.write32(this.#maskAt, this.#mask);
  }

  /** @see Linux 7.2 drivers/pci/msi/msi.c pci_write_msg_msi */
  write(desc: MsiDesc, { addressLo, addressHi, data }: MsiMsg): void {
    const { dev } = this;
    if (!dev.isReachable) return;
    const { config } = dev;
    config.modify(this.#control, { enabled: granted(desc) });
    config.write(this.#reg(PCI.MSI_ADDRESS_LO), addressLo);
    if (this.is64) config.write(this.#reg(PCI.MSI_ADDRESS_HI), addressHi);
    config.write(this.#reg(this.is64 ? PCI.MSI_DATA_64 : PCI.MSI_DATA_32), data & 0xffff);
    // The device has it when this returns.
    config.read(this.#control);
  }

  state(bit: number, which: IrqHardwareState): boolean | undefined {
    if (!this.canMask) return undefined;
    if (which === 'masked') return (this.#mask & bit) !== 0;
    if (which !== 'pending') return undefined;
    return (this.dev.config.read(this.#reg(this.is64 ? PCI.MSI_PENDING_64 : PCI.MSI_PENDING_32)) & bit) !== 0;
  }

  get #allBits(): number {
    return 2 ** this.size - 1;
  }

  #reg(reg: Reg): Reg {
    return PCI.inCap(this.#at, reg);
  }

  #enable(enable: 0 | 1): void {
    this.dev.config.modify(this.#control, { enable });
  }
}

/** How many messages a device may send, as its control register says it: the logarithm. */
const granted = ({ count }: MsiDesc): number => Math.ceil(Math.log2(count));
