import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BitTree } from '../../../hw/sim/bit-tree.js';
import { PageAllocator } from '../../../hw/sim/page-allocator.js';

describe('BitTree', () => {
  test('it finds the lowest member of any set', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.array(fc.tuple(fc.nat(4999), fc.boolean())), (size, steps) => {
        const tree = new BitTree(size);
        const members = new Set<number>();
        for (const [raw, isAdd] of steps) {
          const index = raw % size;
          if (isAdd) tree.add(index);
          else tree.delete(index);
          if (isAdd) members.add(index);
          else members.delete(index);
          expect(tree.first()).toBe(members.size === 0 ? -1 : Math.min(...members));
          expect(tree.has(index)).toBe(isAdd);
        }
      }),
      { seed: 1 },
    );
  });
});

describe('PageAllocator', () => {
  test('blocks are aligned, inside the ranges, below the limit and never overlap, and all comes back', () => {
    const step = fc.record({ order: fc.nat(4), end: fc.integer({ min: 1, max: 400 }), free: fc.boolean(), pick: fc.nat() });
    fc.assert(
      fc.property(fc.nat(63), fc.integer({ min: 64, max: 300 }), fc.array(step, { maxLength: 60 }), (start, end, steps) => {
        const pages = new PageAllocator([{ start, end }]);
        const live: { page: number; order: number }[] = [];
        for (const { order, end: limit, free, pick } of steps) {
          if (free && live.length > 0) {
            const [gone] = live.splice(pick % live.length, 1);
            pages.free(gone!.page, gone!.order);
            continue;
          }
          const size = 2 ** order;
          const page = pages.alloc(order, size, limit);
          const isTaken = (p: number): boolean => live.some((one) => p >= one.page && p < one.page + 2 ** one.order);
          // The aligned runs of that size below the limit that are free now: one of them, or none when there is none.
          const possible: number[] = [];
          for (let p = Math.ceil(start / size) * size; p + size <= Math.min(end, limit); p += size) {
            if (!Array.from({ length: size }, (_, i) => isTaken(p + i)).includes(true)) possible.push(p);
          }
          expect(possible.length === 0 ? [-1] : possible).toContain(page);
          if (page >= 0) live.push({ page, order });
        }
        for (const { page, order } of live) pages.free(page, order);
        const all = Array.from({ length: end - start }, () => pages.alloc(0, 1, end));
        expect(all.toSorted((a, b) => a - b)).toEqual(Array.from({ length: end - start }, (_, i) => start + i));
        expect(pages.alloc(0, 1, end)).toBe(-1);
      }),
      { seed: 1 },
    );
  });
});
