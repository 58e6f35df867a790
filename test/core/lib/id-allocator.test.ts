import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IdAllocator } from '../../../core/lib/id-allocator.js';

describe('IdAllocator', () => {
  test('refuses when its range is in use, and says how large it is', () => {
    const ids = new IdAllocator('vectors', 32, 33);
    expect([ids.alloc(), ids.alloc(), ids.size]).toEqual([32, 33, 2]);
    expect(() => ids.alloc()).toThrow('ENOSPC: vectors: all 2 ids from 32 are in use');
    ids.free(32);
    expect(ids.alloc()).toBe(32);
  });

  test('takes back only what it gave', () => {
    const ids = new IdAllocator('x');
    ids.alloc();
    ids.free(0);
    for (const bad of [0, 1, -1]) expect(() => ids.free(bad)).toThrow(`ENOENT: x: id ${bad} is not in use`);
  });

  test('always gives the lowest free id, as a set would', () => {
    const step = fc.oneof(fc.constant(undefined), fc.nat(30));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const ids = new IdAllocator('x', 3, 24);
        const used = new Set<number>();
        for (const pick of steps) {
          if (pick !== undefined) {
            if (used.delete(pick)) ids.free(pick);
            else expect(() => ids.free(pick)).toThrow('ENOENT');
          } else {
            let lowest = 3;
            while (used.has(lowest)) lowest++;
            if (lowest > 24) {
              expect(() => ids.alloc()).toThrow('ENOSPC');
            } else {
              expect(ids.alloc()).toBe(lowest);
              used.add(lowest);
            }
          }
          expect(ids.size).toBe(used.size);
        }
      }),
      { seed: 1, numRuns: 300 },
    );
  });
});
