import { PCI } from '../../core/hal/index.js';
import { Errno } from '../../core/lib/index.js';
import { CapabilityBlock } from './capability.js';

/** A capability of the extended space, 0x100 to 0xfff; needs a PCI Express capability beside it. */
export class ExtendedCapability extends CapabilityBlock {
  constructor(
    id: number,
    readonly version: number,
    sizeBytes: number,
    at?: number,
  ) {
    super(id, sizeBytes, at);
  }
}

/** Bits of the uncorrectable error registers, as PCI Express 5.0 defines them. */
const UNCORRECTABLE = 0x07ff_f030;
const UNCORRECTABLE_SEVERITY = 0x0046_2030;
const CORRECTABLE = 0x0000_f1c1;

/**
 * Advanced Error Reporting: status, mask and severity registers. Nothing raises errors by itself.
 * @param options `root`: with the registers of a root port
 * @see PCI Express Base Specification 5.0, 7.8.4
 */
export function aer(options: { readonly root?: boolean; readonly at?: number } = {}): ExtendedCapability {
  const cap = new ExtendedCapability(PCI.EXT_AER, 2, options.root === true ? 0x38 : 0x2c, options.at);
  cap.set32(0x04, 0, 0, UNCORRECTABLE);
  cap.set32(0x08, 0, UNCORRECTABLE);
  cap.set32(0x0c, UNCORRECTABLE_SEVERITY, UNCORRECTABLE);
  cap.set32(0x10, 0, 0, CORRECTABLE);
  cap.set32(0x14, 0x0000_2000, CORRECTABLE);
  // ECRC generation and check: neither is supported.
  cap.set32(0x18, 0);
  if (options.root === true) {
    cap.set32(0x2c, 0, 0x7);
    cap.set32(0x30, 0, 0, 0x7f);
  }
  return cap;
}

/**
 * Device serial number.
 * @param serial 16 hexadecimal digits, as lspci prints them, with or without dashes
 * @see PCI Express Base Specification 5.0, 7.9.3
 */
export function deviceSerialNumber(serial: string, at?: number): ExtendedCapability {
  const digits = serial.replaceAll('-', '');
  if (!/^[0-9a-f]{16}$/i.test(digits)) throw new Errno('EINVAL', `serial number ${serial}: must be 16 hexadecimal digits`);
  return new ExtendedCapability(PCI.EXT_SERIAL, 1, 12, at)
    .set32(4, Number.parseInt(digits.slice(8), 16))
    .set32(8, Number.parseInt(digits.slice(0, 8), 16));
}

/**
 * A vendor-specific extended capability.
 * @param id the vendor's own number for it, 16 bits; @param revision 4 bits; @param body what follows both headers
 * @see PCI Express Base Specification 5.0, 7.9.5
 */
export function vendorExtended(
  id: number,
  revision: number,
  body: Uint8Array,
  writable = new Uint8Array(0),
  at?: number,
): ExtendedCapability {
  const cap = new ExtendedCapability(PCI.EXT_VENDOR, 1, body.length + 8, at);
  cap.set32(4, ((body.length + 8) * 2 ** 20 + ((revision & 0xf) << 16) + (id & 0xffff)) >>> 0);
  body.forEach((byte, i) => cap.set8(8 + i, byte, writable[i] ?? 0));
  return cap;
}

/** Any other extended capability: `body` follows the 4-byte header. */
export function rawExtended(
  id: number,
  version: number,
  body: Uint8Array,
  writable = new Uint8Array(0),
  at?: number,
): ExtendedCapability {
  const cap = new ExtendedCapability(id, version, body.length + 4, at);
  body.forEach((byte, i) => cap.set8(4 + i, byte, writable[i] ?? 0));
  return cap;
}
