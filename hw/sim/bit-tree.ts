/** A set of integers of 0 to `size` - 1 that finds its lowest in O(log32 n): a tree of words whose bits say which are not 0. */
export class BitTree {
  /** Level 0 holds the members; each bit of level n + 1 stands for one word of level n. */
  readonly #levels: Uint32Array[] = [];

  constructor(readonly size: number) {
    let words = size;
    do {
      words = Math.max(1, Math.ceil(words / 32));
      this.#levels.push(new Uint32Array(words));
    } while (words > 1);
  }

  has(index: number): boolean {
    return index < this.size && (this.#levels[0]![index >>> 5]! & (1 << (index & 31))) !== 0;
  }

  add(index: number): void {
    let i = index;
    for (const level of this.#levels) {
      const word = i >>> 5;
      level[word] = level[word]! | (1 << (i & 31));
      i = word;
    }
  }

  delete(index: number): void {
    let i = index;
    for (const level of this.#levels) {
      const word = i >>> 5;
      level[word] = level[word]! & ~(1 << (i & 31));
      if (level[word] !== 0) return;
      i = word;
    }
  }

  /** The lowest member, or -1. */
  first(): number {
    const top = this.#levels.length - 1;
    if (this.#levels[top]![0] === 0) return -1;
    let i = 0;
    for (let l = top; l >= 0; l--) {
      const word = this.#levels[l]![i]!;
      i = i * 32 + (31 - Math.clz32(word & -word));
    }
    return i;
  }
}
