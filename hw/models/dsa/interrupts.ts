import { IMS_CONTROL, IMS_SLOT_BYTES } from '../../../core/hal/index.js';
import { ImsSlots, type IrqPort } from '../../endpoint/index.js';
import * as DSA from '../../regs/dsa.js';
import type { Profile } from './profile.js';
import type { Tables } from './tables.js';

/** Causes of message 0. */
export const CAUSE_ERROR = 1 << DSA.INTCAUSE.fields.error.lsb;
export const CAUSE_COMMAND = 1 << DSA.INTCAUSE.fields.command.lsb;
export const CAUSE_HALT = 1 << DSA.INTCAUSE.fields.halt.lsb;
export const CAUSE_EVL = 1 << DSA.INTCAUSE.fields.evl.lsb;
const CAUSE_REVOKED = 1 << DSA.INTCAUSE.fields.handlesRevoked.lsb;
const CONTROL_BITS = 0x7;

/** Permissions of a message and of a slot have their bits in the same places. */
const IGNORE = 1 << IMS_CONTROL.fields.ignore.lsb;
const PASID_ENABLE = 1 << IMS_CONTROL.fields.pasidEnable.lsb;
const PASID_SHIFT = IMS_CONTROL.fields.pasid.lsb;
/** The first handle that is given out where handles are asked for. */
const FIRST_HANDLE = 0x20;

/** The device's interrupts: message 0 with its causes, and those of completions from MSI-X or from the store, by handle. */
export class Interrupts {
  readonly slots: ImsSlots;
  causes = 0;
  /** GENCTRL. */
  control = 0;
  readonly #irq: IrqPort;
  readonly #tables: Tables;
  readonly #vectors: number;
  /** Handles must be asked for; else they are the index itself. */
  readonly #areGranted: boolean;
  /** By index, messages before slots: 1 where a handle has been given out. */
  readonly #granted: Uint8Array;
  /** Added to an index: changes when handles are revoked, so that an old one is not taken for a new one. */
  #base = FIRST_HANDLE;
  readonly #stride: number;

  constructor(profile: Profile, tables: Tables, irq: IrqPort) {
    this.#irq = irq;
    this.#tables = tables;
    this.#vectors = profile.vectors;
    this.slots = new ImsSlots(profile.imsSlots, irq);
    this.#areGranted = (profile.commands & (1 << DSA.COMMANDS.requestHandle)) !== 0;
    this.#granted = new Uint8Array(profile.vectors + profile.imsSlots);
    this.#stride = 2 ** Math.ceil(Math.log2(Math.max(profile.vectors, profile.imsSlots)));
  }

  reset(): void {
    this.causes = this.control = 0;
    this.#granted.fill(0);
  }

  /** Adds a cause and sends message 0. */
  raise(cause: number): void {
    this.causes = (this.causes | cause) >>> 0;
    this.#irq.msix(0);
  }

  /** As {@link raise}, where GENCTRL has this bit. */
  raiseIf(control: number, cause: number): void {
    if ((this.control & control) !== 0) this.raise(cause);
  }

  writeControl(value: number, mask: number): void {
    const bits = mask & CONTROL_BITS;
    this.control = (this.control & ~bits) | (value & bits);
  }

  acknowledge(causes: number): void {
    this.causes = (this.causes & ~causes) >>> 0;
  }

  /** @returns the handle, -1 when there is no such index */
  request(index: number, isIms: boolean): number {
    if (!this.#exists(index, isIms)) return -1;
    this.#granted[this.#place(index, isIms)] = 1;
    return (this.#base + index) & 0xffff;
  }

  /** @returns false when it has not been given out */
  release(handle: number, isIms: boolean): boolean {
    const index = this.indexOf(handle, isIms);
    if (index < 0) return false;
    this.#granted[this.#place(index, isIms)] = 0;
    return true;
  }

  /** Takes all handles back, and says so. */
  revoke(): void {
    this.#granted.fill(0);
    this.#base += this.#stride;
    this.raise(CAUSE_REVOKED);
  }

  /** The message or slot that a descriptor's handle stands for; -1 when for none. */
  indexOf(handle: number, isIms: boolean): number {
    const index = this.#areGranted ? (handle - this.#base) & 0xffff : handle;
    if (!this.#exists(index, isIms)) return -1;
    return this.#areGranted && this.#granted[this.#place(index, isIms)] === 0 ? -1 : index;
  }

  /** Whether work may use a message or slot. @param pasid 0 for none */
  permits(index: number, isIms: boolean, pasid: number, isPrivileged: boolean): boolean {
    const permission = isIms ? this.slots.read32(index * IMS_SLOT_BYTES + IMS_CONTROL.offset) : this.#tables.permission(index);
    if ((permission & IGNORE) !== 0) return true;
    if ((permission & PASID_ENABLE) !== 0) return pasid !== 0 && permission >>> PASID_SHIFT === pasid;
    return pasid === 0 || isPrivileged;
  }

  /** Sends a completion's message: where it cannot leave it stays pending if it is masked, else it is lost. */
  signal(index: number, isIms: boolean): void {
    if (isIms) this.slots.send(index);
    else this.#irq.msix(index);
  }

  #place(index: number, isIms: boolean): number {
    return isIms ? this.#vectors + index : index;
  }

  /** Message 0 is the device's own. */
  #exists(index: number, isIms: boolean): boolean {
    return isIms ? index < this.slots.count : index > 0 && index < this.#vectors;
  }
}
