import { PCI, type Reg, packFields, wordOf } from '../../core/hal/index.js';
import { Errno, hex } from '../../core/lib/index.js';

/**
 * The registers of one capability: values after reset, and which bits software may change. Pure data, laid into any number
 * of configuration spaces. Bytes 0 and 1 (id and next; 0 to 3 of an extended one) are filled in when it is placed.
 */
export class CapabilityBlock {
  readonly value: DataView;
  readonly writable: DataView;
  readonly w1c: DataView;

  /**
   * @param id capability or extended capability id
   * @param sizeBytes length with its header
   * @param at fixed offset, a multiple of 4; default the next free one
   */
  constructor(
    readonly id: number,
    readonly sizeBytes: number,
    readonly at?: number,
  ) {
    if (at !== undefined && at % 4 !== 0) {
      throw new Errno('EINVAL', `capability 0x${hex(id)}: offset 0x${hex(at)} is not a multiple of 4`);
    }
    this.value = new DataView(new ArrayBuffer(sizeBytes));
    this.writable = new DataView(new ArrayBuffer(sizeBytes));
    this.w1c = new DataView(new ArrayBuffer(sizeBytes));
  }

  set8(offset: number, value: number, writable = 0, w1c = 0): this {
    this.value.setUint8(offset, value);
    this.writable.setUint8(offset, writable);
    this.w1c.setUint8(offset, w1c);
    return this;
  }

  set16(offset: number, value: number, writable = 0, w1c = 0): this {
    this.value.setUint16(offset, value, true);
    this.writable.setUint16(offset, writable, true);
    this.w1c.setUint16(offset, w1c, true);
    return this;
  }

  set32(offset: number, value: number, writable = 0, w1c = 0): this {
    this.value.setUint32(offset, value, true);
    this.writable.setUint32(offset, writable, true);
    this.w1c.setUint32(offset, w1c, true);
    return this;
  }

  /** Lays down a register of 16 or 32 bits: its modes say what software may change. */
  define(reg: Reg, value: number): this {
    const { rw, w1c } = wordOf(reg).masks;
    return reg.bytes === 2 ? this.set16(reg.offset, value, rw, w1c) : this.set32(reg.offset, value, rw, w1c);
  }
}

/** A capability of the first 256 bytes. */
export class Capability extends CapabilityBlock {}

/** Where a capability goes; absent means the next free offset from 0x40 on. */
export interface Placed {
  readonly at?: number;
}

/** Options of {@link powerManagement}. */
export interface PowerManagementOptions extends Placed {
  /** Supports D1, D2; default false. D0 and D3hot always. */
  readonly d1?: boolean;
  readonly d2?: boolean;
  /** Keeps its state from D3hot to D0; default false: it resets. */
  readonly noSoftReset?: boolean;
}

/**
 * Power management, version 3.
 * @see PCI Express Base Specification 5.0, 7.5.2
 */
export function powerManagement(options: PowerManagementOptions = {}): Capability {
  const states = (options.d1 === true ? 0x0200 : 0) | (options.d2 === true ? 0x0400 : 0);
  return new Capability(PCI.CAP_PM, 8, options.at)
    .set16(2, 0x0003 | states)
    .define(PCI.PM_CONTROL, packFields(PCI.PM_CONTROL, { noSoftReset: options.noSoftReset === true ? 1 : 0 }));
}

/** Options of {@link msi}. */
export interface MsiOptions extends Placed {
  /** Messages asked for: 1, 2, 4, 8, 16 or 32; default 1. */
  readonly vectors?: number;
  /** 64-bit message address; default true. */
  readonly is64?: boolean;
  /** Per-vector masking; default false. */
  readonly maskable?: boolean;
}

/**
 * Message signalled interrupts.
 * @see PCI Express Base Specification 5.0, 7.7.1
 * @throws {Errno} EINVAL for another number of vectors
 */
export function msi(options: MsiOptions = {}): Capability {
  const { vectors = 1, is64 = true, maskable = false, at } = options;
  const log2 = Math.log2(vectors);
  if (!Number.isInteger(log2) || log2 < 0 || log2 > 5) {
    throw new Errno('EINVAL', `msi: ${vectors} vectors, must be a power of two of 1 to 32`);
  }
  const data = is64 ? 12 : 8;
  const cap = new Capability(PCI.CAP_MSI, maskable ? data + 12 : data + 2, at);
  const fields = { capable: log2, is64: is64 ? 1 : 0, maskable: maskable ? 1 : 0 };
  cap.define(PCI.MSI_CONTROL, packFields(PCI.MSI_CONTROL, fields));
  cap.set32(4, 0, 0xffff_fffc);
  if (is64) cap.set32(8, 0, 0xffff_ffff);
  cap.set16(data, 0, 0xffff);
  if (maskable) cap.set32(data + 4, 0, 2 ** vectors - 1);
  return cap;
}

/** A place in a BAR, as MSI-X tells it: `offset` is a multiple of 8. */
export interface BarOffset {
  readonly bar: number;
  readonly offset: number;
}

/** Options of {@link msix}. */
export interface MsixOptions extends Placed {
  /** 1 to 2048. */
  readonly vectors: number;
  /** The table: 16 bytes a vector. */
  readonly table: BarOffset;
  /** The pending bits: 8 bytes for 64 vectors. */
  readonly pba: BarOffset;
}

