import { type FieldValues, PCI, type Reg, packFields } from '../../../core/index.js';
import * as DSA from '../../../hw/regs/dsa.js';

/** Messages of a virtual device: 0 is the device's own, 1 that of its queue. */
export const VIRTUAL_VECTORS = 2;
/** Length of its registers, and of its portals, in bytes. */
export const VIRTUAL_BAR_BYTES = 0x2000;
/** Length of its configuration space, in bytes. */
export const VIRTUAL_CONFIG_BYTES = PCI.CONFIG_BYTES;
/** Where its MSI-X table and the pending bits are among its registers. */
export const VIRTUAL_MSIX_TABLE = 0x600;
export const VIRTUAL_MSIX_PBA = 0x700;

const MSIX_AT = 0x40;
const PCIE_AT = 0x50;
const SUBSYSTEM = { vendor: 0x8086, id: 0x2010 } as const;
/** A BAR of 64 bits, prefetchable memory. */
const BAR_TYPE = 0xc;
const PCIE_VERSION = 2;

const MSIX_CONTROL = PCI.inCap(MSIX_AT, PCI.MSIX_CONTROL);
/** Of the device control register: the bit that starts a reset is the last of its second byte. */
const FLR_BYTE = PCI.inCap(PCIE_AT, PCI.PCIE_DEVICE_CONTROL).offset + 1;
const FLR_BIT = packFields(PCI.PCIE_DEVICE_CONTROL, { initiateFlr: 1 }) >>> 8;
const MSIX_BITS = packFields(PCI.MSIX_CONTROL, { enable: 1, functionMask: 1 });
const MASTER = packFields(PCI.COMMAND, { master: 1 });
const COMMAND_BITS = MASTER | packFields(PCI.COMMAND, { memory: 1, parity: 1, serr: 1, intxDisable: 1 });
const STATUS_BITS = 0xf900;

/** What is there at first, and what can be written: the same for all. */
class Layout {
  readonly bytes = new Uint8Array(PCI.CONFIG_BYTES);
  readonly writable = new Uint8Array(PCI.CONFIG_BYTES);
  /** Bits that writing 1 clears. */
  readonly clearable = new Uint8Array(PCI.CONFIG_BYTES);

  constructor() {
    this.#set(PCI.VENDOR_ID, DSA.DSA_VENDOR);
    this.#set(PCI.DEVICE_ID, DSA.DSA_DEVICE);
    this.#set(PCI.CLASS_REVISION, { class: DSA.DSA_CLASS });
    this.#set(PCI.SUBSYSTEM_VENDOR_ID, SUBSYSTEM.vendor);
    this.#set(PCI.SUBSYSTEM_ID, SUBSYSTEM.id);
    this.#set(PCI.STATUS, { capabilities: 1 });
    this.#set(PCI.CAPABILITY_POINTER, MSIX_AT);
    this.#allow(PCI.COMMAND, COMMAND_BITS);
    this.#allow(PCI.CACHE_LINE_SIZE, 0xff);
    this.#allow(PCI.INTERRUPT_LINE, 0xff);
    this.clearable[PCI.STATUS.offset + 1] = STATUS_BITS >>> 8;
    for (const bar of [DSA.REGISTERS_BAR, DSA.PORTALS_BAR]) {
      this.#set(PCI.barReg(bar), BAR_TYPE);
      this.#allow(PCI.barReg(bar), -VIRTUAL_BAR_BYTES >>> 0);
      this.#allow(PCI.barReg(bar + 1), 0xffff_ffff);
    }
    this.#capability(MSIX_AT, PCI.CAP_MSIX, PCIE_AT);
    this.#set(MSIX_CONTROL, { size: VIRTUAL_VECTORS - 1 });
    this.#allow(MSIX_CONTROL, MSIX_BITS);
    this.#set(PCI.inCap(MSIX_AT, PCI.MSIX_TABLE), VIRTUAL_MSIX_TABLE | DSA.REGISTERS_BAR);
    this.#set(PCI.inCap(MSIX_AT, PCI.MSIX_PBA), VIRTUAL_MSIX_PBA | DSA.REGISTERS_BAR);
    this.#capability(PCIE_AT, PCI.CAP_PCIE, 0);
    this.#set(PCI.inCap(PCIE_AT, PCI.PCIE_FLAGS), { version: PCIE_VERSION, type: PCI.PCIE_TYPES.integrated });
    this.#set(PCI.inCap(PCIE_AT, PCI.PCIE_DEVICE_CAPS), { flr: 1 });
  }

  #capability(at: number, id: number, next: number): void {
    this.bytes[at] = id;
    this.bytes[at + 1] = next;
  }

  #set<F extends string>(reg: Reg<F>, value: number | FieldValues<F>): void {
    put(this.bytes, reg, typeof value === 'number' ? value : packFields(reg, value));
  }

  #allow(reg: Reg, bits: number): void {
    put(this.writable, reg, bits);
  }
}

function put(bytes: Uint8Array, reg: Reg, value: number): void {
  for (let i = 0; i < reg.bytes; i++) bytes[reg.offset + i] = value >>> (8 * i);
}

const LAYOUT = new Layout();

/** Configuration space of a virtual device. @see PCI Express Base Specification 5.0, 7.5.1, 7.7.2 */
export class VirtualConfig {
  readonly #bytes = LAYOUT.bytes.slice();

  /** Whether the device may reach memory. */
  get isMaster(): boolean {
    return (this.#get(PCI.COMMAND) & MASTER) !== 0;
  }

  /** Whether its messages are masked, all of them. */
  get isMasked(): boolean {
    return (this.#get(MSIX_CONTROL) & MSIX_BITS) === MSIX_BITS;
  }

  reset(): void {
    this.#bytes.set(LAYOUT.bytes);
  }

  /** @param bytes 1, 2 or 4, which `offset` is a multiple of */
  read(offset: number, bytes: number): number {
    let value = 0;
    for (let i = bytes - 1; i >= 0; i--) value = value * 256 + this.#bytes[offset + i]!;
    return value;
  }

  /** @returns whether that asks for a reset of the function */
  write(offset: number, bytes: number, value: number): boolean {
    for (let i = 0; i < bytes; i++) {
      const at = offset + i;
      const byte = (value >>> (8 * i)) & 0xff;
      const writable = LAYOUT.writable[at]!;
      this.#bytes[at] = ((this.#bytes[at]! & ~writable) | (byte & writable)) & ~(byte & LAYOUT.clearable[at]!);
    }
    const at = FLR_BYTE - offset;
    return at >= 0 && at < bytes && ((value >>> (8 * at)) & FLR_BIT) !== 0;
  }

  #get(reg: Reg): number {
    return this.read(reg.offset, reg.bytes);
  }
}
