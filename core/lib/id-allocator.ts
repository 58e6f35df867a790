import { Errno } from './errno.js';

/**
 * Hands out the lowest free integer of a range, in O(log n) of what was given back.
 * @see Linux 6.12 lib/idr.c ida_alloc_range
 */
export class IdAllocator {
  readonly #who: string;
  readonly #min: number;
  readonly #max: number;
  #next: number;
  /** A binary heap of ids given back. */
  readonly #free: number[] = [];
  readonly #used = new Set<number>();

  /** @param who named in the ENOSPC message; @param max the last id, included */
  constructor(who: string, min = 0, max = Number.MAX_SAFE_INTEGER) {
    this.#who = who;
    this.#min = min;
    this.#max = max;
    this.#next = min;
  }

  get size(): number {
    return this.#used.size;
  }

  /** @throws {Errno} ENOSPC when all of the range is in use */
  alloc(): number {
    let id = this.#pop();
    if (id === undefined) {
      if (this.#next > this.#max) {
        throw new Errno('ENOSPC', `${this.#who}: all ${this.#max - this.#min + 1} ids from ${this.#min} are in use`);
      }
      id = this.#next++;
    }
    this.#used.add(id);
    return id;
  }

  /** @throws {Errno} ENOENT when `id` is not in use */
  free(id: number): void {
    if (!this.#used.delete(id)) throw new Errno('ENOENT', `${this.#who}: id ${id} is not in use`);
    const heap = this.#free;
    let i = heap.push(id) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (heap[parent]! <= id) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = id;
  }

  #pop(): number | undefined {
    const heap = this.#free;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++;
      if (heap[child]! >= last) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
    return top;
  }
}
