import type { Window } from '../../core/hal/index.js';
import { hex } from '../../core/lib/bits.js';
import { Errno } from '../../core/lib/errno.js';
import type { MsixOptions } from './capability.js';

/** Words of a table entry. */
const ADDRESS_LO = 0;
const ADDRESS_HI = 1;
const DATA = 2;
const CONTROL = 3;
const MASKED = 1;
/** Bits of each word that software can write. */
const WRITABLE = [0xffff_fffc, 0xffff_ffff, 0xffff_ffff, MASKED] as const;

/** The MSI-X table and pending bits of one function: 4- and 8-byte accesses, aligned; others read all ones. */
export class MsixTable {
  readonly #words: Uint32Array;
  readonly #pending: Uint32Array;
  /** @param changed called after a table entry was written */
  constructor(
    readonly vectors: number,
    readonly changed: (n: number) => void,
  ) {
    this.#words = new Uint32Array(vectors * 4);
    this.#pending = new Uint32Array(Math.ceil(vectors / 64) * 2);
    this.reset();
  }

  /** Every entry is masked, nothing is pending. */
  reset(): void {
    this.#words.fill(0);
    this.#pending.fill(0);
    for (let n = 0; n < this.vectors; n++) this.#words[4 * n + CONTROL] = MASKED;
  }

  addressLo(n: number): number {
    return this.#words[4 * n + ADDRESS_LO]!;
  }
  addressHi(n: number): number {
    return this.#words[4 * n + ADDRESS_HI]!;
  }
  data(n: number): number {
    return this.#words[4 * n + DATA]!;
  }
  masked(n: number): boolean {
    return (this.#words[4 * n + CONTROL]! & MASKED) !== 0;
  }
  pending(n: number): boolean {
    return (this.#pending[n >>> 5]! & (1 << (n & 31))) !== 0;
  }
  setPending(n: number, on: boolean): void {
    const bit = 1 << (n & 31);
    this.#pending[n >>> 5] = on ? this.#pending[n >>> 5]! | bit : this.#pending[n >>> 5]! & ~bit;
  }

  get tableBytes(): number {
    return this.#words.byteLength;
  }
  get pbaBytes(): number {
    return this.#pending.byteLength;
  }

  readTable(offset: number): number {
    return this.#words[offset / 4]!;
  }
  readPba(offset: number): number {
    return this.#pending[offset / 4]!;
  }
  writeTable(offset: number, value: number): void {
    const word = offset / 4;
    this.#words[word] = value & WRITABLE[(word & 3) as 0 | 1 | 2 | 3];
  }
}

/** What a model without registers in that BAR has behind table and pending bits. */
const NOTHING: Window = {
  sizeBytes: 0,
  read8: () => 0xff,
  read16: () => 0xffff,
  read32: () => 0xffff_ffff,
  read64: (_offset, out) => out.fill(0xffff_ffff, 0, 2),
  write8() {},
  write16() {},
  write32() {},
  write64() {},
};

/** A BAR that holds the MSI-X table, the pending bits or both, in front of the model's own registers. */
export class MsixWindow implements Window {
  readonly sizeBytes: number;
  readonly #table: MsixTable;
  readonly #model: Window;
  readonly #tableAt: number;
  readonly #pbaAt: number;

  /** @throws {Errno} EINVAL when table or pending bits do not fit the BAR, or lie on each other */
  constructor(table: MsixTable, options: MsixOptions, bar: number, sizeBytes: number, model: Window = NOTHING) {
    this.sizeBytes = sizeBytes;
    this.#table = table;
    this.#model = model;
    // A part that is in another BAR lies where no offset is.
    this.#tableAt = options.table.bar === bar ? options.table.offset : Number.POSITIVE_INFINITY;
    this.#pbaAt = options.pba.bar === bar ? options.pba.offset : Number.POSITIVE_INFINITY;
    const fits = (at: number, bytes: number): boolean => at === Number.POSITIVE_INFINITY || at + bytes <= sizeBytes;
    const apart = this.#tableAt + table.tableBytes <= this.#pbaAt || this.#pbaAt + table.pbaBytes <= this.#tableAt;
    if (!fits(this.#tableAt, table.tableBytes) || !fits(this.#pbaAt, table.pbaBytes) || !apart) {
      throw new Errno(
        'EINVAL',
        `msix: table of ${table.tableBytes} bytes at 0x${hex(options.table.offset)} and pending bits of ${table.pbaBytes} at ` +
          `0x${hex(options.pba.offset)} do not fit BAR ${bar} of ${sizeBytes} bytes beside each other`,
      );
    }
  }

  #inTable(offset: number): boolean {
    return offset >= this.#tableAt && offset < this.#tableAt + this.#table.tableBytes;
  }
  #inPba(offset: number): boolean {
    return offset >= this.#pbaAt && offset < this.#pbaAt + this.#table.pbaBytes;
  }

  read8(offset: number): number {
    return this.#inTable(offset) || this.#inPba(offset) ? 0xff : this.#model.read8(offset);
  }
  read16(offset: number): number {
    return this.#inTable(offset) || this.#inPba(offset) ? 0xffff : this.#model.read16(offset);
  }
  read32(offset: number): number {
    const inTable = this.#inTable(offset);
    if (!inTable && !this.#inPba(offset)) return this.#model.read32(offset);
    if (offset % 4 !== 0) return 0xffff_ffff;
    return inTable ? this.#table.readTable(offset - this.#tableAt) : this.#table.readPba(offset - this.#pbaAt);
  }
  read64(offset: number, out: Uint32Array): void {
    if (!this.#inTable(offset) && !this.#inPba(offset)) {
      this.#model.read64(offset, out);
      return;
    }
    const isAligned = offset % 8 === 0;
    out[0] = isAligned ? this.read32(offset) : 0xffff_ffff;
    out[1] = isAligned ? this.read32(offset + 4) : 0xffff_ffff;
  }
  write8(offset: number, value: number): void {
    if (!this.#inTable(offset) && !this.#inPba(offset)) this.#model.write8(offset, value);
  }
  write16(offset: number, value: number): void {
    if (!this.#inTable(offset) && !this.#inPba(offset)) this.#model.write16(offset, value);
  }
  write32(offset: number, value: number): void {
    if (this.#inPba(offset)) return;
    if (!this.#inTable(offset)) {
      this.#model.write32(offset, value);
    } else if (offset % 4 === 0) {
      this.#table.writeTable(offset - this.#tableAt, value);
      this.#table.changed((offset - this.#tableAt) >>> 4);
    }
  }
  write64(offset: number, lo: number, hi: number): void {
    if (this.#inPba(offset)) return;
    if (!this.#inTable(offset)) {
      this.#model.write64(offset, lo, hi);
    } else if (offset % 8 === 0) {
      this.#table.writeTable(offset - this.#tableAt, lo);
      this.#table.writeTable(offset + 4 - this.#tableAt, hi);
      this.#table.changed((offset - this.#tableAt) >>> 4);
    }
  }
}
