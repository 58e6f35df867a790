import { describe, expect, test } from 'vitest';
import { ResourceTree } from '../../../core/platform/index.js';
import { Random } from '../../../core/lib/random.js';
import { errno } from '../device/conformance/fixture.js';

const mem = (start: number, sizeBytes: number) => ({ kind: 'mem', start, sizeBytes }) as const;

describe('resource tree', () => {
  test('ranges that touch do not overlap', () => {
    const tree = new ResourceTree('mem');
    tree.claim(mem(0x1000, 0x100), 'a');
    tree.claim(mem(0x1100, 0x100), 'b');
    tree.claim(mem(0x0f00, 0x100), 'c');
    expect([0xfff, 0x1000, 0x10ff, 0x1100, 0x1200].map((at) => tree.ownerAt(at))).toEqual(['c', 'a', 'a', 'b', undefined]);
  });

  test('a range that coincides with another or overlaps it in part is refused by name', () => {
    const tree = new ResourceTree('mem');
    tree.claim(mem(0x1000, 0x100), 'a');
    for (const [start, size] of [
      [0x1000, 0x100],
      [0x0f80, 0x100],
      [0x10ff, 0x2],
    ] as const) {
      expect(errno(() => void tree.claim(mem(start, size), 'b'))).toBe('-EBUSY');
    }
    expect(() => tree.claim(mem(0x1080, 0x100), 'b')).toThrow('EBUSY: b: mem 0x1080..0x117f overlaps 0x1000..0x10ff of a');
  });

  test('a range may lie inside another, whichever came first, and stays when that goes', () => {
    const tree = new ResourceTree('mem');
    tree.claim(mem(0x1010, 0x10), 'inner');
    const outer = tree.claim(mem(0x1000, 0x100), 'outer');
    tree.claim(mem(0x1018, 0x4), 'innermost');
    expect([0x1000, 0x1010, 0x1018, 0x1020].map((at) => tree.ownerAt(at))).toEqual(['outer', 'inner', 'innermost', 'outer']);
    expect(errno(() => void tree.claim(mem(0x101c, 0x10), 'x'))).toBe('-EBUSY');
    tree.release(outer);
    expect([0x1000, 0x1010, 0x1018].map((at) => tree.ownerAt(at))).toEqual([undefined, 'inner', 'innermost']);
  });

  test('what is no range is refused', () => {
    const tree = new ResourceTree('mem');
    for (const [start, size] of [
      [-1, 4],
      [0, 0],
      [0.5, 4],
      [Number.MAX_SAFE_INTEGER, 4],
    ] as const) {
      expect(errno(() => void tree.claim(mem(start, size), 'x'))).toBe('-EINVAL');
    }
  });

  test('agrees with a plain list of ranges on 2,000 random claims and releases', () => {
    const random = new Random(1);
    const tree = new ResourceTree('mem');
    const held: { start: number; end: number; claim: ReturnType<ResourceTree['claim']> }[] = [];
    for (let i = 0; i < 2_000; i++) {
      if (held.length > 0 && random.below(3) === 0) {
        const [gone] = held.splice(random.below(held.length), 1);
        tree.release(gone!.claim);
        continue;
      }
      const start = random.below(200);
      const end = start + 1 + random.below(20);
      const clashes = held.some((h) => {
        const apart = h.end <= start || end <= h.start;
        const within = (h.start <= start && end <= h.end) || (start <= h.start && h.end <= end);
        return !apart && (!within || (h.start === start && h.end === end));
      });
      const result = errno(() => {
        held.push({ start, end, claim: tree.claim(mem(start, end - start), `${start}-${end}`) });
      });
      expect(result).toBe(clashes ? '-EBUSY' : undefined);
    }
    for (let at = 0; at < 220; at++) {
      const around = held.filter((h) => h.start <= at && at < h.end).sort((x, y) => x.end - x.start - (y.end - y.start))[0];
      expect(tree.ownerAt(at)).toBe(around && `${around.start}-${around.end}`);
    }
  });
});
