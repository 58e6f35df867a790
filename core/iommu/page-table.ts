import { type IommuTable, NOT_ALLOWED, NOT_MAPPED } from '../hal/index.js';
import { Errno } from '../lib/errno.js';

/** What a mapping allows, and how it is accessed; bits. @see Linux 7.2 include/linux/iommu.h IOMMU_READ */
export const PROT = { READ: 1, WRITE: 2, CACHE: 4, NOEXEC: 8, MMIO: 16, PRIV: 32 } as const;

/** Pages that are next to each other in both address spaces. */
export interface MappedRange {
  readonly iova: number;
  readonly paddr: number;
  readonly sizeBytes: number;
  /** Bits of {@link PROT}. */
  readonly prot: number;
}

/** Length of what an entry covers, by level: pages of 4 KiB, 2 MiB and 1 GiB, and tables above. */
const LEVEL_BYTES = [2 ** 12, 2 ** 21, 2 ** 30, 2 ** 39, 2 ** 48] as const;
/** Levels that can have pages. */
const PAGE_LEVELS = 3;
const SMALLEST = LEVEL_BYTES[0];
const ENTRIES = 512;
const LAST_ENTRY = ENTRIES - 1;
/** The part of an entry that is no address. */
const FLAGS = SMALLEST - 1;
/** A table that nothing has been mapped in; never written. */
const EMPTY = new Float64Array(ENTRIES);

const levelBytes = (level: number): number => LEVEL_BYTES[level as 0 | 1 | 2 | 3 | 4];

/**
 * A translation table: a radix tree of 512 entries a level, as the hardware of x86 has it, and as deep as its addresses are long.
 *
 * All tables are in one array. An entry is 0 where nothing is, negative where it leads to the table of that number, and else the
 * address of a page plus its {@link PROT} bits. Tables that have become empty are used again.
 * @see Intel VT-d Architecture Specification 4.1, 3.7 Second-Stage Translation
 */
export class PageTable implements IommuTable {
  /** First address that it cannot have. */
  readonly limit: number;
  /** Lengths of the pages that it uses, in bytes, ascending. */
  readonly sizes: readonly number[];
  readonly #top: number;
  /** Whether pages of a level are used. */
  readonly #hasPages: readonly boolean[];
  #pool = EMPTY;
  /** Entries in use of each table. */
  #used = new Uint16Array(1);
  #tables = 1;
  #free: number[] = [];
  #mappedBytes = 0;
  /** Where {@link #find} has ended. */
  #slot = 0;
  #level = 0;

