import { describe, expect, test } from 'vitest';
import { type Irte, type SourceCheck, irteAccepts, irteDestination, packIrte, unpackIrte } from '../../../core/hal/index.js';

function pack(entry: Irte): number[] {
  // What was there before must not shine through.
  const words = new Uint32Array(4).fill(0xffff_ffff);
  packIrte(entry, words);
  return [...words];
}
const unpack = (...words: number[]): ReturnType<typeof unpackIrte> => unpackIrte(Uint32Array.from(words));

describe('a remapped entry', () => {
  test('has the bits that Linux writes for vector 0x31 on APIC 5, checked for 6a:01.0', () => {
    const entry = { posted: false, vector: 0x31, destination: 5, sourceId: 0x6a08, check: 'all' } as const;
    expect(pack(entry)).toEqual([0x0031_0009, 5, 0x0004_6a08, 0]);
  });

  test('every field comes back', () => {
    const entry = {
      posted: false,
      present: true,
      faultDisable: true,
      vector: 0xfe,
      sourceId: 0xffff,
      check: 'functions21',
      destination: 0xffff_ffff,
      logical: true,
      redirectionHint: false,
      level: true,
      delivery: 4,
    } as const;
    expect(pack(entry)).toEqual([0x00fe_0097, 0xffff_ffff, 0x0006_ffff, 0]);
    expect(unpack(...pack(entry))).toEqual(entry);
  });

  test('the destination is the id with 32-bit ids, and in bits 15:8 without', () => {
    expect([irteDestination(0x123, true), irteDestination(0x23, false)]).toEqual([0x123, 0x2300]);
  });
});

describe('a posted entry', () => {
  test('C-126 descriptor 0x123456780 and guest vector 0x51, the source check kept', () => {
    const [word0, word1, word2, word3] = pack({
      posted: true,
      descriptor: 0x1_2345_6780,
      vector: 0x51,
      sourceId: 0x6a08,
      check: 'all',
    });
    expect(word0).toBe(0x0051_8001);
    expect([word1! >>> 6, word1! & 0x3f, word3]).toEqual([0x8d_159e, 0, 1]);
    expect(word2).toBe(0x0004_6a08);
  });

  test('every field comes back', () => {
    const entry = {
      posted: true,
      present: false,
      faultDisable: true,
      vector: 0x20,
      sourceId: 1,
      check: 'buses',
      descriptor: 2 ** 53 - 64,
      urgent: true,
    } as const;
    expect(unpack(...pack(entry))).toEqual(entry);
  });

  test.each([0x20, -64, 2 ** 53, 0.5])('a descriptor at %d throws EINVAL', (descriptor) => {
    expect(() => pack({ posted: true, descriptor, vector: 0x51 })).toThrow(/^EINVAL: irte: descriptor address/);
  });
});

describe('packing', () => {
  test.each<[string, Irte]>([
    ['vector', { posted: false, vector: 0x100, destination: 0 }],
    ['source id', { posted: false, vector: 0x31, destination: 0, sourceId: 0x1_0000 }],
    ['destination', { posted: false, vector: 0x31, destination: 2 ** 32 }],
    ['delivery mode', { posted: false, vector: 0x31, destination: 0, delivery: 8 }],
  ])('a %s that does not fit throws ERANGE', (what, entry) => {
    expect(() => pack(entry)).toThrow(`ERANGE: irte: ${what} is `);
  });
});

describe('reserved bits', () => {
  test.each([
    ['bit 12', [0x0031_1001, 0, 0, 0]],
    ['bit 24', [0x0131_0001, 0, 0, 0]],
    ['bit 84', [0x0031_0001, 0, 0x0010_0000, 0]],
    ['bit 96 of a remapped entry', [0x0031_0001, 0, 0, 1]],
    ['validation type 3', [0x0031_0001, 0, 0x000c_0000, 0]],
    ['bit 2 of a posted entry', [0x0031_8005, 0, 0, 0]],
    ['bit 37 of a posted entry', [0x0031_8001, 0x20, 0, 0]],
    ['an address beyond 2^53', [0x0031_8001, 0, 0, 0x0020_0000]],
  ])('%s makes it no entry', (_what, words) => {
    expect(unpack(...words)).toBeUndefined();
  });

  test('the bits that software may use are none of them', () => {
    expect(unpack(0x0031_0f01, 0, 0, 0)).toMatchObject({ posted: false, vector: 0x31 });
  });
});

describe('the check of the requester', () => {
  test.each<[SourceCheck, number, readonly number[], readonly number[]]>([
    ['none', 0x6a08, [0x0000, 0xffff], []],
    ['all', 0x6a08, [0x6a08], [0x6a09, 0x6a10, 0x6b08]],
    ['function2', 0x6a08, [0x6a08, 0x6a0c], [0x6a09, 0x6a0a, 0x6a10]],
    ['functions21', 0x6a08, [0x6a08, 0x6a0a, 0x6a0c, 0x6a0e], [0x6a09, 0x6a10]],
    ['functions', 0x6a08, [0x6a08, 0x6a0f], [0x6a10, 0x6b08]],
    ['buses', 0x6a6c, [0x6a00, 0x6bff, 0x6c08], [0x6900, 0x6d00]],
  ])('C-127 %s of 0x%s accepts and rejects', (check, sourceId, accepted, rejected) => {
    const word2 = pack({ posted: false, vector: 0x31, destination: 0, sourceId, check })[2]!;
    expect(accepted.filter((id) => !irteAccepts(word2, id))).toEqual([]);
    expect(rejected.filter((id) => irteAccepts(word2, id))).toEqual([]);
  });
});
