import {
  IMS_ADDRESS_HI,
  IMS_ADDRESS_LO,
  IMS_CONTROL,
  IMS_DATA,
  IMS_SLOT_BYTES,
  type ImsArrayLayout,
  Mmio,
  type MsiMsg,
  getField,
  packFields,
} from '../hal/index.js';
import { Errno } from '../lib/errno.js';
import type { ImsStore } from './ims-store.js';
import { MAX_SLOTS } from './template.js';

/** No address space in particular. @see Linux 7.2 include/linux/iommu.h IOMMU_PASID_INVALID */
const NO_PASID = 0xffff_ffff;
const MASK = packFields(IMS_CONTROL, { mask: 1 });

/** For whose work a slot may interrupt. */
export interface PasidCookie {
  /** 20 bits; absent or 0xffffffff for everybody's. To change it, free the slot and allocate it again. */
  readonly pasid?: number;
}

/** Options of {@link imsArray}. */
export interface ImsArrayOptions {
  /** In names of chips; default `IMS`. */
  readonly name?: string;
}

/** One slot of an array. */
export class ArraySlot {
  constructor(
    /** Bytes from the start of the BAR. */
    readonly offset: number,
    /** The control word, without its mask. */
    readonly control: number,
  ) {}
}

/**
 * A message store that is an array of slots of 16 bytes in a BAR: address, data, and a control word with mask and PASID.
 * @throws {Errno} EINVAL when it does not start at a multiple of 16; ERANGE when it does not fit, or has not 1 to 65,536 slots
 * @example `this.ims.createDomain(dev, imsArray(regs, { ...IMS, slots: regs.readField(CAPS, CAPS.fields.slots) }))`
 * @see Intel Data Streaming Accelerator Architecture Specification 2.0, 9.2.9 (interrupt message storage)
 */
export function imsArray(
  regs: Mmio,
  layout: ImsArrayLayout,
  { name = 'IMS' }: ImsArrayOptions = {},
): ImsStore<PasidCookie, ArraySlot> {
  if (!(regs instanceof Mmio)) throw new Errno('EINVAL', `ims array: ${String(regs)} are no registers: map the BAR with mapBar`);
  const { offset, slots } = layout;
  if (!(Number.isInteger(offset) && offset >= 0 && offset % IMS_SLOT_BYTES === 0)) {
    throw new Errno('EINVAL', `ims array: offset ${offset} is no multiple of ${IMS_SLOT_BYTES} bytes`);
  }
  if (!(Number.isInteger(slots) && slots >= 1 && slots <= MAX_SLOTS)) {
    throw new Errno('ERANGE', `ims array: ${slots} slots: must be an integer of 1 to ${MAX_SLOTS}`);
  }
  const end = offset + slots * IMS_SLOT_BYTES;
  if (end > regs.sizeBytes) throw new Errno('ERANGE', `ims array: ends at ${end}, outside a BAR of ${regs.sizeBytes} bytes`);
  return new ImsArray(regs, offset, slots, name);
}

class ImsArray implements ImsStore<PasidCookie, ArraySlot> {
  readonly #regs: Mmio;
  readonly #offset: number;

  constructor(
    regs: Mmio,
    offset: number,
    readonly slots: number,
    readonly name: string,
  ) {
    this.#regs = regs;
    this.#offset = offset;
  }

  /** @throws {Errno} ERANGE for a PASID of more than 20 bits */
  prepare(index: number, cookie: PasidCookie | undefined): ArraySlot {
    const pasid = cookie?.pasid ?? NO_PASID;
    const control = pasid === NO_PASID ? 0 : packFields(IMS_CONTROL, { pasid, pasidEnable: 1 });
    return new ArraySlot(this.#offset + index * IMS_SLOT_BYTES, control);
  }

  mask({ offset, control }: ArraySlot): void {
    this.#regs.write32(offset + IMS_CONTROL.offset, (control | MASK) >>> 0);
    // What was posted before it has arrived when this is read: no message is under way any more.
    this.#regs.read32(offset + IMS_CONTROL.offset);
  }

  unmask({ offset, control }: ArraySlot): void {
    this.#regs.write32(offset + IMS_CONTROL.offset, control);
  }

  writeMsg({ offset }: ArraySlot, msg: MsiMsg): void {
    this.#regs.write32(offset + IMS_ADDRESS_LO.offset, msg.addressLo);
    this.#regs.write32(offset + IMS_ADDRESS_HI.offset, msg.addressHi);
    this.#regs.write32(offset + IMS_DATA.offset, msg.data);
    this.#regs.read32(offset + IMS_DATA.offset);
  }

  shutdown({ offset }: ArraySlot): void {
    this.#clear(offset);
  }

  free({ offset }: ArraySlot): void {
    this.#clear(offset);
  }

  state({ offset }: ArraySlot, which: 'masked' | 'pending'): boolean {
    const word = this.#regs.read32(offset + IMS_CONTROL.offset);
    return getField(which === 'masked' ? IMS_CONTROL.fields.mask : IMS_CONTROL.fields.pending, word) === 1;
  }

  /** Masked before anything else. */
  #clear(offset: number): void {
    this.#regs.write32(offset + IMS_CONTROL.offset, MASK);
    this.#regs.write32(offset + IMS_ADDRESS_LO.offset, 0);
    this.#regs.write32(offset + IMS_ADDRESS_HI.offset, 0);
    this.#regs.write32(offset + IMS_DATA.offset, 0);
    this.#regs.read32(offset + IMS_CONTROL.offset);
  }
}
