import { describe, expect, test } from 'vitest';
import { Bitmap, formatRanges, lowestBit } from '../../../core/irq/bitmap.js';

describe('Bitmap', () => {
  test('has the bits that were set and not cleared, across words', () => {
    const map = new Bitmap(70);
    for (const bit of [0, 31, 32, 69]) map.set(bit);
    map.clear(32);
    map.clear(33);
    expect([map.words, map.list(), map.has(31), map.has(32)]).toEqual([3, [0, 31, 69], true, false]);
    expect([map.word(0) >>> 0, map.word(1), map.word(2)]).toEqual([0x8000_0001, 0, 0x20]);
  });
});

test('lowestBit finds the lowest bit of a word, its sign too', () => {
  expect([1, 0b1100, 1 << 31, -1].map(lowestBit)).toEqual([0, 2, 31, 0]);
});

test('formatRanges joins neighbours into ranges', () => {
  expect([[], [5], [0, 1], [0, 2, 3, 4, 9]].map(formatRanges)).toEqual(['', '5', '0-1', '0,2-4,9']);
});
