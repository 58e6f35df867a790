/**
 * A region of device address space: every call is exactly one bus access of that width.
 *
 * Offsets are bytes from the start of the window. An access to an absent device, or outside the region, reads all ones and
 * drops the write; it never throws. Values are unsigned. Devices tell one access of 8 bytes from two of 4.
 */
export interface Window {
  /** Length of the region in bytes. */
  readonly sizeBytes: number;
  read8(offset: number): number;
  read16(offset: number): number;
  read32(offset: number): number;
  /** One 8-byte read; the low word goes to `out[0]`, the high word to `out[1]`. */
  read64(offset: number, out: Uint32Array): void;
  write8(offset: number, value: number): void;
  write16(offset: number, value: number): void;
  write32(offset: number, value: number): void;
  /** One 8-byte write of two 32-bit words. */
  write64(offset: number, lo: number, hi: number): void;
  /**
   * One write of 64 bytes, as the instruction MOVDIR64B makes it: 16 words from `words[at]` on. `offset` is a multiple of 64.
   * Absent where the way to the device has no such write.
   */
  movdir64b?(offset: number, words: Uint32Array, at: number): void;
  /**
   * As {@link movdir64b}, and the device answers, as to the instruction ENQCMD.
   * @returns true when it was not accepted: to be tried again. Nobody there says so, too
   */
  enqcmd?(offset: number, words: Uint32Array, at: number): boolean;
}

/** Bytes that {@link Window.movdir64b} writes. */
export const DIRECT_STORE_BYTES = 64;

/** A write of 64 bytes on a way that has none: eight of 8 bytes, ascending. @internal */
export function writeDirect(window: Window, offset: number, words: Uint32Array, at: number): void {
  if (window.movdir64b !== undefined) {
    window.movdir64b(offset, words, at);
    return;
  }
  for (let i = 0; i < DIRECT_STORE_BYTES / 4; i += 2) window.write64(offset + 4 * i, words[at + i]!, words[at + i + 1]!);
}

/** Width of a bus access in bytes. */
export type AccessBytes = 1 | 2 | 4 | 8;
