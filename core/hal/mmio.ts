import { hex } from '../lib/bits.js';
import { Errno } from '../lib/errno.js';
import { type Field, type Reg, fieldOf, getField, packFields, setField, setField64 } from './reg.js';
import { type AccessBytes, DIRECT_STORE_BYTES, type Window, writeDirect } from './window.js';

/** A window whose every use throws: what a handle holds once its binding is gone. */
class RevokedWindow implements Window {
  readonly sizeBytes = 0;
  constructor(
    readonly what: string,
    readonly report: ((what: string) => void) | undefined,
  ) {}

  #dead(): never {
    this.report?.(this.what);
    throw new Errno('ENODEV', `${this.what} used after unbind`);
  }

  read8(): number {
    return this.#dead();
  }
  read16(): number {
    return this.#dead();
  }
  read32(): number {
    return this.#dead();
  }
  read64(): void {
    this.#dead();
  }
  write8(): void {
    this.#dead();
  }
  write16(): void {
    this.#dead();
  }
  write32(): void {
    this.#dead();
  }
  write64(): void {
    this.#dead();
  }
  movdir64b(): void {
    this.#dead();
  }
  enqcmd(): boolean {
    return this.#dead();
  }
}

/** Named field values of a register. */
export type FieldValues<F extends string> = { readonly [K in F]?: number };

const pair = new Uint32Array(2);

/**
 * A driver's access to a region of its device: by register, or raw by width. It dies with the binding it was mapped for.
 *
 * Every read and write is one bus access of the register's width; `modify` is a read and a write.
 * @see Linux 6.12 drivers/pci/devres.c pcim_iomap_region; rust/kernel/devres.rs (revocation)
 */
export class Mmio {
  #window: Window;
  readonly #what: string;
  readonly #onRevoked: ((what: string) => void) | undefined;

  /**
   * @param what named in messages: `0000:00:01.0: BAR 0`
   * @param onRevoked told of each later use, before it throws. @internal
   */
  constructor(window: Window, what: string, onRevoked?: (what: string) => void) {
    this.#window = window;
    this.#what = what;
    this.#onRevoked = onRevoked;
  }

  get sizeBytes(): number {
    return this.#window.sizeBytes;
  }

  /** Whether the binding is gone. */
  get revoked(): boolean {
    return this.#window instanceof RevokedWindow;
  }

  /**
   * The value of a register, unsigned. Exact below 2^53: read wider fields of 64-bit registers with {@link readField}.
   * @throws {Errno} ENODEV after unbind
   */
  read(reg: Reg): number {
    switch (reg.bytes) {
      case 4:
        return this.#window.read32(reg.offset);
      case 8:
        this.#window.read64(reg.offset, pair);
        return pair[1]! * 2 ** 32 + pair[0]!;
      case 2:
        return this.#window.read16(reg.offset);
      default:
        return this.#window.read8(reg.offset);
    }
  }

  /** One field of a register, exact for any field of a 64-bit register. */
  readField(reg: Reg, f: Field): number {
    if (reg.bytes !== 8) return getField(f, this.read(reg));
    this.#window.read64(reg.offset, pair);
    const lo = pair[0]!;
    const hi = pair[1]!;
    if (f.lsb >= 32) return getField({ ...f, msb: f.msb - 32, lsb: f.lsb - 32 }, hi);
    if (f.msb < 32) return getField(f, lo);
    const high = f.msb === 63 ? hi : hi % 2 ** (f.msb - 31);
    return high * 2 ** (32 - f.lsb) + Math.floor(lo / 2 ** f.lsb);
  }

  /**
   * Writes a register: a number, or named fields (those not named become 0).
   * @throws {Errno} ERANGE when a value does not fit; ENODEV after unbind
   */
  write<F extends string>(reg: Reg<F>, value: number | FieldValues<F>): void {
    if (reg.bytes === 8 && typeof value !== 'number') {
      pair[0] = pair[1] = 0;
      this.#writePair(reg, value);
      return;
    }
    const word = typeof value === 'number' ? value : packFields(reg, value);
    switch (reg.bytes) {
      case 4:
        if (word >>> 0 !== word) checkFit(reg, word);
        return this.#window.write32(reg.offset, word);
      case 8:
        checkFit(reg, word);
        return this.#window.write64(reg.offset, word % 2 ** 32, Math.floor(word / 2 ** 32));
      case 2:
        return this.#window.write16(reg.offset, checkFit(reg, word));
      default:
        return this.#window.write8(reg.offset, checkFit(reg, word));
    }
  }

