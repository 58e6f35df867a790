import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NOT_ALLOWED, NOT_MAPPED } from '../../../core/hal/index.js';
import { PROT, PageTable } from '../../../core/iommu/index.js';

const K4 = 2 ** 12;
const M2 = 2 ** 21;
const G1 = 2 ** 30;
const ALL = [K4, M2, G1];
const RW = PROT.READ | PROT.WRITE;

describe('PageTable', () => {
  test('translates what is mapped, and keeps the offset in the page', () => {
    const table = new PageTable(48, ALL);
    expect(table.map(0x1000, 0x7_0000_3000, K4, RW)).toBe(true);
    expect([table.walk(0x1000, false), table.walk(0x1fff, true)]).toEqual([0x7_0000_3000, 0x7_0000_3fff]);
    expect([table.walk(0xfff, false), table.walk(0x2000, false)]).toEqual([NOT_MAPPED, NOT_MAPPED]);
    expect(table.mappedBytes).toBe(K4);
  });

  test('allows what was said', () => {
    const table = new PageTable(48, ALL);
    table.map(0x1000, 0x3000, K4, PROT.READ);
    table.map(0x2000, 0x5000, K4, PROT.WRITE | PROT.NOEXEC);
    expect([table.walk(0x1000, false), table.walk(0x1000, true)]).toEqual([0x3000, NOT_ALLOWED]);
    expect([table.walk(0x2000, false), table.walk(0x2000, true)]).toEqual([NOT_ALLOWED, 0x5000]);
    expect(table.lookup(0x2004)).toBe(0x5004);
  });

  test('uses the largest page that fits alignment and length', () => {
    const table = new PageTable(48, ALL);
    table.map(G1 - M2 - K4, 4 * G1 - M2 - K4, K4 + M2 + G1 + K4, RW);
    const pages = [G1 - M2 - K4, G1 - M2, G1, 2 * G1].map((at) => table.pageBytes(at));
    expect(pages).toEqual([K4, M2, G1, K4]);
    const other = new PageTable(48, ALL);
    other.map(M2, M2 + K4, M2, RW);
    expect(other.pageBytes(M2)).toBe(K4);
    const small = new PageTable(48, [K4]);
    small.map(G1, G1, M2, RW);
    expect(small.pageBytes(G1)).toBe(K4);
  });

  test('reaches the last address of its width, and nothing above', () => {
    for (const bits of [32, 39, 48, 53, 57]) {
      const table = new PageTable(bits, ALL);
      const last = 2 ** Math.min(bits, 53) - K4;
      expect(table.map(last, 0x1000, K4, RW)).toBe(true);
      expect([table.walk(last + 5, false), table.walk(last + K4, false), table.walk(last % 2 ** 31, false)]).toEqual([
        0x1005,
        NOT_MAPPED,
        NOT_MAPPED,
      ]);
    }
  });

  test('changes nothing when some of a range is mapped', () => {
    const table = new PageTable(48, ALL);
    table.map(0x3000, 0x9000, K4, RW);
    const { tables } = table;
    expect(table.map(0x1000, 0x20000, 3 * K4, RW)).toBe(false);
    expect(table.map(0x3000, 0x20000, K4, RW)).toBe(false);
    expect(table.map(0, 0, M2, RW)).toBe(false);
    expect([table.lookup(0x1000), table.lookup(0x3000), table.mappedBytes, table.tables]).toEqual([
      NOT_MAPPED,
      0x9000,
      K4,
      tables,
    ]);
  });

  test('unmaps to the first hole', () => {
    const table = new PageTable(48, ALL);
    table.map(0x1000, 0x1000, K4, RW);
    table.map(0x3000, 0x3000, K4, RW);
    expect(table.unmap(0x1000, 3 * K4)).toBe(K4);
    expect([table.unmap(0x1000, K4), table.lookup(0x3000)]).toEqual([0, 0x3000]);
  });

  test('never unmaps more than asked: a larger page that the range cuts stays', () => {
    const table = new PageTable(48, ALL);
    table.map(M2 - K4, 8 * M2 - K4, K4 + M2, RW);
    expect(table.unmap(M2 - K4, 2 * K4)).toBe(K4);
    expect(table.unmap(M2 + K4, M2)).toBe(0);
    expect(table.lookup(M2)).toBe(8 * M2);
    expect(table.unmap(M2, M2)).toBe(M2);
  });

  test('uses tables again that have become empty', () => {
    const table = new PageTable(48, ALL);
    for (let n = 0; n < 5000; n++) {
      table.map(n * G1, 0, K4, RW);
      expect(table.unmap(n * G1, K4)).toBe(K4);
    }
    expect(table.tables).toBe(1);
    // A large page fits where small ones were.
    table.map(M2, 0, K4, RW);
    table.unmap(M2, K4);
    expect(table.map(0, 0, G1, RW)).toBe(true);
    expect(table.pageBytes(M2)).toBe(G1);
  });

  test('lists what is mapped, neighbours as one', () => {
    const table = new PageTable(48, ALL);
    table.map(0x1000, 0x5000, 2 * K4, RW);
    table.map(0x3000, 0x7000, K4, PROT.READ);
    table.map(M2, M2, M2 + K4, RW);
    expect([...table.ranges()]).toEqual([
      { iova: 0x1000, paddr: 0x5000, sizeBytes: 2 * K4, prot: RW },
      { iova: 0x3000, paddr: 0x7000, sizeBytes: K4, prot: PROT.READ },
      { iova: M2, paddr: M2, sizeBytes: M2 + K4, prot: RW },
    ]);
    table.clear();
    expect([[...table.ranges()].length, table.tables, table.mappedBytes]).toEqual([0, 1, 0]);
  });

  test('needs pages of 4 KiB', () => {
    expect(() => new PageTable(48, [M2])).toThrow(/^EOPNOTSUPP/);
  });

  test('agrees with a list of pages, whatever is mapped and unmapped', () => {
    const page = fc.integer({ min: 0, max: 1600 });
    const step = fc.record({
      isMap: fc.boolean(),
      at: page,
      to: page,
      count: fc.constantFrom(1, 2, 3, 511, 512, 513, 600, 1024),
    });
    const check = fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const table = new PageTable(33, ALL);
      const pages = new Map<number, number>();
      for (const { isMap, at, to, count } of steps) {
        if (isMap) {
          const isFree = !Array.from({ length: count }, (_, i) => pages.has(at + i)).includes(true);
          expect(table.map(at * K4, to * K4, count * K4, RW)).toBe(isFree);
          if (isFree) for (let i = 0; i < count; i++) pages.set(at + i, to + i);
          continue;
        }
        const done = table.unmap(at * K4, count * K4) / K4;
        expect(done).toBeLessThanOrEqual(count);
        for (let i = 0; i < done; i++) expect(pages.delete(at + i)).toBe(true);
        // It has stopped at a hole, or at a large page.
        if (done < count) expect(!pages.has(at + done) || table.pageBytes((at + done) * K4) === M2).toBe(true);
      }
      expect(table.mappedBytes).toBe(pages.size * K4);
      for (let n = 0; n < 2700; n++) {
        const to = pages.get(n);
        if (table.walk(n * K4 + 1, true) !== (to === undefined ? NOT_MAPPED : to * K4 + 1)) throw new Error(`page ${n}`);
      }
      for (const [n] of pages) table.unmap(n * K4, table.pageBytes(n * K4));
      expect([table.tables, table.mappedBytes]).toEqual([1, 0]);
    });
    fc.assert(check, { seed: 1, numRuns: 60 });
  });
});
