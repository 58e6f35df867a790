import type { MsiMsg } from '../hal/index.js';
import type { IrqDesc } from './desc.js';

/** What this room looks at in the MSI descriptor of an interrupt; `MsiDesc` of `core/msi` has it. */
interface Slot {
  readonly index: number;
  /** The first interrupt of the slot. */
  readonly virq: number;
  readonly count: number;
  readonly msg: MsiMsg | undefined;
}

const isSlot = (msi: object | undefined): msi is Slot => msi !== undefined && 'index' in msi && 'virq' in msi && 'msg' in msi;

/** Index of the message of an interrupt in its device; undefined for an interrupt that is none. */
export function slotOf({ msi }: IrqDesc): number | undefined {
  return isSlot(msi) ? msi.index : undefined;
}

/** How many interrupts share the slot of one, itself included; they count up from the first. */
export function slotCount({ msi }: IrqDesc): number {
  return isSlot(msi) ? msi.count : 1;
}

/**
 * What the device writes to raise an interrupt; undefined when it is none of messages or nothing was written. A slot of several
 * interrupts counts its data up.
 * @see PCI Local Bus Specification 3.0, 6.8.1.6 (message data for MSI)
 */
export function messageOf({ msi, virq }: IrqDesc): MsiMsg | undefined {
  if (!isSlot(msi) || msi.msg === undefined) return undefined;
  const { addressLo, addressHi, data } = msi.msg;
  return addressLo === 0 && addressHi === 0 ? undefined : { addressLo, addressHi, data: data + (virq - msi.virq) };
}