  /**
   * @param addressBits 13 to 64; addresses end at 2^53 in any case
   * @param sizes lengths of pages, in bytes; those but 4 KiB, 2 MiB and 1 GiB are not used
   * @throws {Errno} EOPNOTSUPP without pages of 4 KiB
   */
  constructor(addressBits: number, sizes: readonly number[]) {
    if (!sizes.includes(SMALLEST)) throw new Errno('EOPNOTSUPP', `page table: no pages of ${SMALLEST} bytes`);
    const bits = Math.min(addressBits, 53);
    this.limit = 2 ** bits;
    this.#top = Math.max(0, Math.ceil((bits - 12) / 9) - 1);
    const usable = LEVEL_BYTES.slice(0, Math.min(PAGE_LEVELS, this.#top + 1));
    this.#hasPages = usable.map((bytes) => sizes.includes(bytes));
    this.sizes = usable.filter((bytes) => sizes.includes(bytes));
  }

  /** Bytes that are mapped. */
  get mappedBytes(): number {
    return this.#mappedBytes;
  }

  /** Tables in use, the root included. */
  get tables(): number {
    return this.#tables - this.#free.length;
  }

  walk(iova: number, isWrite: boolean): number {
    if (!(iova >= 0 && iova < this.limit)) return NOT_MAPPED;
    const entry = this.#find(iova);
    if (entry === 0) return NOT_MAPPED;
    const flags = entry & FLAGS;
    if ((flags & (isWrite ? PROT.WRITE : PROT.READ)) === 0) return NOT_ALLOWED;
    return entry - flags + (iova & (levelBytes(this.#level) - 1));
  }

  pageBytes(iova: number): number {
    return iova >= 0 && iova < this.limit && this.#find(iova) > 0 ? levelBytes(this.#level) : SMALLEST;
  }

  /** Where an address leads, whatever may be done there; {@link NOT_MAPPED} where nothing is. */
  lookup(iova: number): number {
    if (!(iova >= 0 && iova < this.limit)) return NOT_MAPPED;
    const entry = this.#find(iova);
    return entry === 0 ? NOT_MAPPED : entry - (entry & FLAGS) + (iova & (levelBytes(this.#level) - 1));
  }

  /**
   * Maps a range, by the largest pages that fit; all of it, or nothing.
   * @param iova multiple of the smallest page, as `paddr` and `sizeBytes`; the range ends at the limit at most
   * @param prot bits of {@link PROT}, READ or WRITE among them
   * @returns false when some of it is mapped already
   */
  map(iova: number, paddr: number, sizeBytes: number, prot: number): boolean {
    if (sizeBytes > SMALLEST && !this.isFree(iova, sizeBytes)) return false;
    for (let done = 0; done < sizeBytes;) {
      const level = this.#levelFor(iova + done, paddr + done, sizeBytes - done);
      const bytes = levelBytes(level);
      const slot = this.#slotAt(iova + done, level);
      if (slot < 0) return false;
      const count = Math.min(Math.floor((sizeBytes - done) / bytes), ENTRIES - (slot & LAST_ENTRY));
      const pool = this.#pool;
      let entry = paddr + done + prot;
      for (let at = slot; at < slot + count; at++, entry += bytes) pool[at] = entry;
      this.#used[slot >>> 9]! += count;
      done += count * bytes;
    }
    this.#mappedBytes += sizeBytes;
    return true;
  }

  /** Whether nothing of a range is mapped. */
  isFree(iova: number, sizeBytes: number): boolean {
    for (let at = iova; at < iova + sizeBytes;) {
      if (this.#find(at) !== 0) return false;
      const bytes = levelBytes(this.#level);
      at = (Math.floor(at / bytes) + 1) * bytes;
    }
    return true;
  }

  /**
   * Takes pages away, from `iova` on to the first hole, or the first page that ends behind the range: never more than asked.
   * @returns how many bytes
   */
  unmap(iova: number, sizeBytes: number): number {
    let done = 0;
    while (done < sizeBytes && iova + done < this.limit) {
      const entry = this.#find(iova + done);
      const bytes = levelBytes(this.#level);
      if (entry === 0 || ((iova + done) & (bytes - 1)) !== 0 || sizeBytes - done < bytes) break;
      const slot = this.#slot;
      const end = Math.min((slot | LAST_ENTRY) + 1, slot + Math.floor((sizeBytes - done) / bytes));
      const pool = this.#pool;
      let at = slot;
      while (at < end && pool[at]! > 0) pool[at++] = 0;
      if ((this.#used[slot >>> 9]! -= at - slot) === 0) this.#prune(iova + done);
      done += (at - slot) * bytes;
    }
    this.#mappedBytes -= done;
    return done;
  }

  /** Takes everything away. */
  clear(): void {
    this.#pool = EMPTY;
    this.#used = new Uint16Array(1);
    this.#tables = 1;
    this.#free = [];
    this.#mappedBytes = 0;
  }

  /** What is mapped, by address; neighbours that continue each other are one. */
  *ranges(): Generator<MappedRange> {
    let range: MappedRange | undefined;
    for (const page of this.#pages(0, this.#top, 0)) {
      const { iova, paddr, sizeBytes, prot } = page;
      const isNext = range !== undefined && range.iova + range.sizeBytes === iova && range.prot === prot;
      if (range !== undefined && isNext && range.paddr + range.sizeBytes === paddr) {
        range = { ...range, sizeBytes: range.sizeBytes + sizeBytes };
        continue;
      }
      if (range !== undefined) yield range;
      range = page;
    }
    if (range !== undefined) yield range;
  }

  *#pages(table: number, level: number, base: number): Generator<MappedRange> {
    const sizeBytes = levelBytes(level);
    for (let index = 0; index < ENTRIES; index++) {
      const entry = this.#pool[table * ENTRIES + index]!;
      const iova = base + index * sizeBytes;
      if (entry < 0) yield* this.#pages(-entry, level - 1, iova);
      else if (entry > 0) yield { iova, paddr: entry - (entry & FLAGS), sizeBytes, prot: entry & FLAGS };
    }
  }

  /** The page that an address is in, or 0; `#slot` and `#level` say where that is. */
  #find(iova: number): number {
    const pool = this.#pool;
    let level = this.#top;
    let slot = (iova / levelBytes(level)) & LAST_ENTRY;
    let entry = pool[slot]!;
    while (entry < 0) {
      level--;
      slot = -entry * ENTRIES + ((iova / levelBytes(level)) & LAST_ENTRY);
      entry = pool[slot]!;
    }
    this.#slot = slot;
    this.#level = level;
    return entry;
  }

  #levelFor(iova: number, paddr: number, sizeBytes: number): number {
    for (let level = this.#hasPages.length - 1; level > 0; level--) {
      const bytes = levelBytes(level);
      const isAligned = ((iova & (bytes - 1)) | (paddr & (bytes - 1))) === 0;
      if (isAligned && sizeBytes >= bytes && this.#hasPages[level] === true) return level;
    }
    return 0;
  }

  /** The free entry for an address, below tables that are made where they are missing; -1 when something is in it. */
  #slotAt(iova: number, level: number): number {
    if (this.#pool === EMPTY) this.#pool = new Float64Array(ENTRIES);
    for (;;) {
      if (this.#find(iova) !== 0) return -1;
      if (this.#level === level) return this.#slot;
      const table = this.#free.pop() ?? this.#newTable();
      this.#pool[this.#slot] = -table;
      this.#used[this.#slot >>> 9]!++;
    }
  }

  #newTable(): number {
    const table = this.#tables++;
    if (table >= this.#used.length) {
      const pool = new Float64Array(this.#used.length * 2 * ENTRIES);
      const used = new Uint16Array(this.#used.length * 2);
      pool.set(this.#pool);
      used.set(this.#used);
      this.#pool = pool;
      this.#used = used;
    }
    return table;
  }

  /** Gives back the tables that lead to an address and have become empty. */
  #prune(iova: number): void {
    for (;;) {
      let level = this.#top;
      let above = -1;
      let slot = (iova / levelBytes(level)) & LAST_ENTRY;
      while (this.#pool[slot]! < 0) {
        above = slot;
        level--;
        slot = -this.#pool[slot]! * ENTRIES + ((iova / levelBytes(level)) & LAST_ENTRY);
      }
      if (above < 0 || this.#used[slot >>> 9] !== 0) return;
      this.#free.push(slot >>> 9);
      this.#pool[above] = 0;
      this.#used[above >>> 9]!--;
    }
  }
}
