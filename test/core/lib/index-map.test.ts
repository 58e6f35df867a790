import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IndexMap } from '../../../core/lib/index-map.js';

/** The same without thought. */
class Naive {
  readonly taken = new Set<number>();
  constructor(readonly size: number) {}
  findFree(from: number, to: number): number {
    for (let i = from; i <= to && i < this.size; i++) if (!this.taken.has(i)) return i;
    return -1;
  }
  findFreeRun(count: number, align: number): number {
    for (let start = 0; start + count <= this.size; start += align) {
      let n = 0;
      while (n < count && !this.taken.has(start + n)) n++;
      if (n === count) return start;
    }
    return -1;
  }
}

describe('IndexMap', () => {
  test('gives the lowest free index, also of one given back', () => {
    const map = new IndexMap(4);
    for (const index of [0, 1, 2, 3]) {
      expect(map.findFree()).toBe(index);
      expect(map.take(index)).toBe(true);
    }
    expect(map.findFree()).toBe(-1);
    expect(map.free(1)).toBe(true);
    expect(map.findFree()).toBe(1);
    expect(map.count).toBe(3);
  });

  test('refuses what is taken or outside, and what was not taken', () => {
    const map = new IndexMap(2);
    expect(map.take(0)).toBe(true);
    expect([map.take(0), map.take(2), map.take(-1), map.free(1), map.free(99)]).toEqual([false, false, false, false, false]);
  });

  test('finds the one free index of a million', () => {
    const map = new IndexMap(2 ** 20);
    for (let i = 0; i < 2 ** 20; i++) map.take(i);
    expect(map.findFree()).toBe(-1);
    map.free(777_777);
    expect([map.findFree(), map.findFree(777_777), map.findFree(777_778), map.findTaken(777_777)]).toEqual([
      777_777, 777_777, -1, 777_778,
    ]);
  });

  test.each([-1, 1.5, 2 ** 31 + 1])('a size of %d is ERANGE', (size) => {
    expect(() => new IndexMap(size)).toThrow('ERANGE: index map');
  });

  test('does what a set would do, whatever is taken and given back', () => {
    const step = fc.record({ index: fc.nat(2100), isFree: fc.boolean(), from: fc.nat(2100), span: fc.nat(2100) });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2100 }), fc.array(step, { maxLength: 200 }), fc.nat(2100), (size, steps, filled) => {
        const map = new IndexMap(size);
        const naive = new Naive(size);
        for (let i = 0; i < Math.min(filled, size); i++) {
          map.take(i);
          naive.taken.add(i);
        }
        for (const { index, isFree, from, span } of steps) {
          if (isFree) {
            expect(map.free(index)).toBe(naive.taken.delete(index));
          } else {
            const isNew = index < size && !naive.taken.has(index);
            expect(map.take(index)).toBe(isNew);
            if (isNew) naive.taken.add(index);
          }
          expect(map.findFree(from, from + span)).toBe(naive.findFree(from, from + span));
          const [first] = [...naive.taken].filter((i) => i >= from).sort((a, b) => a - b);
          expect(map.findTaken(from)).toBe(first ?? -1);
          expect(map.count).toBe(naive.taken.size);
        }
        for (const [count, align] of [
          [1, 1],
          [4, 4],
          [7, 1],
          [32, 32],
        ] as const) {
          expect(map.findFreeRun(count, align)).toBe(naive.findFreeRun(count, align));
        }
      }),
      { seed: 1, numRuns: 100 },
    );
  });
});
