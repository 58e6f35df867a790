import { Errno } from './errno.js';

const FIRST_WORDS = 1;
const FULL = 0xffff_ffff | 0;

/** The lowest clear bit of a word at or above `from`; 32 when there is none. */
function lowestClear(word: number, from: number): number {
  const free = from > 31 ? 0 : ~word & (-1 << from);
  return free === 0 ? 32 : 31 - Math.clz32(free & -free);
}

/**
 * Which of the integers from 0 up are taken, and the lowest that is not, in a time that does not depend on how many are.
 *
 * A bitmap with two levels of summaries, whose bits say that a word below is full. It takes up room as far as it is used.
 * @see Linux 6.12 lib/idr.c, lib/bitmap.c bitmap_find_next_zero_area_off
 */
export class IndexMap {
  /** Bits of level 0 are indices; a bit of level n + 1 is a full word of level n. */
  #taken = new Int32Array(FIRST_WORDS);
  #full = new Int32Array(1);
  #fuller = new Int32Array(1);
  #count = 0;

  /** @param size indices are 0 to `size` - 1 */
  constructor(readonly size: number) {
    if (!(Number.isInteger(size) && size >= 0 && size <= 2 ** 31)) {
      throw new Errno('ERANGE', `index map: size ${size}: must be an integer of 0 to 2^31`);
    }
  }

  /** How many are taken. */
  get count(): number {
    return this.#count;
  }

  has(index: number): boolean {
    return index >>> 5 < this.#taken.length && (this.#taken[index >>> 5]! & (1 << (index & 31))) !== 0;
  }

  /** Takes an index; false when it is taken or outside. */
  take(index: number): boolean {
    if (!(index >= 0 && index < this.size) || this.has(index)) return false;
    const word = index >>> 5;
    if (word >= this.#taken.length) this.#grow(word + 1);
    this.#count++;
    if ((this.#taken[word]! |= 1 << (index & 31)) !== FULL) return true;
    if ((this.#full[word >>> 5]! |= 1 << (word & 31)) === FULL) this.#fuller[word >>> 10]! |= 1 << ((word >>> 5) & 31);
    return true;
  }

  /** Gives an index back; false when it was not taken. */
  free(index: number): boolean {
    if (!this.has(index)) return false;
    const word = index >>> 5;
    this.#count--;
    this.#taken[word]! &= ~(1 << (index & 31));
    this.#full[word >>> 5]! &= ~(1 << (word & 31));
    this.#fuller[word >>> 10]! &= ~(1 << ((word >>> 5) & 31));
    return true;
  }

  /** The lowest free index of `from` to `to`, both included; -1 when all are taken. */
  findFree(from = 0, to = this.size - 1): number {
    const found = this.#next(from);
    return found <= to && found < this.size ? found : -1;
  }

  /** The lowest of `count` free indices in a row, a multiple of `align`; -1 when there are none. */
  findFreeRun(count: number, align = 1, from = 0): number {
    for (let start = this.#next(from); ;) {
      start = Math.ceil(start / align) * align;
      if (start + count > this.size) return -1;
      let n = count - 1;
      while (n >= 0 && !this.has(start + n)) n--;
      if (n < 0) return start;
      start = this.#next(start + n + 1);
    }
  }

  /** The lowest taken index from `from` on; -1 when there is none. */
  findTaken(from = 0): number {
    const words = this.#taken;
    let bits = from >>> 5 < words.length ? words[from >>> 5]! & (-1 << (from & 31)) : 0;
    for (let word = from >>> 5; word < words.length; bits = words[++word] ?? 0) {
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits & -bits);
    }
    return -1;
  }

  #next(from: number): number {
    let word = from >>> 5;
    const words = this.#taken.length;
    if (word >= words) return from;
    let bit = lowestClear(this.#taken[word]!, from & 31);
    if (bit < 32) return word * 32 + bit;
    word = this.#nextWord(word + 1);
    if (word >= words) return words * 32;
    bit = lowestClear(this.#taken[word]!, 0);
    return word * 32 + bit;
  }

  /** The first word from `from` on that is not full. */
  #nextWord(from: number): number {
    let group = from >>> 5;
    if (group >= this.#full.length) return from;
    let bit = lowestClear(this.#full[group]!, from & 31);
    if (bit < 32) return group * 32 + bit;
    group = this.#nextGroup(group + 1);
    if (group >= this.#full.length) return this.#full.length * 32;
    bit = lowestClear(this.#full[group]!, 0);
    return group * 32 + bit;
  }

  #nextGroup(from: number): number {
    let bit = from & 31;
    for (let top = from >>> 5; top < this.#fuller.length; top++, bit = 0) {
      const found = lowestClear(this.#fuller[top]!, bit);
      if (found < 32) return top * 32 + found;
    }
    return this.#fuller.length * 32;
  }

  #grow(words: number): void {
    const length = Math.max(words, this.#taken.length * 2);
    this.#taken = enlarged(this.#taken, length);
    this.#full = enlarged(this.#full, (length + 31) >>> 5);
    this.#fuller = enlarged(this.#fuller, (length + 1023) >>> 10);
  }
}

function enlarged(words: Int32Array, length: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(length);
  larger.set(words);
  return larger;
}
