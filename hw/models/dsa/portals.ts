import type { Window } from '../../../core/hal/index.js';
import { hex } from '../../../core/lib/index.js';
import * as DSA from '../../regs/dsa.js';
import type { DsaDevice } from './device.js';
import { WORDS } from './queues.js';

const PAGES = DSA.PORTAL_STRIDE / DSA.PORTAL_BYTES;
const PAGE_WORDS = DSA.PORTAL_BYTES / 4;
const SLOTS = DSA.PORTAL_BYTES / DSA.DESCRIPTOR_BYTES;
const ONES = 0xffff_ffff;

/** Descriptors of a portal that have arrived in part. */
class Page {
  readonly words = new Uint32Array(PAGE_WORDS);
  /** A bit for each byte that is there: two words for a slot. */
  readonly bytes = new Uint32Array(2 * SLOTS);
}

/**
 * The portals. A descriptor is one store of 64 bytes; one that comes in pieces, as on a bus that has no such store, is accepted
 * when all its bytes are there, in any order.
 */
export class Portals implements Required<Window> {
  readonly sizeBytes: number;
  readonly #device: DsaDevice;
  readonly #end: number;
  /** By queue and portal, from the first store in pieces on. */
  readonly #pages: (Page | undefined)[];

  constructor(device: DsaDevice) {
    this.#device = device;
    this.sizeBytes = device.profile.portalBarBytes;
    this.#end = device.profile.workQueues * DSA.PORTAL_STRIDE;
    this.#pages = new Array<Page | undefined>(device.profile.workQueues * PAGES).fill(undefined);
  }

  /** Forgets what has arrived in part for a queue. */
  clear(wq: number): void {
    for (let i = wq * PAGES; i < (wq + 1) * PAGES; i++) this.#pages[i]?.bytes.fill(0);
  }

  /**
   * Stores a descriptor at once, as the instruction MOVDIR64B does: 16 words from `at` on. For dedicated queues; it is lost where it is
   * not accepted.
   * @param offset in the BAR, a multiple of 64
   */
  movdir64b(offset: number, words: Uint32Array, at = 0): void {
    if (!this.#isSlot(offset)) return;
    this.#device.post(Math.floor(offset / DSA.PORTAL_STRIDE), (offset & DSA.PORTAL_IMS) !== 0, words, at);
  }

  /**
   * As {@link movdir64b}, and asks whether it was accepted, as the instruction ENQCMD does. For shared queues.
   * @returns true when it has to be tried again
   */
  enqcmd(offset: number, words: Uint32Array, at = 0): boolean {
    if (!this.#isSlot(offset)) return true;
    const wq = Math.floor(offset / DSA.PORTAL_STRIDE);
    return this.#device.enqueue(wq, (offset & DSA.PORTAL_IMS) !== 0, (offset & DSA.PORTAL_LIMITED) !== 0, words, at);
  }

  read8(): number {
    return 0xff;
  }
  read16(): number {
    return 0xffff;
  }
  read32(): number {
    return ONES;
  }
  read64(_offset: number, out: Uint32Array): void {
    out[0] = out[1] = ONES;
  }
  write8(offset: number, value: number): void {
    this.#store(offset, 1, (value & 0xff) << (8 * (offset & 3)), 0xff << (8 * (offset & 3)));
  }
  write16(offset: number, value: number): void {
    this.#store(offset, 2, (value & 0xffff) << (8 * (offset & 3)), 0xffff << (8 * (offset & 3)));
  }
  write32(offset: number, value: number): void {
    this.#store(offset, 4, value, ONES);
  }
  write64(offset: number, lo: number, hi: number): void {
    if (offset % 8 !== 0) {
      this.#refuse(offset);
      return;
    }
    this.#store(offset, 4, lo, ONES);
    this.#store(offset + 4, 4, hi, ONES);
  }

  #store(offset: number, bytes: number, value: number, mask: number): void {
    if (!(offset >= 0 && offset + bytes <= this.#end && offset % bytes === 0)) {
      this.#refuse(offset);
      return;
    }
    const page = (this.#pages[Math.floor(offset / DSA.PORTAL_BYTES)] ??= new Page());
    const within = offset & (DSA.PORTAL_BYTES - 1);
    const word = within >>> 2;
    page.words[word] = (page.words[word]! & ~mask) | (value & mask);
    const slot = Math.floor(within / DSA.DESCRIPTOR_BYTES);
    const half = 2 * slot + ((within >>> 5) & 1);
    page.bytes[half] = page.bytes[half]! | (((1 << bytes) - 1) << (within & 31));
    if (page.bytes[2 * slot] !== ONES || page.bytes[2 * slot + 1] !== ONES) return;
    page.bytes[2 * slot] = page.bytes[2 * slot + 1] = 0;
    this.#device.post(Math.floor(offset / DSA.PORTAL_STRIDE), (offset & DSA.PORTAL_IMS) !== 0, page.words, slot * WORDS);
  }

  #isSlot(offset: number): boolean {
    if (offset >= 0 && offset < this.#end && offset % DSA.DESCRIPTOR_BYTES === 0) return true;
    this.#refuse(offset);
    return false;
  }

  #refuse(offset: number): void {
    this.#device.context.log.guestError(
      `store at 0x${hex(offset)} of the portals: must be aligned, and below 0x${hex(this.#end)}`,
    );
  }
}
