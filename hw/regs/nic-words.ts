/** A part of a structure that is made of 32-bit words: bits `msb` to `lsb` of the word at byte `offset`. */
export interface WordField {
  /** In bytes: a multiple of 4. */
  readonly offset: number;
  readonly msb: number;
  readonly lsb: number;
}

/** A field of a structure of words. */
export const at = (offset: number, msb = 31, lsb = msb === 31 ? 0 : msb): WordField => ({ offset, msb, lsb });

/** One bit of a structure of words. */
export const bitAt = (offset: number, n: number): WordField => ({ offset, msb: n, lsb: n });

const maskOf = ({ msb, lsb }: WordField): number => (msb - lsb === 31 ? 0xffff_ffff : 2 ** (msb - lsb + 1) - 1);

/** Reads a field of a structure that begins at byte `base`. @returns unsigned */
export function getWord(words: Uint32Array, field: WordField, base = 0): number {
  return ((words[(base + field.offset) >>> 2]! >>> field.lsb) & maskOf(field)) >>> 0;
}

/** Writes a field; what is too large for it is cut. */
export function setWord(words: Uint32Array, field: WordField, value: number, base = 0): void {
  const mask = maskOf(field) << field.lsb;
  const index = (base + field.offset) >>> 2;
  words[index] = (words[index]! & ~mask) | ((value << field.lsb) & mask);
}

/** Reads an address of two words, the high one first; infinity for one that no address can be: its bits 63:53 are set. */
export function getAddress(words: Uint32Array, offset: number): number {
  const hi = words[offset >>> 2]!;
  return hi > 0x1f_ffff ? Infinity : hi * 2 ** 32 + words[(offset >>> 2) + 1]!;
}

/** Writes an address as two words, the high one first. */
export function setAddress(words: Uint32Array, offset: number, address: number): void {
  words[offset >>> 2] = Math.floor(address / 2 ** 32);
  words[(offset >>> 2) + 1] = address >>> 0;
}

/** Copies words out of bytes that have the most significant byte first. */
export function fromBigEndian(bytes: Uint8Array, from: number, words: Uint32Array, to: number, count: number): void {
  for (let n = 0; n < count; n++) {
    const i = from + 4 * n;
    words[to + n] = (bytes[i]! << 24) | (bytes[i + 1]! << 16) | (bytes[i + 2]! << 8) | bytes[i + 3]!;
  }
}

/** Copies words into bytes, the most significant byte first. */
export function toBigEndian(words: Uint32Array, from: number, bytes: Uint8Array, to: number, count: number): void {
  for (let n = 0; n < count; n++) {
    const word = words[from + n]!;
    const i = to + 4 * n;
    bytes[i] = word >>> 24;
    bytes[i + 1] = word >>> 16;
    bytes[i + 2] = word >>> 8;
    bytes[i + 3] = word;
  }
}
