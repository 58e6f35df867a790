import { expect, test } from 'vitest';
import { Random } from '../../../core/lib/random.js';

test('the same seed gives the same sequence, and another seed another', () => {
  const take = (seed?: number): number[] => {
    const random = new Random(seed);
    return Array.from({ length: 4 }, () => random.next32());
  };
  expect(take()).toEqual(take(1));
  expect(take(2)).not.toEqual(take(1));
  expect(take(2 ** 32 + 1)).toEqual(take(1));
});

test('the sequence of seed 1 is the same on every machine', () => {
  const random = new Random(1);
  expect([random.next32(), random.next32(), random.next32()]).toEqual([1_580_013_426, 350_525_680, 3_524_174_333]);
});

test('below stays below its limit and reaches every value', () => {
  const random = new Random(7);
  const seen = new Set<number>();
  for (let i = 0; i < 1000; i++) seen.add(random.below(10));
  expect([...seen].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(random.below(1)).toBe(0);
  expect(random.below(2 ** 32)).toBeLessThan(2 ** 32);
});
