import { IdAllocator } from '../../../core/lib/index.js';

/** Numbers of one kind of object of a function: always the lowest free one. Takes up room when the first is given out. */
export class NumberSpace {
  readonly #first: number;
  readonly #last: number;
  #ids: IdAllocator | undefined = undefined;
  /** By number: 1 where it is in use. */
  readonly #used: number[] = [];

  /** @param last included */
  constructor(first: number, last: number) {
    this.#first = first;
    this.#last = last;
  }

  /** Numbers in use. */
  get size(): number {
    return this.#ids?.size ?? 0;
  }

  /** @returns -1 when all are in use */
  alloc(): number {
    this.#ids ??= new IdAllocator('nic', this.#first, this.#last);
    if (this.#ids.size > this.#last - this.#first) return -1;
    const id = this.#ids.alloc();
    this.#used[id - this.#first] = 1;
    return id;
  }

  /** @returns whether it was in use */
  free(id: number): boolean {
    if (!this.has(id)) return false;
    this.#used[id - this.#first] = 0;
    this.#ids?.free(id);
    return true;
  }

  has(id: number): boolean {
    return this.#used[id - this.#first] === 1;
  }

  /** None is in use. */
  reset(): void {
    this.#ids = undefined;
    this.#used.length = 0;
  }
}
