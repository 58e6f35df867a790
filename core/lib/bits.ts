import { Errno } from './errno.js';

/** The value with only bit `n` set; `n` 0 to 52. */
export function bit(n: number): number {
  return n < 31 ? 1 << n : 2 ** n;
}

/** The mask of the bits `msb` down to `lsb`, both included; 0 to 52. Linux's `GENMASK`. */
export function bits(msb: number, lsb: number): number {
  return 2 ** (msb + 1) - 2 ** lsb;
}

/** Rounds `value` up to a multiple of `align`, a power of two. Exact up to 2^53. */
export function alignUp(value: number, align: number): number {
  return Math.ceil(value / align) * align;
}

/** Whether `value` is a power of two (1 is one). */
export function isPowerOfTwo(value: number): boolean {
  return value > 0 && Number.isSafeInteger(value) && 2 ** Math.round(Math.log2(value)) === value;
}

/** Hexadecimal without prefix, padded to `digits`: `hex(0x11e8, 4)` is `11e8`. */
export function hex(value: number, digits = 1): string {
  return value.toString(16).padStart(digits, '0');
}

/** Throws ERANGE unless `value` is an integer of `min` to `max`. */
export function checkRange(who: string, what: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new Errno('ERANGE', `${who}: ${what} is ${value}, must be an integer of ${min} to ${max}`);
  }
}
