import type { Mmio, Reg } from '../../core/index.js';
import { INITIALIZING, INITIALIZING_BIT, swap32 } from '../../hw/regs/nic.js';

/** Where the registers of a function are: all of BAR 0, or the window of a sub-function in BAR 2. */
export class FunctionWindow {
  readonly #regs: Mmio;

  /** @param offset where it begins in `regs` */
  constructor(
    regs: Mmio,
    readonly barIndex: number,
    readonly offset = 0,
  ) {
    this.#regs = regs;
  }

  /** The word of a register of the initialisation segment. @throws {Errno} ENODEV after unbind */
  read(reg: Reg): number {
    return this.readAt(reg.offset);
  }

  /** The word at a byte of the initialisation segment. @throws {Errno} ENODEV after unbind */
  readAt(offset: number): number {
    return swap32(this.#regs.read32(this.offset + offset));
  }

  /** Writes the word of a register of the initialisation segment. @throws {Errno} ENODEV after unbind */
  write(reg: Reg, word: number): void {
    this.#regs.write32(this.offset + reg.offset, swap32(word));
  }

  /** Whether the firmware starts still; so says a function that is gone, too. */
  get isInitializing(): boolean {
    return (this.read(INITIALIZING) & INITIALIZING_BIT) !== 0;
  }

  /** Writes a register of a UAR page, as it is. @throws {Errno} ENODEV after unbind */
  write32(offset: number, value: number): void {
    this.#regs.write32(this.offset + offset, value);
  }

  /** As {@link write32}, 8 bytes. @throws {Errno} ENODEV after unbind */
  write64(offset: number, lo: number, hi: number): void {
    this.#regs.write64(this.offset + offset, lo, hi);
  }
}