  /** Reads a register, replaces the named fields, writes it back. */
  modify<F extends string>(reg: Reg<F>, values: FieldValues<F>): void {
    if (reg.bytes === 8) {
      this.#window.read64(reg.offset, pair);
      this.#writePair(reg, values);
      return;
    }
    let word = this.read(reg);
    for (const key in values) word = setField(fieldOf(reg, key), word, values[key] ?? 0);
    this.write(reg, word);
  }

  /** Writes the two words in `pair` with the named fields replaced: a number would hold 53 bits of them. */
  #writePair<F extends string>(reg: Reg<F>, values: FieldValues<F>): void {
    for (const key in values) setField64(fieldOf(reg, key), pair, values[key] ?? 0);
    this.#window.write64(reg.offset, pair[0]!, pair[1]!);
  }

  read8(offset: number): number {
    return this.#window.read8(offset);
  }
  read16(offset: number): number {
    return this.#window.read16(offset);
  }
  read32(offset: number): number {
    return this.#window.read32(offset);
  }
  /** One 8-byte read; low word to `out[0]`, high word to `out[1]`. */
  read64(offset: number, out: Uint32Array): void {
    this.#window.read64(offset, out);
  }
  write8(offset: number, value: number): void {
    this.#window.write8(offset, value);
  }
  write16(offset: number, value: number): void {
    this.#window.write16(offset, value);
  }
  write32(offset: number, value: number): void {
    this.#window.write32(offset, value);
  }
  write64(offset: number, lo: number, hi: number): void {
    this.#window.write64(offset, lo, hi);
  }

  /**
   * Writes 64 bytes at once, as the instruction MOVDIR64B does: 16 words from `words[at]` on. Where the way to the device has no such
   * write, it is eight of 8 bytes, ascending.
   * @param offset a multiple of 64
   * @throws {Errno} EINVAL for another offset, and for fewer words; ENODEV after unbind
   * @see Linux 6.12 arch/x86/include/asm/io.h iosubmit_cmds512
   */
  movdir64b(offset: number, words: Uint32Array, at = 0): void {
    this.#checkDirect(offset, words, at);
    writeDirect(this.#window, offset, words, at);
  }

  /**
   * As {@link movdir64b}, and waits for the device's answer, as the instruction ENQCMD does.
   * @returns true when it was not accepted: to be tried again
   * @throws {Errno} EINVAL as {@link movdir64b}; EOPNOTSUPP where the way to the device has no such write; ENODEV after unbind
   * @see Linux 6.12 arch/x86/include/asm/special_insns.h enqcmds
   */
  enqcmd(offset: number, words: Uint32Array, at = 0): boolean {
    this.#checkDirect(offset, words, at);
    const window = this.#window;
    if (window.enqcmd === undefined) {
      throw new Errno(
        'EOPNOTSUPP',
        `${this.#what}: no writes with an answer on the way there: use movdir64b and a dedicated queue`,
      );
    }
    return window.enqcmd(offset, words, at);
  }

  /** Whether {@link enqcmd} can be used here. */
  get hasEnqcmd(): boolean {
    return this.#window.enqcmd !== undefined;
  }

  #checkDirect(offset: number, words: Uint32Array, at: number): void {
    if (offset % DIRECT_STORE_BYTES === 0 && at >= 0 && at + DIRECT_STORE_BYTES / 4 <= words.length) return;
    const what = `write of 64 bytes at 0x${hex(offset)}, words ${at} on of ${words.length}`;
    throw new Errno('EINVAL', `${this.#what}: ${what}: must be a multiple of 64, and 16 words`);
  }

  /** Ends the handle: every later use throws ENODEV. @internal */
  revoke(): void {
    if (!this.revoked) this.#window = new RevokedWindow(this.#what, this.#onRevoked);
  }
}

/** The greatest number that a register of so many bytes is written with. */
const GREATEST = { 1: 0xff, 2: 0xffff, 4: 0xffff_ffff, 8: Number.MAX_SAFE_INTEGER } as const;

function checkFit(reg: Reg, value: number): number {
  if (!(value >= 0 && value <= GREATEST[reg.bytes] && Number.isInteger(value))) {
    const remedy = reg.bytes === 8 ? ': a number has 53 of them, write by field what needs more' : '';
    throw new Errno('ERANGE', `${reg.name}: ${value} does not fit ${reg.bytes * 8} bits${remedy}`);
  }
  return value;
}

/** Reads `bytes` at `offset` of any window as one number, for tools that take the width as data. 8 gives up to 2^64. */
export function readSized(window: Window, offset: number, bytes: AccessBytes): number {
  switch (bytes) {
    case 1:
      return window.read8(offset);
    case 2:
      return window.read16(offset);
    case 4:
      return window.read32(offset);
    default:
      window.read64(offset, pair);
      return pair[1]! * 2 ** 32 + pair[0]!;
  }
}
