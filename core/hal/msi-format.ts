import { hex } from '../lib/bits.js';
import { Errno } from '../lib/errno.js';
import type { MsiMsg } from './msi.js';

/**
 * What a write to an interrupt address says, in both directions.
 *
 * ```
 * address      31     20 19           12 11          5   4     3     2    1   0
 *             +---------+---------------+-------------+-----+-----+-----+-------+
 * compatibility  0xfee  |  id 7:0       |  id 14:8 *  |  0  | RH  | DM  |   0   |   * extended ids alone
 *             +---------+---------------+-------------+-----+-----+-----+-------+
 * remappable     0xfee  |         handle 14:0         |  1  | SHV | h15 |   0   |
 *             +---------+-----------------------------+-----+-----+-----+-------+
 * data         15 trigger  14 level  10:8 delivery  7:0 vector;   remappable: 15:0 sub-handle, when SHV
 * ```
 * RH: redirection hint, one CPU of several takes it; DM: the id is logical; SHV: the sub-handle is added to the handle.
 * @see Intel SDM volume 3, 11.11 (message signalled interrupts); Intel VT-d Architecture Specification 4.1, 5.1.2
 * @see Linux 7.2 arch/x86/include/asm/msi.h, drivers/iommu/intel/irq_remapping.c fill_msi_msg
 */
const BASE = 0xfee0_0000;
const WINDOW = 0xfff0_0000 | 0;
const REMAPPABLE = 0x10;
const HINT_OR_VALID = 0x8;
const LOGICAL_OR_H15 = 0x4;

/** Names of the delivery modes by their number. */
export const DELIVERY_MODES = ['fixed', 'lowest priority', 'SMI', 'reserved 3', 'NMI', 'INIT', 'reserved 6', 'ExtINT'] as const;
/** The CPUs named take the vector; one of those named takes it. */
export const DELIVER_FIXED = 0;
export const DELIVER_LOWEST = 1;

/** Options of {@link composeCompat}. */
export interface CompatOptions {
  /** The id is a logical one: a set of CPUs. */
  readonly logical?: boolean;
  /** Ids have 15 bits, as hypervisors allow; without, 8. */
  readonly extended?: boolean;
}

/**
 * A message in compatibility format: fixed delivery, edge-triggered.
 * @param apicId 0 to 0xff, or to 0x7fff with `extended`
 * @param vector 0 to 0xff
 * @throws {Errno} ERANGE when one of them does not fit
 */
export function composeCompat(apicId: number, vector: number, options: CompatOptions = {}): MsiMsg {
  const { logical = false, extended = false } = options;
  const last = extended ? 0x7fff : 0xff;
  if (!(Number.isInteger(apicId) && apicId >= 0 && apicId <= last)) {
    const remedy = extended ? '' : ': needs interrupt remapping or extended ids';
    throw new Errno('ERANGE', `msi: APIC id ${apicId} does not fit a message, at most 0x${hex(last)}${remedy}`);
  }
  if (!(Number.isInteger(vector) && vector >= 0 && vector <= 0xff)) {
    throw new Errno('ERANGE', `msi: vector ${vector} does not fit a message, at most 0xff`);
  }
  const id = ((apicId & 0xff) << 12) | ((apicId >> 8) << 5);
  return { addressLo: (BASE | id | (logical ? LOGICAL_OR_H15 : 0)) >>> 0, addressHi: 0, data: vector };
}

/**
 * A message in remappable format.
 * @param index entry of the remapping table, 0 to 0xffff
 * @param subHandle added to `index` by the unit, 0 to 0xffff; a device that sends several messages counts it up
 * @throws {Errno} ERANGE when one of them does not fit
 */
