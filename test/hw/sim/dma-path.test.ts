import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { A, PAGE, Pages, faults, setUp } from './iommu-fixture.js';

type Pasid = 0 | 1 | 9000;

describe('an access of several pages', () => {
  test('goes where each page is', () => {
    const { unit, a, page, memory } = setUp();
    unit.setContext(A, new Pages().map(0x1000, page(3)).map(0x2000, page(0)).map(0x3000, page(1)));
    const buffer = new Uint8Array(PAGE + 4);
    expect(a.read(0x1ffe, buffer, 0, PAGE + 4)).toBe(true);
    expect([buffer[1], buffer[2], buffer[PAGE + 1], buffer[PAGE + 2]]).toEqual([4, 1, 1, 2]);
    expect(a.write(0x1ffe, Uint8Array.of(7, 8, 9), 0, 3)).toBe(true);
    expect([memory[4 * PAGE - 1], memory[0], memory[1]]).toEqual([8, 9, 1]);
  });

  test('has done what lies before the page that is refused, and is refused once', () => {
    const { machine, unit, a, page, memory } = setUp();
    unit.setContext(A, new Pages().map(0x1000, page(0)).map(0x2000, page(1), 'r').map(0x4000, page(3)));
    const buffer = new Uint8Array(3 * PAGE);
    expect(a.read(0x1000, buffer, 0, 3 * PAGE)).toBe(false);
    expect([buffer[0], buffer[2 * PAGE - 1], buffer[2 * PAGE], buffer[3 * PAGE - 1]]).toEqual([1, 2, 0xff, 0xff]);
    expect(a.write(0x1ffe, new Uint8Array(4), 0, 4)).toBe(false);
    expect([...memory.subarray(PAGE - 3, PAGE + 2)]).toEqual([1, 0, 0, 2, 2]);
    expect(a.copy(0x1000, 0x4000, 2 * PAGE)).toBe(false);
    expect(memory.subarray(3 * PAGE)).toEqual(memory.slice(0, PAGE));
    expect(faults(machine)).toEqual([
      [0x3000, 'r', 'no-entry'],
      [0x2000, 'w', 'permission'],
      [0x5000, 'w', 'no-entry'],
    ]);
  });

  test.each([
    ['forwards', 0x1000, 0x1800],
    ['backwards', 0x1800, 0x1000],
    ['onto itself', 0x1000, 0x1000],
  ])('a copy %s across pages that are not in order moves the bytes', (_what, source, destination) => {
    const { unit, a, page } = setUp();
    unit.setContext(A, new Pages().map(0x1000, page(2)).map(0x2000, page(0)).map(0x3000, page(3)));
    const bytes = Uint8Array.from({ length: 2 * PAGE }, (_, n) => n % 251);
    a.write(source, bytes, 0, bytes.length);
    expect(a.copy(source, destination, bytes.length)).toBe(true);
    const back = new Uint8Array(bytes.length);
    a.read(destination, back, 0, back.length);
    expect(back).toEqual(bytes);
  });

  test('an overlapping copy that is refused has copied as much as both sides let', () => {
    const { machine, unit, a, page, memory } = setUp();
    unit.setContext(A, new Pages().map(0x1000, page(2)).map(0x2000, page(0)));
    expect(a.copy(0x1000, 0x1800, 2 * PAGE)).toBe(false);
    // The upper half of page 0 has got the lower half as it was before.
    expect([memory[2 * PAGE + 0x800], memory[0x7ff], memory[0x800], memory[PAGE - 1]]).toEqual([3, 3, 1, 1]);
    expect(faults(machine)).toEqual([[0x3000, 'w', 'no-entry']]);
  });

  test('reach tells how far it would go, and records nothing', () => {
    const { machine, unit, a, b, page } = setUp();
    unit.setContext(A, new Pages().map(0x1000, page(2)).map(0x2000, page(0), 'r').map(0x3000, 0xd000_0000));
    expect([a.reach(0x1800, 0x100, true), a.reach(0x1800, 0x1000, true), a.reach(0x1800, 0x9000, false)]).toEqual([
      0x100, 0x800, 0x1800,
    ]);
    expect([a.reach(0, 8, false), a.reach(-1, 8, false), a.reach(0x1000, 8, false, 1)]).toEqual([0, 0, 0]);
    const end = machine.dma.sizeBytes;
    expect([b.reach(end - 8, 16, true), b.reach(end, 16, true), b.reach(0, 0, true)]).toEqual([8, 0, 0]);
    expect([machine.iommuFaults, machine.dmaFaults]).toEqual([[], []]);
  });
});

