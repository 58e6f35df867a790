import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { field, getField, packFields, reg16, reg32, reg64, reg8, regAt, setField, unpackFields } from '../../../core/hal/reg.js';

const CTRL = reg32('CTRL', 0x10, { enable: field(0), mode: field(6, 4), top: field(31, 24) });

describe('declaring registers', () => {
  test('a field is one bit or a run, of at most 53 bits within 63:0', () => {
    expect(field(5)).toEqual({ msb: 5, lsb: 5, mode: 'rw', reset: 0 });
    expect(field(63, 11, 'ro', 3)).toEqual({ msb: 63, lsb: 11, mode: 'ro', reset: 3 });
    for (const [msb, lsb] of [
      [64, 60],
      [3, 4],
      [5, -1],
      [53, 0],
      [1.5, 0],
    ] as const) {
      expect(() => field(msb, lsb)).toThrow('EINVAL');
    }
  });

  test('fields must fit their register and not overlap', () => {
    expect(() => reg8('R', 0, { a: field(8) })).toThrow('EINVAL: R.a: bit 8 is outside a register of 8 bits');
    expect(() => reg16('R', 0, { a: field(3, 0), b: field(5, 3) })).toThrow('EINVAL: R.b: bits 5:3 overlap those of a');
    expect(() => reg32('R', -4)).toThrow('EINVAL');
  });

  test('bits outside the fields are reserved, and a register without fields is read and written', () => {
    expect([CTRL.mode, reg32('R', 0).mode, reg32('R', 0, {}, { mode: 'ro', reset: 7 })]).toEqual([
      'rsvd',
      'rw',
      { name: 'R', offset: 0, bytes: 4, fields: {}, reset: 7, mode: 'ro' },
    ]);
    expect([reg8('R', 0).bytes, reg16('R', 0).bytes, reg64('R', 0).bytes]).toEqual([1, 2, 8]);
  });

  test('regAt is the same register a number of strides further', () => {
    const third = regAt(CTRL, 3, 0x20);
    expect([third.name, third.offset, third.fields]).toEqual(['CTRL[3]', 0x70, CTRL.fields]);
  });
});

describe('fields of values', () => {
  test('getField and setField work at bit 31 and across bit 32', () => {
    expect(getField(CTRL.fields.top, 0xff00_0000)).toBe(0xff);
    expect(setField(CTRL.fields.top, 0, 0xff)).toBe(0xff00_0000);
    expect(getField(field(31, 0), 0xffff_ffff)).toBe(0xffff_ffff);
    expect(getField(field(35, 28), 0xa_5000_0000)).toBe(0xa5);
    expect(getField(field(7, 4), 2 ** 52 + 0x30)).toBe(3);
  });

  test('a value that does not fit is refused with the field named', () => {
    expect(() => setField(CTRL.fields.mode, 0, 8)).toThrow('ERANGE: mode: 8 does not fit bits 6:4, at most 7');
    for (const bad of [-1, 0.5, Number.NaN]) expect(() => setField(field(3, 0), 0, bad)).toThrow('ERANGE');
  });

  test('packFields puts fields together and unpackFields takes them apart', () => {
    const word = packFields(CTRL, { enable: 1, top: 0x80 });
    expect(word).toBe(0x8000_0001);
    expect(unpackFields(CTRL, word)).toEqual({ enable: 1, mode: 0, top: 0x80 });
  });

  test('a field that was set reads back, and no other bit changes', () => {
    const bounds = fc.tuple(fc.nat(52), fc.nat(52)).map(([a, b]) => field(Math.max(a, b), Math.min(a, b)));
    const value = fc.nat(Number.MAX_SAFE_INTEGER);
    fc.assert(
      fc.property(bounds, value, value, (f, word, raw) => {
        const span = 2 ** (f.msb - f.lsb + 1);
        const to = raw % span;
        const written = setField(f, word, to);
        expect(getField(f, written)).toBe(to);
        const mask = ((1n << BigInt(f.msb + 1)) - 1n) & ~((1n << BigInt(f.lsb)) - 1n);
        expect(BigInt(written) & ~mask).toBe(BigInt(word) & ~mask);
        expect(BigInt(getField(f, word))).toBe((BigInt(word) & mask) >> BigInt(f.lsb));
      }),
      { seed: 1, numRuns: 1000 },
    );
  });
});
