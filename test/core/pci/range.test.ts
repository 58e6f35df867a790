import { describe, expect, test } from 'vitest';
import { RangeSet } from '../../../core/pci/range.js';
import { Random, alignUp } from '../../../core/lib/index.js';

const K = 1024;

describe('RangeSet', () => {
  test('gives the lowest free part that is aligned', () => {
    const set = new RangeSet([{ base: 3 * K, limit: 16 * K - 1 }]);
    expect(set.alloc({ sizeBytes: 4 * K, align: 4 * K })).toBe(4 * K);
    expect(set.alloc({ sizeBytes: K, align: K })).toBe(3 * K);
    expect(set.alloc({ sizeBytes: K, align: K })).toBe(8 * K);
    expect(set.alloc({ sizeBytes: 8 * K, align: 8 * K })).toBeUndefined();
    set.free(8 * K);
    expect(set.alloc({ sizeBytes: 8 * K, align: 8 * K })).toBe(8 * K);
  });

  test('goes on to the next range when one is full, and uses each to its last byte', () => {
    const set = new RangeSet([
      { base: 0x1000, limit: 0x1fff },
      { base: 0x8000, limit: 0x8fff },
    ]);
    const request = { sizeBytes: 0x1000, align: 0x1000 };
    expect([set.alloc(request), set.alloc(request), set.alloc(request)]).toEqual([0x1000, 0x8000, undefined]);
  });

  test('serves all of several requests or none', () => {
    const set = new RangeSet([{ base: 0, limit: 4 * K - 1 }]);
    const request = { sizeBytes: 2 * K, align: K };
    expect(set.allocAll([request, request, request])).toBeUndefined();
    expect(set.allocAll([request, request])).toEqual([0, 2 * K]);
  });

  test('takes back only what it gave', () => {
    const set = new RangeSet([{ base: 0, limit: K - 1 }]);
    expect(() => set.free(0)).toThrow('EINVAL: pci: no address range begins at 0x0');
  });

  test('never gives the same address twice, in any order of giving and taking back', () => {
    const random = new Random(1);
    const set = new RangeSet([
      { base: 0x1000, limit: 0x8fff },
      { base: 0x10_0000, limit: 0x10_7fff },
    ]);
    const live = new Map<number, number>();
    for (let step = 0; step < 2000; step++) {
      const [first] = live.keys();
      if (first !== undefined && random.below(2) === 0) {
        const at = [...live.keys()][random.below(live.size)]!;
        live.delete(at);
        set.free(at);
        continue;
      }
      const align = 2 ** (8 + random.below(6));
      const sizeBytes = alignUp(1 + random.below(0x2000), 256);
      const base = set.alloc({ sizeBytes, align });
      if (base === undefined) continue;
      const clash = [...live].some(([at, size]) => base < at + size && at < base + sizeBytes);
      expect([base % align, clash]).toEqual([0, false]);
      live.set(base, sizeBytes);
    }
    expect(live.size).toBeGreaterThan(0);
  });
});
