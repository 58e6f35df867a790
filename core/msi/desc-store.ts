import { IndexMap } from '../lib/index-map.js';

/** What is at which index of a domain: the lowest free index, and what is at one, at a cost that does not grow. */
export class DescStore<T> {
  readonly #taken: IndexMap;
  readonly #items: (T | undefined)[] = [];

  /** @param size indices are 0 to `size` - 1 */
  constructor(size: number) {
    this.#taken = new IndexMap(size);
  }

  /** How many indices are taken. */
  get count(): number {
    return this.#taken.count;
  }

  get(index: number): T | undefined {
    return this.#items[index];
  }

  /** The lowest free index of `lo` to `hi`, both included; -1 when all are taken. */
  findFree(lo: number, hi: number): number {
    return this.#taken.findFree(lo, hi);
  }

  /** Puts something at a free index. */
  set(index: number, item: T): void {
    const items = this.#items;
    this.#taken.take(index);
    // Filled up, and never sparse: an array with holes at its end would become a dictionary.
    while (items.length <= index) items.push(undefined);
    items[index] = item;
  }

  delete(index: number): void {
    if (this.#taken.free(index)) this.#items[index] = undefined;
  }

  /** What is there, by index. What it gives may be deleted meanwhile. */
  *[Symbol.iterator](): Generator<T> {
    for (let index = this.#taken.findTaken(0); index >= 0; index = this.#taken.findTaken(index + 1)) yield this.#items[index]!;
  }
}
