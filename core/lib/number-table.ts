/** Numbers below this stand in an array, which is as long as the highest of them was; those above are hashed. */
const DENSE = 65_536;
const FIRST_SLOTS = 8;
/** No key: keys are non-negative. */
const NONE = -1;

/**
 * What belongs to which number, for numbers that come and go all the time: most are small, some too large for an array.
 *
 * The large ones in open addressing without tombstones: a deletion moves up what was displaced, so that neither time nor garbage
 * grows with the number of changes; see `NameTable` for why a `Map` does not do.
 */
export class NumberTable<T> {
  readonly #dense: (T | undefined)[] = [];
  #keys: number[] = Array.from({ length: FIRST_SLOTS }, () => NONE);
  #values: (T | undefined)[] = Array.from({ length: FIRST_SLOTS }, () => undefined);
  /** How many of all, and how many of the large ones. */
  #size = 0;
  #hashed = 0;

  get size(): number {
    return this.#size;
  }

  get(key: number): T | undefined {
    if (key < DENSE) return key < this.#dense.length ? this.#dense[key] : undefined;
    const i = this.#find(key);
    return this.#keys[i] === key ? this.#values[i] : undefined;
  }

  /** Adds a number; false when it is there already. @param key a non-negative safe integer */
  add(key: number, value: T): boolean {
    if (key >= DENSE) return this.#addHashed(key, value);
    const dense = this.#dense;
    while (dense.length <= key) dense.push(undefined);
    if (dense[key] !== undefined) return false;
    dense[key] = value;
    this.#size++;
    return true;
  }

  #addHashed(key: number, value: T): boolean {
    let i = this.#find(key);
    if (this.#keys[i] === key) return false;
    if (4 * (this.#hashed + 1) > 3 * this.#keys.length) {
      this.#grow();
      i = this.#find(key);
    }
    this.#keys[i] = key;
    this.#values[i] = value;
    this.#hashed++;
    this.#size++;
    return true;
  }

  /** Takes a number out; false when it is not there. */
  delete(key: number): boolean {
    if (key >= DENSE) return this.#deleteHashed(key);
    if (this.get(key) === undefined) return false;
    this.#dense[key] = undefined;
    this.#size--;
    return true;
  }

  #deleteHashed(key: number): boolean {
    const keys = this.#keys;
    const values = this.#values;
    const mask = keys.length - 1;
    let hole = this.#find(key);
    if (keys[hole] !== key) return false;
    for (let i = (hole + 1) & mask; keys[i] !== NONE; i = (i + 1) & mask) {
      // What would rather be in the hole or before it moves there.
      const home = hashOf(keys[i]!) & mask;
      if (((i - home) & mask) < ((i - hole) & mask)) continue;
      keys[hole] = keys[i]!;
      values[hole] = values[i];
      hole = i;
    }
    keys[hole] = NONE;
    values[hole] = undefined;
    this.#hashed--;
    this.#size--;
    return true;
  }

  /** Number and value of each, in no particular order. */
  *entries(): Generator<[key: number, value: T]> {
    for (const [key, value] of this.#dense.entries()) if (value !== undefined) yield [key, value];
    for (const [i, key] of this.#keys.entries()) if (key !== NONE) yield [key, this.#values[i] as T];
  }

  /** Where the key is, or would be. */
  #find(key: number): number {
    const keys = this.#keys;
    const mask = keys.length - 1;
    let i = hashOf(key) & mask;
    while (keys[i] !== key && keys[i] !== NONE) i = (i + 1) & mask;
    return i;
  }

  #grow(): void {
    const keys = this.#keys;
    const values = this.#values;
    const length = keys.length * 2;
    this.#keys = Array.from({ length }, () => NONE);
    this.#values = Array.from({ length }, () => undefined);
    for (const [i, key] of keys.entries()) {
      if (key === NONE) continue;
      const at = this.#find(key);
      this.#keys[at] = key;
      this.#values[at] = values[i];
    }
  }
}

/** Spreads neighbours and multiples of powers of two. */
function hashOf(key: number): number {
  const word = key < 2 ** 32 ? key : key ^ Math.floor(key / 2 ** 32);
  const mixed = Math.imul(word ^ (word >>> 16), 0x9e37_79b1);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
