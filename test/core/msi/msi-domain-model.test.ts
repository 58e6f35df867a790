import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { MsiMap } from '../../../core/msi/index.js';
import { code, domainScene, indices, msiScene } from './fixture.js';

describe('a domain', () => {
  test('keeps to a model, in whatever order its slots are allocated and freed', () => {
    const size = 12;
    const index = fc.integer({ min: 0, max: size - 1 });
    const step = fc.oneof(
      fc.record({ op: fc.constant('any' as const) }),
      fc.record({ op: fc.constant('at' as const), index }),
      fc.record({ op: fc.constant('in' as const), index, other: index }),
      fc.record({ op: fc.constant('range' as const), index, other: index }),
      fc.record({ op: fc.constant('free' as const), index }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { domain, dev, irqs, platform } = domainScene(size);
        const model = new Map<number, MsiMap>();
        const lowest = (lo: number, hi: number): number | undefined => {
          for (let i = lo; i <= hi; i++) if (!model.has(i)) return i;
          return undefined;
        };
        /** The indices that a step is to give; undefined when there is no room. */
        const expected = (s: (typeof steps)[number]): number[] | undefined => {
          if (s.op === 'free') return [];
          if (s.op === 'any' || s.op === 'at') {
            const found = s.op === 'any' ? lowest(0, size - 1) : lowest(s.index, s.index);
            return found === undefined ? undefined : [found];
          }
          const [lo, hi] = [Math.min(s.index, s.other), Math.max(s.index, s.other)];
          if (s.op === 'range') {
            const all = Array.from({ length: hi - lo + 1 }, (_, n) => lo + n);
            return all.some((i) => model.has(i)) ? undefined : all;
          }
          const found = lowest(lo, hi);
          return found === undefined ? undefined : [found];
        };
        const run = (s: (typeof steps)[number]): MsiMap[] => {
          switch (s.op) {
            case 'any':
              return [domain.alloc()];
            case 'at':
              return [domain.allocAt(s.index)];
            case 'in':
              return [domain.allocIn(Math.min(s.index, s.other), Math.max(s.index, s.other))];
            case 'range':
              return domain.allocRange(Math.min(s.index, s.other), Math.max(s.index, s.other));
            case 'free': {
              const map = model.get(s.index);
              if (map !== undefined) domain.free(map);
              model.delete(s.index);
              return [];
            }
          }
        };
        for (const s of steps) {
          const want = expected(s);
          if (want === undefined) {
            expect(code(() => run(s))).toBe('EBUSY');
          } else {
            const maps = run(s);
            expect(maps.map((map) => map.index)).toEqual(want);
            for (const map of maps) model.set(map.index, map);
          }
          expect(indices(domain)).toEqual([...model.keys()].toSorted((a, b) => a - b));
        }
        for (let i = 0; i < size; i++) expect(domain.lookup(i)).toBe(model.get(i)?.virq ?? 0);
        expect([irqs.list().length, dev.devres.size, platform.matrix!.reserved]).toEqual([
          model.size,
          model.size + 1,
          model.size,
        ]);
      }),
      { seed: 1, numRuns: 200 },
    );
  });
});

describe('a large domain', () => {
  test('fills and empties all 65,536 slots', () => {
    const { ims, dev, irqs } = msiScene({ entries: 65_536 });
    const domain = ims.createDomain(dev, { slots: 0, mask() {}, unmask() {}, writeMsg() {} });
    let last: MsiMap | undefined;
    for (let n = 0; n < 65_536; n++) last = domain.alloc();
    expect([last!.index, domain.count, irqs.core.count]).toEqual([65_535, 65_536, 65_536]);
    expect(code(() => domain.alloc())).toBe('EBUSY');
    domain.freeAll();
    expect([domain.count, irqs.core.count, dev.devres.size]).toEqual([0, 0, 1]);
  });
});
