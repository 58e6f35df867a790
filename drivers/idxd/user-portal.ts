import type { Mmio, Window } from '../../core/index.js';
import * as DSA from '../../hw/regs/dsa.js';
import type { Wq } from './wq.js';

const WORDS = DSA.DESCRIPTOR_BYTES / 4;
const ONES = 0xffff_ffff;

/**
 * One portal of a queue in the hands of somebody who works in one address space: a page, and nothing beyond it.
 *
 * Writes with an answer carry its PASID, as those of a process carry that of the process, whatever the descriptor says. Work of a dedicated
 * queue has the PASID that the queue is set to. Reads give all ones.
 * @see Intel Data Streaming Accelerator Architecture Specification 2.0, 3.3 (work submission)
 */
export class UserPortal implements Required<Window> {
  readonly sizeBytes = DSA.PORTAL_BYTES;
  readonly #portals: Mmio;
  readonly #at: number;
  readonly #pasid: number;
  readonly #words = new Uint32Array(WORDS);

  /**
   * @param isIms whether handles in its descriptors are of the message store
   * @param isLimited whether `threshold` is the limit, in a shared queue
   */
  constructor(wq: Wq, pasid: number, isIms: boolean, isLimited = true) {
    this.#portals = wq.idxd.portals;
    this.#at = wq.index * DSA.PORTAL_STRIDE + (isIms ? DSA.PORTAL_IMS : 0) + (isLimited ? DSA.PORTAL_LIMITED : 0);
    this.#pasid = pasid;
  }

  movdir64b(offset: number, words: Uint32Array, at = 0): void {
    if (this.#has(offset, DSA.DESCRIPTOR_BYTES)) this.#portals.movdir64b(this.#at + offset, words, at);
  }

  enqcmd(offset: number, words: Uint32Array, at = 0): boolean {
    if (!this.#has(offset, DSA.DESCRIPTOR_BYTES)) return true;
    const own = this.#words;
    // Nor is it privileged. @see Linux 6.12 drivers/dma/idxd/cdev.c idxd_submit_user_descriptor
    own[0] = this.#pasid;
    for (let i = 1; i < WORDS; i++) own[i] = words[at + i]!;
    return this.#portals.enqcmd(this.#at + offset, own);
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
    if (this.#has(offset, 1)) this.#portals.write8(this.#at + offset, value);
  }
  write16(offset: number, value: number): void {
    if (this.#has(offset, 2)) this.#portals.write16(this.#at + offset, value);
  }
  write32(offset: number, value: number): void {
    if (this.#has(offset, 4)) this.#portals.write32(this.#at + offset, value);
  }
  write64(offset: number, lo: number, hi: number): void {
    if (this.#has(offset, 8)) this.#portals.write64(this.#at + offset, lo, hi);
  }

  #has(offset: number, bytes: number): boolean {
    return offset >= 0 && offset + bytes <= DSA.PORTAL_BYTES && offset % bytes === 0;
  }
}
