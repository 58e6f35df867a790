import { BitTree } from './bit-tree.js';

/** Pages [start, end). */
export interface PageRange {
  readonly start: number;
  readonly end: number;
}

/**
 * A buddy allocator of page numbers: blocks of 2^order pages, aligned to their size; it takes the smallest free
 * block that will do, the lowest of that size. Every operation is O(log n) of the pages there are, whatever is allocated.
 * @see Linux 6.12 mm/page_alloc.c
 */
export class PageAllocator {
  readonly #free: BitTree[] = [];

  constructor(ranges: readonly PageRange[]) {
    const end = Math.max(0, ...ranges.map((range) => range.end));
    for (let order = 0; 2 ** order <= Math.max(1, end); order++) this.#free.push(new BitTree(Math.ceil(end / 2 ** order)));
    for (const range of ranges) this.#addRange(range);
  }

  /**
   * Takes 2^`order` pages whose first `pages` lie below page `end`.
   * @returns the first page, or -1 when there is none
   */
  alloc(order: number, pages: number, end: number): number {
    for (let from = order; from < this.#free.length; from++) {
      const block = this.#free[from]!.first();
      const page = block * 2 ** from;
      if (block < 0 || page + pages > end) continue;
      this.#free[from]!.delete(block);
      // The upper half of each split goes back.
      for (let o = from - 1; o >= order; o--) this.#free[o]!.add(page / 2 ** o + 1);
      return page;
    }
    return -1;
  }

  /** Gives back a block that `alloc` gave. */
  free(page: number, order: number): void {
    let block = page / 2 ** order;
    let o = order;
    for (; o + 1 < this.#free.length; o++) {
      const buddy = block % 2 === 0 ? block + 1 : block - 1;
      if (!this.#free[o]!.has(buddy)) break;
      this.#free[o]!.delete(buddy);
      block = Math.floor(block / 2);
    }
    this.#free[o]!.add(block);
  }

  /** Splits a range into the largest aligned blocks. */
  #addRange({ start, end }: PageRange): void {
    for (let page = start; page < end;) {
      let order = 0;
      while (page % 2 ** (order + 1) === 0 && page + 2 ** (order + 1) <= end && order + 1 < this.#free.length) order++;
      this.free(page, order);
      page += 2 ** order;
    }
  }
}