describe('against a model that translates byte by byte', () => {
  const FRAMES = 6;
  const SPAN = 8;
  const place = fc.record({ offset: fc.nat(SPAN * PAGE - 1), length: fc.nat(3 * PAGE) });
  const who = fc.constantFrom(0 as const, 1 as const, 9000 as const);
  const step = fc.oneof(
    fc.record({
      op: fc.constant('map' as const),
      pasid: who,
      page: fc.nat(SPAN - 1),
      access: fc.constantFrom('r' as const, 'rw' as const),
    }),
    fc.record({
      op: fc.constant('unmap' as const),
      pasid: who,
      page: fc.nat(SPAN - 1),
      count: fc.integer({ min: 1, max: SPAN }),
    }),
    fc.record({ op: fc.constant('read' as const), pasid: who, at: place }),
    fc.record({ op: fc.constant('write' as const), pasid: who, at: place, value: fc.nat(255) }),
    fc.record({ op: fc.constant('copy' as const), pasid: who, at: place, to: fc.nat(SPAN * PAGE - 1) }),
  );

  test('reads, writes, copies and faults are the same, whatever is mapped and unmapped between them', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const { machine, unit, a, memory, page } = setUp({}, FRAMES * 3);
        const start = 0xfed0_0000;
        const tables = { 0: new Pages(), 1: new Pages(), 9000: new Pages() };
        unit.setContext(A, tables[0]);
        for (const pasid of [1, 9000] as const) unit.setPasidContext(A, pasid, tables[pasid]);
        const expected = memory.slice();
        const expectedFaults: [number, string, string][] = [];
        /** Where a byte is in `memory`; undefined and recorded where it cannot be reached. */
        const locate = (pasid: Pasid, iova: number, isWrite: boolean): number | undefined => {
          const entry = tables[pasid].entries.get(iova - (iova % PAGE));
          if (entry?.access.includes(isWrite ? 'w' : 'r') === true) return entry.physical - page(0) + (iova % PAGE);
          expectedFaults.push([iova, isWrite ? 'w' : 'r', entry === undefined ? 'no-entry' : 'permission']);
          return undefined;
        };
        let next = 0;
        for (const one of steps) {
          const table = tables[one.pasid];
          if (one.op === 'map') {
            const iova = start + one.page * PAGE;
            if (table.entries.has(iova)) continue;
            // Each page is mapped once in its table, so that a copy does not depend on the order of its steps.
            const used = new Set([...table.entries.values()].map(({ physical }) => physical));
            while (used.has(page(next % (FRAMES * 3)))) next++;
            table.map(iova, page(next++ % (FRAMES * 3)), one.access);
          } else if (one.op === 'unmap') {
            for (let n = one.page; n < one.page + one.count; n++) table.entries.delete(start + n * PAGE);
            unit.invalidate(table, start + one.page * PAGE, one.count * PAGE);
          } else if (one.op === 'read') {
            const buffer = new Uint8Array(one.at.length);
            const wanted = new Uint8Array(one.at.length).fill(0xff);
            let done = 0;
            for (; done < one.at.length; done++) {
              const at = locate(one.pasid, start + one.at.offset + done, false);
              if (at === undefined) break;
              wanted[done] = expected[at]!;
            }
            expect(a.reach(start + one.at.offset, one.at.length, false, one.pasid)).toBe(done);
            expect(a.read(start + one.at.offset, buffer, 0, one.at.length, one.pasid)).toBe(done === one.at.length);
            expect(Buffer.compare(buffer, wanted)).toBe(0);
          } else if (one.op === 'write') {
            const buffer = new Uint8Array(one.at.length).fill(one.value);
            let done = 0;
            for (; done < one.at.length; done++) {
              const at = locate(one.pasid, start + one.at.offset + done, true);
              if (at === undefined) break;
              expected[at] = one.value;
            }
            expect(a.write(start + one.at.offset, buffer, 0, one.at.length, one.pasid)).toBe(done === one.at.length);
          } else {
            const taken: number[] = [];
            const places: number[] = [];
            for (let n = 0; n < one.at.length; n++) {
              const from = locate(one.pasid, start + one.at.offset + n, false);
              const to = from === undefined ? undefined : locate(one.pasid, start + one.to + n, true);
              if (from === undefined || to === undefined) break;
              taken.push(expected[from]!);
              places.push(to);
            }
            for (const [n, to] of places.entries()) expected[to] = taken[n]!;
            const isDone = a.copy(start + one.at.offset, start + one.to, one.at.length, one.pasid);
            expect(isDone).toBe(places.length === one.at.length);
          }
          expect(Buffer.compare(memory, expected)).toBe(0);
        }
        expect(faults(machine)).toEqual(expectedFaults);
        expect([machine.dmaFaults, machine.modelErrors]).toEqual([[], []]);
      }),
      { seed: 1, numRuns: 100 },
    );
  });
});
