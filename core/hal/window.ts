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
}

/** Width of a bus access in bytes. */
export type AccessBytes = 1 | 2 | 4 | 8;
