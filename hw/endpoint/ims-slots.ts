import {
  IMS_ADDRESS_HI,
  IMS_ADDRESS_LO,
  IMS_CONTROL,
  IMS_DATA,
  IMS_SLOT_BYTES,
  type Window,
  wordOf,
} from '../../core/hal/index.js';
import type { IrqPort } from './model.js';

/** Words of a slot. */
const WORDS = IMS_SLOT_BYTES / 4;
const ADDRESS_LO = IMS_ADDRESS_LO.offset / 4;
const ADDRESS_HI = IMS_ADDRESS_HI.offset / 4;
const DATA = IMS_DATA.offset / 4;
const CONTROL = IMS_CONTROL.offset / 4;
const { reset: RESET, masks } = wordOf(IMS_CONTROL);
const MASK = 1 << IMS_CONTROL.fields.mask.lsb;
const PENDING = 1 << IMS_CONTROL.fields.pending.lsb;

const ONES = 0xffff_ffff;

/**
 * A device's interrupt message store: an array of slots among its registers, which sends their messages. Accesses are 4 bytes
 * wide, or 8 for two words; others read all ones and write nothing.
 *
 * A message may bring any access with it, also to this store: it is the last thing that a call does.
 */
export class ImsSlots implements Window {
  readonly sizeBytes: number;
  readonly #words: Uint32Array;
  readonly #irq: Pick<IrqPort, 'post'>;

  constructor(
    readonly count: number,
    irq: Pick<IrqPort, 'post'>,
  ) {
    this.sizeBytes = count * IMS_SLOT_BYTES;
    this.#words = new Uint32Array(count * WORDS);
    this.#irq = irq;
    this.reset();
  }

  /** No slot has a message, all are masked, nothing is pending. */
  reset(): void {
    this.#words.fill(0);
    for (let at = CONTROL; at < this.#words.length; at += WORDS) this.#words[at] = RESET;
  }

  /** Whether a word begins at `offset`, in bytes from the first slot. */
  has(offset: number): boolean {
    return offset >= 0 && offset < this.#words.byteLength && offset % 4 === 0;
  }

  read8(): number {
    return 0xff;
  }
  read16(): number {
    return 0xffff;
  }
  read32(offset: number): number {
    return this.has(offset) ? this.#words[offset / 4]! : ONES;
  }
  read64(offset: number, out: Uint32Array): void {
    out[0] = this.read32(offset);
    out[1] = this.read32(offset + 4);
  }

  write8(): void {}
  write16(): void {}
  /** Clearing the mask sends what is pending, once. */
  write32(offset: number, value: number): void {
    if (!this.has(offset)) return;
    const word = offset / 4;
    if (word % WORDS !== CONTROL) {
      this.#words[word] = value;
      return;
    }
    const pending = this.#words[word]! & PENDING;
    this.#words[word] = (value & masks.rw) | pending;
    if (pending !== 0) this.send((word - CONTROL) / WORDS);
  }

  write64(offset: number, lo: number, hi: number): void {
    this.write32(offset, lo);
    this.write32(offset + 4, hi);
  }

  /** Sends the message of a slot below `count`; that of a masked one is pending from now on. */
  send(slot: number): void {
    const words = this.#words;
    const at = slot * WORDS;
    const control = words[at + CONTROL]!;
    if ((control & MASK) !== 0) {
      words[at + CONTROL] = control | PENDING;
      return;
    }
    words[at + CONTROL] = control & ~PENDING;
    // A message is one aligned word.
    this.#irq.post(words[at + ADDRESS_LO]! & ~3, words[at + ADDRESS_HI]! | 0, words[at + DATA]! | 0);
  }
}
