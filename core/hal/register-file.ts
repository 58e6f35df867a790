import { hex } from '../lib/bits.js';
import { Errno } from '../lib/errno.js';
import { type Reg, wordOf } from './reg.js';
import type { Window } from './window.js';

/** Called when a register is read; what it gives back replaces the stored value. 64-bit registers pass their low word. */
export type ReadHook = (stored: number) => number | undefined;
/** Called after a register was written, with what it holds now and what was written. */
export type WriteHook = (value: number, written: number) => void;

/** The behaviour of one 32-bit (or narrower) word: masks by mode. */
class Cell {
  value = 0;
  onRead: ReadHook | undefined = undefined;
  onWrite: WriteHook | undefined = undefined;
  constructor(
    readonly reset: number,
    readonly rw: number,
    readonly w1c: number,
    readonly w1s: number,
    readonly rc: number,
    readonly hidden: number,
  ) {
    this.value = reset;
  }
}

/**
 * The registers of a device model, as its datasheet declares them: it keeps their values and does what their modes say.
 *
 * Access must have the width and offset of a declared register; anything else reads all ones and writes nothing, as on real
 * devices that decode whole registers, and is told to `onBadAccess`. A 64-bit register may also be accessed as two halves.
 */
export class RegisterFile implements Window {
  readonly #cells = new Map<number, Cell>();
  readonly #widths = new Map<number, number>();
  readonly #regs: readonly Reg[];

  /**
   * @param sizeBytes length of the window
   * @param onBadAccess told of accesses that hit no register
   */
  constructor(
    regs: readonly Reg[],
    readonly sizeBytes: number,
    readonly onBadAccess: (kind: 'read' | 'write', offset: number, bytes: number) => void = () => {},
  ) {
    this.#regs = regs;
    let last: Reg | undefined;
    for (const reg of [...regs].sort((a, b) => a.offset - b.offset)) {
      if (reg.offset + reg.bytes > sizeBytes) {
        throw new Errno('EINVAL', `${reg.name}: ends at ${reg.offset + reg.bytes}, outside a window of ${sizeBytes} bytes`);
      }
      if (last !== undefined && reg.offset < last.offset + last.bytes) {
        throw new Errno('EEXIST', `${reg.name}: ${last.name} is at offset 0x${hex(last.offset)} already`);
      }
      last = reg;
      this.#widths.set(reg.offset, reg.bytes);
      this.#cells.set(reg.offset, makeCell(reg, 0));
      if (reg.bytes === 8) this.#cells.set(reg.offset + 4, makeCell(reg, 32));
    }
  }

  /** Puts every register back to its reset value; hooks stay and are not called. */
  reset(): void {
    for (const cell of this.#cells.values()) cell.value = cell.reset;
  }

  /** The stored value, without side effects. For 64-bit registers exact below 2^53. */
  get(reg: Reg): number {
    const lo = this.#cell(reg).value;
    return reg.bytes === 8 ? this.#cells.get(reg.offset + 4)!.value * 2 ** 32 + lo : lo;
  }

  /** Sets the stored value, whatever the modes say: the device's own side. */
  set(reg: Reg, value: number): void {
    this.#cell(reg).value = value % 2 ** 32;
    if (reg.bytes === 8) this.#cells.get(reg.offset + 4)!.value = Math.floor(value / 2 ** 32);
  }

  /** Gives a register a behaviour on reading. `hi`: the high word of a 64-bit register. */
  onRead(reg: Reg, hook: ReadHook, half: 'lo' | 'hi' = 'lo'): void {
    this.#cell(reg, half).onRead = hook;
  }

  /** Gives a register a behaviour on writing; for an 8-byte write the low word comes first. */
  onWrite(reg: Reg, hook: WriteHook, half: 'lo' | 'hi' = 'lo'): void {
    this.#cell(reg, half).onWrite = hook;
  }

  /** The registers, as given. */
  get regs(): readonly Reg[] {
    return this.#regs;
  }

  read8(offset: number): number {
    return this.#read(offset, 1);
  }
  read16(offset: number): number {
    return this.#read(offset, 2);
  }
  read32(offset: number): number {
    return this.#read(offset, 4);
  }
  read64(offset: number, out: Uint32Array): void {
    if (this.#widths.get(offset) !== 8) {
      this.onBadAccess('read', offset, 8);
      out[0] = out[1] = 0xffff_ffff;
      return;
    }
    out[0] = load(this.#cells.get(offset)!);
    out[1] = load(this.#cells.get(offset + 4)!);
  }
  write8(offset: number, value: number): void {
    this.#write(offset, 1, value);
  }
  write16(offset: number, value: number): void {
    this.#write(offset, 2, value);
  }
  write32(offset: number, value: number): void {
    this.#write(offset, 4, value);
  }
  write64(offset: number, lo: number, hi: number): void {
    if (this.#widths.get(offset) !== 8) {
      this.onBadAccess('write', offset, 8);
      return;
    }
    // Both halves are stored before either hook runs: a hook sees the whole register.
    const low = this.#cells.get(offset)!;
    const high = this.#cells.get(offset + 4)!;
    store(low, lo);
    store(high, hi);
    low.onWrite?.(low.value, lo);
    high.onWrite?.(high.value, hi);
  }

  #cell(reg: Reg, half: 'lo' | 'hi' = 'lo'): Cell {
    const cell = this.#cells.get(reg.offset + (half === 'hi' ? 4 : 0));
    if (cell === undefined) throw new Errno('ENOENT', `${reg.name}: not a register of this file`);
    return cell;
  }

  #decodes(offset: number, bytes: number): Cell | undefined {
    const width = this.#widths.get(offset);
    if (width === bytes || (bytes === 4 && (width === 8 || this.#widths.get(offset - 4) === 8))) {
      return this.#cells.get(offset);
    }
    return undefined;
  }

  #read(offset: number, bytes: number): number {
    const cell = this.#decodes(offset, bytes);
    if (cell !== undefined) return load(cell);
    this.onBadAccess('read', offset, bytes);
    return 2 ** (8 * bytes) - 1;
  }

  #write(offset: number, bytes: number, value: number): void {
    const cell = this.#decodes(offset, bytes);
    if (cell === undefined) {
      this.onBadAccess('write', offset, bytes);
      return;
    }
    store(cell, value);
    cell.onWrite?.(cell.value, value);
  }
}

function load(cell: Cell): number {
  const value = cell.onRead?.(cell.value) ?? cell.value;
  if (cell.rc !== 0) cell.value = (cell.value & ~cell.rc) >>> 0;
  return (value & ~cell.hidden) >>> 0;
}

function store(cell: Cell, written: number): void {
  const kept = cell.value & ~cell.rw & ~(written & cell.w1c);
  cell.value = (kept | (written & cell.rw) | (written & cell.w1s)) >>> 0;
}

function makeCell(reg: Reg, base: 0 | 32): Cell {
  const { reset, masks } = wordOf(reg, base);
  return new Cell(reset, masks.rw | masks.wo, masks.w1c, masks.w1s, masks.rc, masks.wo | masks.rsvd);
}
