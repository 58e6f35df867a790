import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NumberTable } from '../../../core/lib/number-table.js';

describe('NumberTable', () => {
  test('keeps what belongs to a number until it is deleted', () => {
    const table = new NumberTable<string>();
    expect(table.add(0x1_0000, 'a')).toBe(true);
    expect(table.add(0x1_0000, 'b')).toBe(false);
    expect([table.get(0x1_0000), table.get(0x2_0000), table.size]).toEqual(['a', undefined, 1]);
    expect([table.delete(0x1_0000), table.delete(0x1_0000), table.size]).toEqual([true, false, 0]);
  });

  test('does what a Map would do, for close numbers, far ones and multiples of 65,536', () => {
    const key = fc.oneof(
      fc.nat(40),
      fc.integer({ min: 0xfffe, max: 0x1_0001 }),
      fc.nat(200).map((n) => n * 0x1_0000),
      fc.integer({ min: 2 ** 32, max: 2 ** 32 + 40 }),
    );
    fc.assert(
      fc.property(fc.array(fc.record({ key, isDelete: fc.boolean() }), { maxLength: 400 }), (steps) => {
        const table = new NumberTable<number>();
        const map = new Map<number, number>();
        for (const [n, { key: at, isDelete }] of steps.entries()) {
          if (isDelete) {
            expect(table.delete(at)).toBe(map.delete(at));
          } else {
            expect(table.add(at, n)).toBe(!map.has(at));
            if (!map.has(at)) map.set(at, n);
          }
          for (const other of map.keys()) expect(table.get(other)).toBe(map.get(other));
          expect(table.size).toBe(map.size);
        }
        expect(new Map(table.entries())).toEqual(map);
      }),
      { seed: 1, numRuns: 200 },
    );
  });
});