export function composeRemappable(index: number, subHandle: number): MsiMsg {
  for (const value of [index, subHandle]) {
    if (!(Number.isInteger(value) && value >= 0 && value <= 0xffff)) {
      throw new Errno('ERANGE', `msi: index ${index} with sub-handle ${subHandle} does not fit a message, at most 0xffff each`);
    }
  }
  const handle = ((index & 0x7fff) << 5) | ((index >> 15) << 2);
  return { addressLo: (BASE | REMAPPABLE | HINT_OR_VALID | handle) >>> 0, addressHi: 0, data: subHandle };
}

/** A message in compatibility format, taken apart. */
export interface CompatMsg {
  readonly format: 'compat';
  readonly apicId: number;
  readonly logical: boolean;
  readonly redirectionHint: boolean;
  readonly vector: number;
  readonly delivery: (typeof DELIVERY_MODES)[number];
  /** The level of a level-triggered interrupt: asserted. */
  readonly level: boolean;
  readonly trigger: 'edge' | 'level';
}

/** A message in remappable format, taken apart. */
export interface RemappableMsg {
  readonly format: 'remappable';
  /** The entry that it names: the handle, and the sub-handle where there is one. Up to 0x1fffe. */
  readonly index: number;
  readonly handle: number;
  /** Undefined when the message says that it has none. */
  readonly subHandle: number | undefined;
}

/**
 * Takes a message apart.
 * @param extended whether ids have 15 bits
 * @returns undefined when the address is no interrupt address
 */
export function parseMsg(
  addressLo: number,
  addressHi: number,
  data: number,
  extended = false,
): CompatMsg | RemappableMsg | undefined {
  if (!isInterruptAddress(addressLo, addressHi)) return undefined;
  if (isRemappable(addressLo)) {
    const hasSubHandle = (addressLo & HINT_OR_VALID) !== 0;
    return {
      format: 'remappable',
      index: remapIndex(addressLo, data),
      handle: remapIndex(addressLo, 0),
      subHandle: hasSubHandle ? data & 0xffff : undefined,
    };
  }
  return {
    format: 'compat',
    apicId: compatApicId(addressLo, extended),
    logical: isLogical(addressLo),
    redirectionHint: hasRedirectionHint(addressLo),
    vector: data & 0xff,
    delivery: DELIVERY_MODES[deliveryOf(data)]!,
    level: (data & 0x4000) !== 0,
    trigger: (data & 0x8000) !== 0 ? 'level' : 'edge',
  };
}

/** Whether a write there is an interrupt. The words may be signed or not, here and below. */
export function isInterruptAddress(addressLo: number, addressHi: number): boolean {
  return addressHi === 0 && (addressLo & WINDOW) === (BASE | 0);
}

/** Whether the message names a remapping entry. */
export function isRemappable(addressLo: number): boolean {
  return (addressLo & REMAPPABLE) !== 0;
}

/** The remapping entry that a remappable message names. */
export function remapIndex(addressLo: number, data: number): number {
  const handle = ((addressLo >>> 5) & 0x7fff) | ((addressLo & LOGICAL_OR_H15) << 13);
  return (addressLo & HINT_OR_VALID) !== 0 ? handle + (data & 0xffff) : handle;
}

/** The sub-handle has bits that must be 0. */
export function hasReservedData(addressLo: number, data: number): boolean {
  return (addressLo & HINT_OR_VALID) !== 0 && (data & 0xffff_0000) !== 0;
}

/** The id in a message of compatibility format. */
export function compatApicId(addressLo: number, extended: boolean): number {
  const id = (addressLo >>> 12) & 0xff;
  return extended ? id | ((addressLo << 3) & 0x7f00) : id;
}

/** Whether the id of a message of compatibility format is a logical one. */
export function isLogical(addressLo: number): boolean {
  return (addressLo & LOGICAL_OR_H15) !== 0;
}

/** Whether one CPU of those that a message of compatibility format names is to take it. */
export function hasRedirectionHint(addressLo: number): boolean {
  return (addressLo & HINT_OR_VALID) !== 0;
}

/** The delivery mode in the data of a message of compatibility format: index of {@link DELIVERY_MODES}. */
export function deliveryOf(data: number): number {
  return (data >>> 8) & 7;
}
