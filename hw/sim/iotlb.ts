/** Spreads the tables' tags over the slots (2^32 divided by the golden ratio). */
const SPREAD = 0x9e37_79b1;

/**
 * Of a slot: whose translation it has, `tag * 2 + isWrite`, or 0; the page's number; what to add to an address in it; and the number
 * of the first page behind those that are known to go on from it.
 */
const [WHO, PAGE, DELTA, RUN_END] = [0, 1, 2, 3];
/** A slot has this many numbers, so that it lies in one line of the CPU's cache. */
const SLOT_SHIFT = 2;

/**
 * The translations that an IOMMU has found, for pages of one length. Each has one slot it can be in; a newer one takes it over.
 *
 * Reads and writes are kept apart: what may be read was not asked about writing.
 */
export class Iotlb {
  readonly #slots: Float64Array;
  /** By slot: what {@link #forgotten} was when its run was looked at; the run holds as long as nothing is forgotten. */
  readonly #seen: Float64Array;
  #forgotten = 0;
  readonly #mask: number;
  /** A product is as exact as a quotient by a power of two, and much faster than a remainder. */
  readonly #perByte: number;

  /**
   * @param pageBytes a power of two
   * @param slots a power of two
   */
  constructor(
    readonly pageBytes: number,
    slots: number,
  ) {
    this.#slots = new Float64Array(slots << SLOT_SHIFT);
    this.#seen = new Float64Array(slots).fill(-1);
    this.#mask = slots - 1;
    this.#perByte = 1 / pageBytes;
  }

  /** @returns a handle of the translation until anything is added; -1 when it is not there */
  find(who: number, iova: number): number {
    const page = Math.floor(iova * this.#perByte);
    const at = this.#at(who, page);
    return this.#slots[at + WHO] === who && this.#slots[at + PAGE] === page ? at : -1;
  }

  /** What to add to an address. */
  delta(at: number): number {
    return this.#slots[at + DELTA]!;
  }

  /**
   * How far the translation goes on, through pages that have been known here since anything was forgotten, until one that has `end`
   * or lies behind it: the first address behind.
   */
  reach(at: number, end: number): number {
    const slots = this.#slots;
    const last = Math.ceil(end * this.#perByte);
    let page = slots[at + PAGE]! + 1;
    if (page >= last) return page * this.pageBytes;
    const slot = at >> SLOT_SHIFT;
    if (this.#seen[slot] === this.#forgotten) page = slots[at + RUN_END]!;
    if (page < last) {
      const who = slots[at + WHO]!;
      const delta = slots[at + DELTA]!;
      for (; page < last; page++) {
        const next = this.#at(who, page);
        if (slots[next + WHO] !== who || slots[next + PAGE] !== page || slots[next + DELTA] !== delta) break;
      }
      slots[at + RUN_END] = page;
      this.#seen[slot] = this.#forgotten;
    }
    return page * this.pageBytes;
  }

  /** First address behind the page. */
  end(iova: number): number {
    return (Math.floor(iova * this.#perByte) + 1) * this.pageBytes;
  }

  add(who: number, iova: number, delta: number): void {
    const page = Math.floor(iova * this.#perByte);
    const at = this.#at(who, page);
    this.#slots[at + WHO] = who;
    this.#slots[at + PAGE] = page;
    this.#slots[at + DELTA] = delta;
    this.#seen[at >> SLOT_SHIFT] = -1;
  }

  /** Forgets every page of a table that has a byte in the range, which is not empty. */
  forget(tag: number, iova: number, sizeBytes: number): void {
    this.#forgotten++;
    const first = Math.floor(iova * this.#perByte);
    const last = Math.floor((iova + sizeBytes - 1) * this.#perByte);
    if ((last - first) * 4 < this.#mask) {
      for (let page = first; page <= last; page++) {
        this.#forgetPage(tag * 2, page);
        this.#forgetPage(tag * 2 + 1, page);
      }
      return;
    }
    const slots = this.#slots;
    for (let at = 0; at < slots.length; at += 1 << SLOT_SHIFT) {
      const page = slots[at + PAGE]!;
      if (page >= first && page <= last && Math.floor(slots[at + WHO]! / 2) === tag) slots[at + WHO] = 0;
    }
  }

  #forgetPage(who: number, page: number): void {
    const at = this.#at(who, page);
    if (this.#slots[at + WHO] === who && this.#slots[at + PAGE] === page) this.#slots[at + WHO] = 0;
  }

  #at(who: number, page: number): number {
    return ((page + Math.imul(who, SPREAD)) & this.#mask) << SLOT_SHIFT;
  }
}
