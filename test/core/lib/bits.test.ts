import { describe, expect, test } from 'vitest';
import { alignUp, bit, bits, checkRange, hex, isPowerOfTwo } from '../../../core/lib/bits.js';

describe('bits', () => {
  test('bit and bits are unsigned, also at and above bit 31', () => {
    expect([bit(0), bit(30), bit(31), bit(32), bit(52)]).toEqual([1, 0x4000_0000, 0x8000_0000, 0x1_0000_0000, 2 ** 52]);
    expect([bits(0, 0), bits(7, 4), bits(31, 0), bits(31, 31), bits(52, 0)]).toEqual([
      1,
      0xf0,
      0xffff_ffff,
      0x8000_0000,
      Number.MAX_SAFE_INTEGER,
    ]);
  });

  test('alignUp is exact above 32 bits', () => {
    expect([alignUp(0, 8), alignUp(1, 8), alignUp(8, 8)]).toEqual([0, 8, 8]);
    expect(alignUp(0xffff_ffff_0001, 0x1000)).toBe(0xffff_ffff_1000);
  });

  test('isPowerOfTwo is true for each power of two and false beside it', () => {
    for (let n = 0; n <= 52; n++) {
      expect(isPowerOfTwo(2 ** n)).toBe(true);
      if (n > 1) expect([n, isPowerOfTwo(2 ** n - 1), isPowerOfTwo(2 ** n + 1)]).toEqual([n, false, false]);
    }
    for (const other of [0, -1, -2, 0.5, 3, Number.MAX_SAFE_INTEGER, 2 ** 60, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect([other, isPowerOfTwo(other)]).toEqual([other, false]);
    }
  });

  test('hex pads and never cuts', () => {
    expect([hex(0x11e8, 4), hex(5, 2), hex(0x12345, 4)]).toEqual(['11e8', '05', '12345']);
  });

  test('checkRange takes both ends and refuses what is outside or no integer', () => {
    checkRange('d1', 'vector', 0, 0, 7);
    checkRange('d1', 'vector', 7, 0, 7);
    expect(() => checkRange('d1', 'vector', 8, 0, 7)).toThrow('ERANGE: d1: vector is 8, must be an integer of 0 to 7');
    for (const bad of [-1, 0.5, Number.NaN]) expect(() => checkRange('d1', 'vector', bad, 0, 7)).toThrow('ERANGE');
  });
});
