import type { DmaPort } from '../../endpoint/index.js';

/** A ring is shorter than this, as a binary logarithm: with longer pages it has one. */
const LOG_LONGEST = 30;

/** The memory of a queue: pages of one length, of which the last may be used in part. */
export class Ring {
  readonly sizeBytes: number;
  readonly #pages: Float64Array;
  readonly #shift: number;
  /** The pages lie one behind the other, and so are one. */
  readonly #isFlat: boolean;

  /**
   * @param sizeBytes below 2^30
   * @param logPageBytes binary logarithm of the bytes of each page
   */
  constructor(sizeBytes: number, logPageBytes: number, pages: Float64Array) {
    this.sizeBytes = sizeBytes;
    this.#pages = pages;
    this.#shift = Math.min(logPageBytes, LOG_LONGEST);
    this.#isFlat = pages.every((page, i) => page === pages[0]! + i * 2 ** logPageBytes);
  }

  /** Where the byte `offset` of the ring is. */
  address(offset: number): number {
    if (this.#isFlat) return this.#pages[0]! + offset;
    const page = offset >>> this.#shift;
    return this.#pages[page]! + (offset - (page << this.#shift));
  }

  /** Reads a part that does not go round. @returns false when memory refused */
  read(dma: DmaPort, offset: number, buffer: Uint8Array, length: number, pasid: number): boolean {
    if (this.#isFlat) return dma.read(this.#pages[0]! + offset, buffer, 0, length, pasid);
    const pageBytes = 1 << this.#shift;
    for (let done = 0; done < length;) {
      const at = offset + done;
      const bytes = Math.min(length - done, pageBytes - (at & (pageBytes - 1)));
      if (!dma.read(this.address(at), buffer, done, bytes, pasid)) return false;
      done += bytes;
    }
    return true;
  }
}
