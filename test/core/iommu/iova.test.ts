import { describe, expect, test } from 'vitest';
import { IovaSpace, orderOf } from '../../../core/iommu/iova.js';
import { Random } from '../../../core/lib/index.js';

const LOW = 2 ** 32 - 1;

describe('orderOf', () => {
  test.each([
    [1, 0],
    [2, 1],
    [3, 2],
    [4, 2],
    [5, 3],
    [2 ** 31, 31],
    [2 ** 31 + 1, 32],
    [2 ** 40, 40],
    [2 ** 40 + 1, 41],
  ])('of %d is %d', (count, order) => expect(orderOf(count)).toBe(order));
});

describe('IovaSpace', () => {
  test('goes down from the top of the mask', () => {
    const space = new IovaSpace(48);
    expect([0, 0, 0].map(() => space.alloc(4096, LOW))).toEqual([0xffff_f000, 0xffff_e000, 0xffff_d000]);
    expect(space.alloc(4096, 2 ** 28 - 1)).toBe(0x0fff_f000);
    expect(space.alloc(4096, 2 ** 53 - 1)).toBe(2 ** 48 - 4096);
    expect(space.takenBytes).toBe(5 * 4096);
  });

  test('aligns a range to the power of two that its length rounds up to, and rounds small ones', () => {
    const space = new IovaSpace(32);
    expect(space.alloc(4096, LOW)).toBe(0xffff_f000);
    // 3 granules take 4.
    expect(space.alloc(3 * 4096, LOW)).toBe(0xffff_8000);
    expect(space.takenBytes).toBe(5 * 4096);
    // 33 granules take 33, aligned to 64; what the block is longer than they stays free.
    expect(space.alloc(33 * 4096, LOW)).toBe(0xfff8_0000);
    expect(space.alloc(2 * 4096, LOW)).toBe(0xffff_c000);
    expect(space.alloc(16 * 4096, LOW)).toBe(0xfffe_0000);
    expect(space.alloc(32 * 4096, LOW)).toBe(0xfffc_0000);
    expect(space.alloc(16 * 4096, LOW)).toBe(0xfffb_0000);
    expect(space.alloc(4096, LOW, 2 ** 20)).toBe(0xffe0_0000);
  });

  test('uses the short range again that was given back last, within the mask', () => {
    const space = new IovaSpace(32);
    const taken = Array.from({ length: 8 }, () => space.alloc(4096, LOW));
    const low = space.alloc(4096, 0xffff_ffff >>> 8);
    for (const at of [taken[2]!, low, taken[5]!]) space.free(at, 4096);
    expect(space.alloc(4096, 0xffff_ffff >>> 8)).toBe(low);
    expect(space.alloc(2 * 4096, LOW)).toBe(0xffff_6000);
    expect([0, 0, 0].map(() => space.alloc(4096, LOW))).toEqual([taken[5], taken[2], 0xffff_5000]);
  });

  test('joins what was given back when a longer range needs it, however much that is', () => {
    const space = new IovaSpace(24);
    const all: number[] = [];
    for (let at = space.alloc(4096, LOW); at !== -1; at = space.alloc(4096, LOW)) all.push(at);
    expect(all.length).toBe(4095);
    for (const at of all) space.free(at, 4096);
    expect(space.alloc(2 ** 23, LOW)).toBe(2 ** 23);
  });

  test('never hands out 0, nor what is reserved', () => {
    const space = new IovaSpace(16);
    space.reserve(0x4800, 0x100);
    space.reserve(0xe000, 2 ** 20);
    const all: number[] = [];
    for (let at = space.alloc(4096, LOW); at !== -1; at = space.alloc(4096, LOW)) all.push(at / 4096);
    expect(all).toEqual([13, 12, 11, 10, 9, 8, 7, 6, 5, 3, 2, 1]);
    expect(() => space.reserve(-1, 4096)).toThrow('ERANGE');
    expect(() => space.reserve(0, 0)).toThrow('ERANGE');
  });

  test('has no range that is as long as the mask', () => {
    const space = new IovaSpace(48);
    expect(space.alloc(2 ** 28, 2 ** 28 - 1)).toBe(-1);
    expect(space.alloc(2 ** 40, LOW)).toBe(-1);
    expect(space.alloc(2 ** 27, 2 ** 28 - 1)).toBe(2 ** 27);
    expect(space.alloc(2 ** 27, 2 ** 28 - 1)).toBe(-1);
  });

  test.each([12, 65, 20.5])('refuses addresses of %d bits', (bits) => {
    expect(() => new IovaSpace(bits)).toThrow('ERANGE: iova: addresses of');
  });

  test('agrees with a list of granules, whatever comes and goes', () => {
    const random = new Random(1);
    const bits = 20;
    const space = new IovaSpace(bits);
    const isTaken = new Array<boolean>(2 ** (bits - 12)).fill(false);
    isTaken[0] = true;
    const live: { at: number; size: number; count: number }[] = [];
    for (let step = 0; step < 20_000; step++) {
      if (live.length > 0 && random.below(2) === 0) {
        const [{ at, size, count }] = live.splice(random.below(live.length), 1) as [(typeof live)[number]];
        space.free(at * 4096, size);
        isTaken.fill(false, at, at + count);
        continue;
      }
      const granules = 1 + random.below(random.below(4) === 0 ? 60 : 4);
      const count = granules < 32 ? 2 ** orderOf(granules) : granules;
      const align = 2 ** orderOf(count);
      const maskBits = 13 + random.below(8);
      const got = space.alloc(granules * 4096, 2 ** maskBits - 1);
      if (got === -1) {
        // There is none: every place of the alignment has something in it.
        const end = Math.min(2 ** (maskBits - 12), isTaken.length);
        for (let at = 0; at + align <= end; at += align) expect(isTaken.slice(at, at + align)).toContain(true);
        continue;
      }
      const at = got / 4096;
      expect([got % (align * 4096), got + count * 4096 <= 2 ** maskBits]).toEqual([0, true]);
      expect(isTaken.slice(at, at + count)).not.toContain(true);
      isTaken.fill(true, at, at + count);
      live.push({ at, size: granules * 4096, count });
    }
    expect(space.takenBytes).toBe((isTaken.filter(Boolean).length - 1) * 4096);
    for (const { at, size } of live) space.free(at * 4096, size);
    expect([space.takenBytes, space.alloc(2 ** 19, 2 ** 20 - 1)]).toEqual([0, 2 ** 19]);
  });
});
