import { type Reg, field, reg32 } from './reg.js';

/** Length of one slot of an interrupt message store, in bytes. */
export const IMS_SLOT_BYTES = 16;

/** Low half of the message address. */
export const IMS_ADDRESS_LO: Reg = reg32('IMS_ADDRESS_LO', 0x0);
/** High half of the message address. */
export const IMS_ADDRESS_HI: Reg = reg32('IMS_ADDRESS_HI', 0x4);
/** Message data. */
export const IMS_DATA: Reg = reg32('IMS_DATA', 0x8);
/**
 * ```
 *  31                                    12 11      4   3     2     1     0
 * +----------------------------------------+---------+-----+-----+-----+-----+
 * |                 pasid                  |    0    |p.en.| ign.|pend.|mask |
 * +----------------------------------------+---------+-----+-----+-----+-----+
 * ```
 * `mask`: the message is not sent; `pending`: it was to be, and is when `mask` is cleared. `pasid` counts with `pasidEnable`:
 * the slot serves work of that address space alone; `ignore`: it serves all.
 * @see Intel Data Streaming Accelerator Architecture Specification 2.0, 9.2.9 (interrupt message storage)
 */
export const IMS_CONTROL = reg32('IMS_CONTROL', 0xc, {
  pasid: field(31, 12),
  pasidEnable: field(3),
  ignore: field(2),
  pending: field(1, 1, 'ro'),
  mask: field(0, 0, 'rw', 1),
});

/** Where a device keeps its interrupt messages: an array of slots of {@link IMS_SLOT_BYTES} in one of its BARs. */
export interface ImsArrayLayout {
  /** Bytes from the start of the BAR; a multiple of 16. */
  readonly offset: number;
  /** 1 to 65,536. */
  readonly slots: number;
}
