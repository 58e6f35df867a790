import { describe, expect, test } from 'vitest';
import { type MsiMsg, composeCompat, composeRemappable, parseMsg } from '../../../core/hal/index.js';

const parse = (msg: MsiMsg, extended = false): ReturnType<typeof parseMsg> =>
  parseMsg(msg.addressLo, msg.addressHi, msg.data, extended);

describe('compatibility format', () => {
  test('C-123 APIC id 5 and vector 0x31, physical and logical', () => {
    expect(composeCompat(5, 0x31)).toEqual({ addressLo: 0xfee0_5000, addressHi: 0, data: 0x31 });
    expect(composeCompat(5, 0x31, { logical: true })).toEqual({ addressLo: 0xfee0_5004, addressHi: 0, data: 0x31 });
  });

  test('C-124 an id above 0xff fits with extended ids alone', () => {
    const msg = composeCompat(0x123, 0x31, { extended: true });
    expect(msg).toEqual({ addressLo: 0xfee2_3020, addressHi: 0, data: 0x31 });
    expect(parse(msg, true)).toMatchObject({ format: 'compat', apicId: 0x123, vector: 0x31 });
    expect(parse(msg)).toMatchObject({ apicId: 0x23 });
    expect(() => composeCompat(0x100, 0x31)).toThrow(
      'ERANGE: msi: APIC id 256 does not fit a message, at most 0xff: needs interrupt remapping or extended ids',
    );
  });

  test.each([
    [-1, 0x31, false],
    [1.5, 0x31, false],
    [0x8000, 0x31, true],
    [0, 0x100, false],
    [0, -1, false],
  ])('id %d with vector %d, extended %s, throws ERANGE', (id, vector, extended) => {
    expect(() => composeCompat(id, vector, { extended })).toThrow(/^ERANGE: msi: /);
  });

  test.each([0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff])('id %d comes back', (id) => {
    for (const logical of [false, true]) {
      expect(parse(composeCompat(id, 0xfe, { logical, extended: true }), true)).toEqual({
        format: 'compat',
        apicId: id,
        logical,
        redirectionHint: false,
        vector: 0xfe,
        delivery: 'fixed',
        level: false,
        trigger: 'edge',
      });
    }
  });

  test('the bits of address and data that are never composed are read, too', () => {
    expect(parseMsg(0xfee0_100c, 0, 0xc120)).toEqual({
      format: 'compat',
      apicId: 1,
      logical: true,
      redirectionHint: true,
      vector: 0x20,
      delivery: 'lowest priority',
      level: true,
      trigger: 'level',
    });
    expect(parseMsg(0xfee0_0000, 0, 0x0400)).toMatchObject({ delivery: 'NMI', level: false, trigger: 'edge' });
  });
});

describe('remappable format', () => {
  test('C-125 entries 0x25 and 0x8001, and a sub-handle', () => {
    expect(composeRemappable(0x25, 0)).toEqual({ addressLo: 0xfee0_04b8, addressHi: 0, data: 0 });
    expect(composeRemappable(0x8001, 0)).toEqual({ addressLo: 0xfee0_003c, addressHi: 0, data: 0 });
    expect(composeRemappable(0x25, 3)).toEqual({ addressLo: 0xfee0_04b8, addressHi: 0, data: 3 });
  });

  test.each([0, 1, 0x7fff, 0x8000, 0xffff])('entry %d comes back, the sub-handle added', (index) => {
    expect(parse(composeRemappable(index, 7))).toEqual({ format: 'remappable', index: index + 7, handle: index, subHandle: 7 });
  });

  test('without the bit that says so there is no sub-handle', () => {
    expect(parseMsg(0xfee0_04b0, 0, 3)).toEqual({ format: 'remappable', index: 0x25, handle: 0x25, subHandle: undefined });
  });

  test.each([
    [0x1_0000, 0],
    [-1, 0],
    [0, 0x1_0000],
    [0.5, 0],
  ])('entry %d with sub-handle %d throws ERANGE', (index, subHandle) => {
    expect(() => composeRemappable(index, subHandle)).toThrow(/^ERANGE: msi: index /);
  });
});

describe('an address', () => {
  test.each([
    [0xfed0_0000, 0],
    [0xfef0_0000, 0],
    [0x0ee0_0000, 0],
    [0xfee0_0000, 1],
  ])('0x%s with high word %d is no interrupt address', (lo, hi) => {
    expect(parseMsg(lo, hi, 0x31)).toBeUndefined();
  });

  test('may be given signed', () => {
    expect(parseMsg(0xfee0_5000 | 0, 0, 0x31)).toMatchObject({ apicId: 5, vector: 0x31 });
  });
});
