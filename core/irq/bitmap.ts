/** A fixed number of bits in 32-bit words; positions are not checked. @internal */
export class Bitmap {
  readonly #words: Int32Array;

  constructor(bits: number) {
    this.#words = new Int32Array(Math.ceil(bits / 32));
  }

  /** How many words it has. */
  get words(): number {
    return this.#words.length;
  }

  /** The bits 32 * `index` to 32 * `index` + 31. */
  word(index: number): number {
    return this.#words[index]!;
  }

  has(bit: number): boolean {
    return (this.#words[bit >>> 5]! & (1 << (bit & 31))) !== 0;
  }

  set(bit: number): void {
    this.#words[bit >>> 5]! |= 1 << (bit & 31);
  }

  clear(bit: number): void {
    this.#words[bit >>> 5]! &= ~(1 << (bit & 31));
  }

  /** The bits that are set, ascending. */
  list(): number[] {
    const bits: number[] = [];
    for (let bit = 0; bit < this.#words.length * 32; bit++) if (this.has(bit)) bits.push(bit);
    return bits;
  }
}

/** The position of the lowest bit set in a word that is not 0. @internal */
export function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

/** Ascending numbers as ranges, `0-3,8`: the kernel's `%*pbl`. @internal */
export function formatRanges(numbers: Iterable<number>): string {
  const ranges: [first: number, last: number][] = [];
  for (const n of numbers) {
    const range = ranges[ranges.length - 1];
    if (range !== undefined && range[1] === n - 1) range[1] = n;
    else ranges.push([n, n]);
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}