/** MSI-X as declared; the endpoint puts table and pending bits in front of the model's registers in that BAR. */
export class MsixCapability extends Capability {
  constructor(readonly options: MsixOptions) {
    super(PCI.CAP_MSIX, 12, options.at);
  }
}

/**
 * MSI-X.
 * @see PCI Express Base Specification 5.0, 7.7.2
 * @throws {Errno} EINVAL for a number of vectors, BAR or offset that cannot be
 */
export function msix(options: MsixOptions): MsixCapability {
  const { vectors, table, pba } = options;
  if (!(Number.isInteger(vectors) && vectors >= 1 && vectors <= 2048)) {
    throw new Errno('EINVAL', `msix: ${vectors} vectors, must be 1 to 2048`);
  }
  for (const place of [table, pba]) {
    if (!(place.bar >= 0 && place.bar <= 5 && place.offset >= 0 && place.offset % 8 === 0)) {
      throw new Errno('EINVAL', `msix: BAR ${place.bar} offset ${place.offset}: must be BAR 0 to 5, and a multiple of 8`);
    }
  }
  const cap = new MsixCapability(options);
  cap.define(PCI.MSIX_CONTROL, packFields(PCI.MSIX_CONTROL, { size: vectors - 1 }));
  cap.set32(4, table.offset + table.bar);
  cap.set32(8, pba.offset + pba.bar);
  return cap;
}

/** Device and port types of {@link pcie}. */
export type PcieType = keyof typeof PCI.PCIE_TYPES;

/** Options of {@link pcie}. */
export interface PcieOptions extends Placed {
  /** Default `endpoint`. */
  readonly type?: PcieType;
  /** Function-level reset; default false, endpoints only. */
  readonly flr?: boolean;
  /** 1 (2.5 GT/s) to 5 (32 GT/s); default 3. */
  readonly linkSpeed?: number;
  /** Lanes; default 1. */
  readonly linkWidth?: number;
  /** A slot with hot plug and surprise removal; `root-port` and `downstream` only. */
  readonly slot?: { readonly number: number };
}

/**
 * PCI Express, version 2.
 * @see PCI Express Base Specification 5.0, 7.5.3
 */
export function pcie(options: PcieOptions = {}): Capability {
  const { type = 'endpoint', flr = false, linkSpeed = 3, linkWidth = 1, slot } = options;
  const link = linkSpeed | (linkWidth << 4);
  const isPort = type === 'root-port' || type === 'downstream';
  if (slot !== undefined && !isPort) throw new Errno('EINVAL', `pcie: a slot at a device of type ${type}`);
  const cap = new Capability(PCI.CAP_PCIE, 0x3c, options.at);
  const flags = { version: 2, type: PCI.PCIE_TYPES[type], slot: slot === undefined ? 0 : 1 };
  cap.define(PCI.PCIE_FLAGS, packFields(PCI.PCIE_FLAGS, flags));
  // Role-based error reporting; 128-byte payloads; extended tags.
  cap.define(PCI.PCIE_DEVICE_CAPS, 0x0000_8020 | packFields(PCI.PCIE_DEVICE_CAPS, { flr: flr ? 1 : 0 }));
  cap.set16(PCI.PCIE_DEVICE_CONTROL.offset, 0x2810, flr ? 0xffff : 0x7fff);
  cap.set16(0x0a, 0, 0, 0x000f);
  // An integrated endpoint has no link.
  if (type !== 'integrated') {
    cap.set32(0x0c, link | (isPort ? 0x0010_0000 : 0));
    cap.set16(0x10, 0, 0x0fcb);
    cap.define(PCI.PCIE_LINK_STATUS, link);
    cap.set32(0x2c, (2 ** (linkSpeed + 1) - 2) >>> 0);
    cap.set16(0x30, linkSpeed, 0x000f);
  }
  if (slot !== undefined) {
    // Hot-plug capable and surprise; no buttons, indicators or power controller.
    cap.define(PCI.PCIE_SLOT_CAPS, ((slot.number & 0x1fff) * 2 ** 19 + 0x0060) >>> 0);
    cap.set16(0x18, 0, 0x1fff);
    cap.define(PCI.PCIE_SLOT_STATUS, 0);
  }
  if (type === 'root-port') cap.set16(0x1c, 0, 0x001f);
  // Completion time-out disable; the time-out itself is not modelled.
  cap.set32(0x24, 0x0000_0010);
  cap.set16(0x28, 0, 0x001f);
  return cap;
}

/**
 * A capability that only its vendor knows.
 * @param body what follows id, next and length
 * @param writable mask of the bits of `body` that software may change; default none
 * @see PCI Express Base Specification 5.0, 7.9.4
 */
export function vendorSpecific(body: Uint8Array, writable = new Uint8Array(0), options: Placed = {}): Capability {
  const cap = new Capability(PCI.CAP_VENDOR, body.length + 3, options.at).set8(2, body.length + 3);
  body.forEach((byte, i) => cap.set8(3 + i, byte, writable[i] ?? 0));
  return cap;
}

/** Any other capability: `body` follows id and next. */
export function rawCapability(id: number, body: Uint8Array, writable = new Uint8Array(0), options: Placed = {}): Capability {
  const cap = new Capability(id, body.length + 2, options.at);
  body.forEach((byte, i) => cap.set8(2 + i, byte, writable[i] ?? 0));
  return cap;
}
