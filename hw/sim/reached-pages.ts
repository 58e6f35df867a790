import type { DmaView } from '../endpoint/index.js';
import type { Allocation, Segment } from './memory.js';

/** What is kept of a page: see {@link ReachedPages}. */
const [PAGE, WHO, STAMP, START, END, DELTA] = [0, 1, 2, 3, 4, 5];
/** A slot has this many numbers, so that it lies in one line of the CPU's cache. */
const SLOT_SHIFT = 3;
const SLOTS = 1024;
/** Bytes of a page where addresses are physical and all of it is one allocation, and of any other. */
const LARGE = 2 ** 18;
const SMALL = 2 ** 12;
/** A product is as exact as a quotient by a power of two, and much faster. */
const PER_LARGE = 1 / LARGE;
const PER_SMALL = 1 / SMALL;
/** Puts the number of a page and its address space into one number; with very large addresses two may have the same. */
const WHO_UNIT = 2 ** 32;
/** Spreads address spaces over the slots (2^32 divided by the golden ratio). */
const SPREAD = 0x9e37_79b1;
/** Words and bytes are found by integers of 31 bits. */
const MOST_BYTES = 2 ** 31;

const EMPTY = new Float64Array(1 << SLOT_SHIFT).fill(NaN);
const NOTHING: Segment = {
  base: 0,
  bytes: new Uint8Array(0),
  words: new Int32Array(0),
  whole: new Uint8Array(0),
  view: new DataView(new ArrayBuffer(0)),
  staged: new Map(),
};

/** A page of memory from somewhere on: what {@link ReachedPages.find} has found. */
class FoundPage implements DmaView {
  bytes: Uint8Array = NOTHING.bytes;
  words: Int32Array = NOTHING.words;
  offset = 0;
}

/**
 * The pages that a device has reached lately: where their bytes are, so that the way there is not gone again for each access. Each has one
 * slot it can be in; a newer one takes it over. A page holds as long as the `stamp` is the same, and as far as it is allocated.
 *
 * Each access comes by here: so what could be several small methods is one.
 */
export class ReachedPages {
  /** The memory that {@link find} has found, and where in it the address is. */
  home = NOTHING;
  offset = 0;
  /** As many as it takes to have one that never fits, until the first page is kept: many devices never access memory. */
  #slots: Float64Array = EMPTY;
  #homes: Segment[] = [NOTHING];
  /** By slot: the small page that was last not known. */
  #missed = new Float64Array(1);
  #mask = 0;
  readonly #found = new FoundPage();

  /**
   * Finds the page that all of an access is in: {@link home}, {@link offset}.
   * @param who the address space, and whether it is written: `pasid * 2 + isWrite`
   * @returns false when it is not known
   */
  find(address: number, length: number, who: number, stamp: number): boolean {
    const slots = this.#slots;
    const spread = Math.imul(who, SPREAD);
    let page = Math.floor(address * PER_LARGE);
    let at = ((page + spread) & this.#mask) << SLOT_SHIFT;
    if (slots[at + PAGE] !== page || slots[at + WHO] !== who) {
      page = Math.floor(address * PER_SMALL);
      at = ((page + spread) & this.#mask) << SLOT_SHIFT;
      if (slots[at + PAGE] !== -1 - page || slots[at + WHO] !== who) return false;
    }
    if (slots[at + STAMP] !== stamp || !(address >= slots[at + START]! && address + length <= slots[at + END]!)) return false;
    const distance = address - slots[at + DELTA]!;
    const offset = distance | 0;
    // What is no whole number is somebody's mistake, and not told here.
    if (offset !== distance || (length | 0) !== length || length < 0) return false;
    this.offset = offset;
    this.home = this.#homes[at >> SLOT_SHIFT]!;
    return true;
  }

  /** What {@link find} has found. */
  get found(): DmaView {
    const found = this.#found;
    const { bytes, words } = this.home;
    found.bytes = bytes;
    found.words = words;
    found.offset = this.offset;
    return found;
  }

  /**
   * A page was not known. @returns whether it is to be kept: when that is not the first time, lately. What is accessed once, is not worth it
   */
  isMissed(address: number, who: number): boolean {
    const page = Math.floor(address * PER_SMALL);
    const key = page + who * WHO_UNIT;
    const at = (page + Math.imul(who, SPREAD)) & this.#mask;
    if (this.#missed[at] === key) return true;
    if (this.#mask === 0) this.#make();
    this.#missed[at] = key;
    return false;
  }

  /**
   * Keeps a page that was {@link isMissed}.
   * @param address in the page
   * @param home the memory that it is in
   * @param physical where the address is
   * @param owner what of memory can be reached there
   * @param isDirect addresses are physical: what holds for one of them, holds for the others
   */
  add(
    address: number,
    who: number,
    stamp: number,
    home: Segment,
    physical: number,
    { address: start, sizeBytes }: Allocation,
    isDirect: boolean,
  ): void {
    if (home.bytes.length > MOST_BYTES) return;
    const first = address - (address % LARGE);
    const isLarge = isDirect && start <= first && start + sizeBytes >= first + LARGE;
    const pageBytes = isLarge ? LARGE : SMALL;
    const page = Math.floor(address / pageBytes);
    const at = ((page + Math.imul(who, SPREAD)) & this.#mask) << SLOT_SHIFT;
    const slots = this.#slots;
    // Numbers of large and of small pages are not to be taken for each other.
    slots[at + PAGE] = isLarge ? page : -1 - page;
    slots[at + WHO] = who;
    slots[at + STAMP] = stamp;
    slots[at + START] = Math.max(page * pageBytes, start - physical + address);
    slots[at + END] = Math.min((page + 1) * pageBytes, start + sizeBytes - physical + address);
    slots[at + DELTA] = address - (physical - home.base);
    this.#homes[at >> SLOT_SHIFT] = home;
  }

  #make(): void {
    this.#mask = SLOTS - 1;
    this.#slots = new Float64Array(SLOTS << SLOT_SHIFT).fill(NaN);
    this.#homes = Array.from({ length: SLOTS }, () => NOTHING);
    this.#missed = new Float64Array(SLOTS).fill(NaN);
  }
}
