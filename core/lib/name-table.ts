/** One name of a {@link NameTable}. */
class Entry<T> {
  next: Entry<T> | undefined = undefined;
  constructor(
    readonly name: string,
    readonly hash: number,
    readonly value: T,
  ) {}
}

/** Entries per bucket, on average, before the table grows. */
const LOAD = 2;
const FIRST_BUCKETS = 4;

/**
 * What has which name, for names that come and go all the time.
 *
 * A `Map` would do, but for its garbage: it copies itself every few deletions, and a copy that has grown old keeps everything
 * alive that was put into its successors. Here a name costs one small object, and a deletion nothing.
 */
export class NameTable<T> {
  #buckets: (Entry<T> | undefined)[] = empty(FIRST_BUCKETS);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(name: string, hash = hashOf(name)): T | undefined {
    for (let e = this.#buckets[hash & (this.#buckets.length - 1)]; e !== undefined; e = e.next) {
      if (e.hash === hash && e.name === name) return e.value;
    }
    return undefined;
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  /** Adds a name; false when it is taken. @param hash for who puts one name into several tables */
  add(name: string, value: T, hash = hashOf(name)): boolean {
    for (let e = this.#buckets[hash & (this.#buckets.length - 1)]; e !== undefined; e = e.next) {
      if (e.hash === hash && e.name === name) return false;
    }
    if (this.#size >= this.#buckets.length * LOAD) this.#grow();
    const entry = new Entry(name, hash, value);
    const i = hash & (this.#buckets.length - 1);
    entry.next = this.#buckets[i];
    this.#buckets[i] = entry;
    this.#size++;
    return true;
  }

  /** Takes a name out; false when it is not there. */
  delete(name: string, hash = hashOf(name)): boolean {
    const i = hash & (this.#buckets.length - 1);
    let before: Entry<T> | undefined;
    for (let e = this.#buckets[i]; e !== undefined; before = e, e = e.next) {
      if (e.hash !== hash || e.name !== name) continue;
      if (before === undefined) this.#buckets[i] = e.next;
      else before.next = e.next;
      this.#size--;
      return true;
    }
    return false;
  }

  #grow(): void {
    const old = this.#buckets;
    const buckets = empty<T>(old.length * 4);
    for (const first of old) {
      for (let e = first; e !== undefined;) {
        const { next } = e;
        const i = e.hash & (buckets.length - 1);
        e.next = buckets[i];
        buckets[i] = e;
        e = next;
      }
    }
    this.#buckets = buckets;
  }
}

const empty = <T>(length: number): (Entry<T> | undefined)[] => Array.from({ length }, () => undefined);

/** How many characters count, from the end: names of one kind differ there. */
const HASHED_CHARACTERS = 10;

/** A small integer made of the end of a name: FNV-1a, backwards. */
export function hashOf(name: string): number {
  let hash = name.length;
  const first = Math.max(0, hash - HASHED_CHARACTERS);
  for (let i = hash - 1; i >= first; i--) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 15)) & 0x3fff_ffff;
}
