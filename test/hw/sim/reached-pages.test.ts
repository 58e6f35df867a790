import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DmaPath } from '../../../hw/sim/dma-path.js';
import { Journal } from '../../../hw/sim/journal.js';
import { A, B, PAGE, Pages, byte, faults, setUp } from './iommu-fixture.js';

const MASTER = 0x04;
const LARGE = 2 ** 18;
const MASK = 2 ** 40;

/** What was refused without an IOMMU: address, reason. */
const refused = ({ machine }: ReturnType<typeof setUp>) => machine.dmaFaults.map(({ address, reason }) => [address, reason]);

describe.each([
  ['a page', PAGE],
  ['many pages', 4 * LARGE],
])('memory of %s that a device has reached', (_what, sizeBytes) => {
  const reached = () => {
    const s = setUp({ iommu: false });
    const address = s.machine.dma.alloc(sizeBytes, { mask: MASK });
    for (let n = 0; n < 3; n++) expect([s.a.write32(address, 7), s.a.read32(address), byte(s.a, address)]).toEqual([true, 7, 7]);
    return { ...s, address };
  };

  test('is reached no more without being noticed, once it is freed', () => {
    const s = reached();
    s.machine.dma.free(s.address);
    s.a.write32(s.address, 8);
    s.a.read32(s.address);
    byte(s.a, s.address);
    s.a.write(s.address, new Uint8Array(4), 0, 4);
    expect(s.a.peek!(s.address, 4, true)).toBeUndefined();
    expect(refused(s)).toEqual(Array.from({ length: 4 }, () => [s.address, 'unallocated']));
  });

  test('is what was allocated there since', () => {
    const s = reached();
    s.machine.dma.free(s.address);
    const again = s.machine.dma.alloc(sizeBytes, { mask: MASK });
    expect([again, s.a.read32(again)]).toEqual([s.address, 0]);
    s.a.write32(again, 9);
    expect(s.machine.dma.view(again, 4)[0]).toBe(9);
  });

  test('is not reached by one that may not, or is gone', () => {
    const s = reached();
    const config = s.machine.pci[0]!.config(0, A);
    const command = config.read16(MASTER);
    config.write16(MASTER, command & ~4);
    expect([s.a.read32(s.address), s.a.write32(s.address, 1), s.a.peek!(s.address, 4, false)]).toEqual([
      0xffff_ffff,
      false,
      undefined,
    ]);
    config.write16(MASTER, command);
    expect(s.a.read32(s.address)).toBe(7);
    s.machine.yank('00:04.0');
    expect([s.a.read32(s.address), s.a.write32(s.address, 1), s.a.peek!(s.address, 4, false)]).toEqual([
      0xffff_ffff,
      false,
      undefined,
    ]);
    expect(s.machine.dma.view(s.address, 4)[0]).toBe(7);
  });

  test('ends where it was allocated', () => {
    const s = reached();
    for (let n = 0; n < 2; n++) s.a.read32(s.address + sizeBytes - 4);
    expect(s.a.peek!(s.address + sizeBytes - 4, 4, false)).toBeDefined();
    expect(s.a.peek!(s.address + sizeBytes - 4, 8, false)).toBeUndefined();
    expect(s.a.peek!(s.address - 4, 8, false)).toBeUndefined();
  });

  test('of addresses and lengths that are none, knows nothing', () => {
    const s = reached();
    const odd: [number, number][] = [[s.address + 0.5, 4], [s.address, 1.5], [s.address, -1], [NaN, 4], [s.address, NaN], [-s.address, 4]]; // prettier-ignore
    for (const [address, length] of odd) expect(s.a.peek!(address, length, false)).toBeUndefined();
    expect(() => s.a.read32(s.address + 2)).toThrow(/EINVAL/);
    expect(() => s.a.read(s.address, new Uint8Array(4), 2, 4)).toThrow(/ERANGE/);
    expect(() => s.a.write(s.address, new Uint8Array(4), -1, 4)).toThrow(/ERANGE/);
  });
});

describe('a translation that was used', () => {
  const PASID = 5;

  test('holds until it is forgotten, for its address space, and for what it allows', () => {
    const s = setUp();
    const table = new Pages().map(0x1000, s.page(0)).map(0x2000, s.page(1), 'r');
    s.unit.setContext(A, table);
    s.unit.setPasidContext(A, PASID, new Pages().map(0x1000, s.page(2)));
    for (let n = 0; n < 3; n++) {
      expect([byte(s.a, 0x1000), byte(s.a, 0x2000), byte(s.a, 0x1000, PASID)]).toEqual([1, 2, 3]);
      expect(s.a.write32(0x2000, 0)).toBe(false);
      expect(s.a.peek!(0x2000, 4, true)).toBeUndefined();
    }
    expect(s.a.peek!(0x1000, 4, false, PASID)!.bytes[s.a.peek!(0x1000, 4, false, PASID)!.offset]).toBe(3);
    table.entries.delete(0x1000);
    s.unit.invalidate(table, 0x1000, PAGE);
    expect([byte(s.a, 0x1000), byte(s.a, 0x2000), byte(s.a, 0x1000, PASID)]).toEqual([0xff, 2, 3]);
    s.unit.setPasidContext(A, PASID, undefined);
    expect([byte(s.a, 0x1000, PASID), s.a.read32(0x1000, PASID)]).toEqual([0xff, 0xffff_ffff]);
    expect(faults(s.machine).slice(-3)).toEqual([
      [0x1000, 'r', 'no-entry'],
      [0x1000, 'r', 'blocked'],
      [0x1000, 'r', 'blocked'],
    ]);
  });

  test('to the same address says nothing of the page beside it', () => {
    const s = setUp({}, 128);
    s.unit.setContext(A, new Pages().map(s.page(64), s.page(64)));
    expect(Array.from({ length: 3 }, () => byte(s.a, s.page(64)))).toEqual([65, 65, 65]);
    expect([byte(s.a, s.page(65)), byte(s.a, s.page(63))]).toEqual([0xff, 0xff]);
  });

  test('is that of who the device is now', () => {
    const { machine, unit, page } = setUp();
    let id = A;
    const fabric = { memory: machine.dma, journal: new Journal(() => 0), iommu: unit };
    const path = new DmaPath('a', fabric, { line: undefined, isMaster: () => true, requesterId: () => id });
    unit.setContext(A, new Pages().map(0x1000, page(0)));
    unit.setContext(B, new Pages().map(0x1000, page(1)).map(0x2000, page(2)));
    expect(Array.from({ length: 3 }, () => byte(path, 0x1000))).toEqual([1, 1, 1]);
    id = B;
    path.requesterChanged();
    expect([byte(path, 0x2000), byte(path, 0x1000)]).toEqual([3, 2]);
  });

  test('of a table that takes it back while it is walked, is not kept', () => {
    const s = setUp();
    const table = new Pages().map(0x1000, s.page(0));
    s.unit.setContext(A, table);
    table.onWalk = (iova) => {
      if (table.walks === 1) s.unit.invalidate(table, iova, 1);
      if (table.walks === 2) table.entries.delete(0x1000);
    };
    byte(s.a, 0x1000);
    s.unit.invalidate(table, 0x1000, PAGE);
    expect(byte(s.a, 0x1000)).toBe(0xff);
  });
});

test('whatever is allocated, freed, read and written between, is as it would be with nothing kept', () => {
  const kind = fc.constantFrom(1, PAGE, 3 * PAGE, LARGE, 3 * LARGE);
  const step = fc.oneof(
    fc.record({ op: fc.constant('alloc' as const), sizeBytes: kind }),
    fc.record({ op: fc.constant('free' as const), which: fc.nat(7) }),
    fc.record({ op: fc.constant('word' as const), which: fc.nat(7), at: fc.nat(4 * LARGE), value: fc.nat() }),
    fc.record({ op: fc.constant('bytes' as const), which: fc.nat(7), at: fc.nat(4 * LARGE), length: fc.nat(300) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { machine, a } = setUp({ iommu: false });
      const live: { address: number; sizeBytes: number; expected: Uint8Array }[] = [];
      let count = 0;
      for (const one of steps) {
        if (one.op === 'alloc') {
          const address = machine.dma.alloc(one.sizeBytes, { mask: MASK });
          live.push({ address, sizeBytes: one.sizeBytes, expected: new Uint8Array(one.sizeBytes) });
          continue;
        }
        const it = live[one.which % live.length];
        if (it === undefined) continue;
        if (one.op === 'free') {
          machine.dma.free(it.address);
          live.splice(live.indexOf(it), 1);
          a.read(it.address, new Uint8Array(1), 0, 1);
          // It may be another's by now: nothing is allocated in between.
          expect(machine.dmaFaults).toHaveLength(++count);
        } else if (one.op === 'word' && it.sizeBytes >= 4) {
          const at = (one.at % it.sizeBytes) & ~3;
          a.write32(it.address + at, one.value);
          new DataView(it.expected.buffer).setUint32(at, one.value, true);
          expect(a.read32(it.address + at)).toBe(one.value >>> 0);
        } else if (one.op === 'bytes') {
          const at = one.at % it.sizeBytes;
          const bytes = Uint8Array.from({ length: Math.min(one.length, it.sizeBytes - at) }, (_, n) => n + at);
          a.write(it.address + at, bytes, 0, bytes.length);
          it.expected.set(bytes, at);
          const back = new Uint8Array(it.sizeBytes);
          a.read(it.address, back, 0, back.length);
          expect(Buffer.compare(back, it.expected)).toBe(0);
        }
      }
      for (const { address, sizeBytes, expected } of live) {
        expect(Buffer.compare(machine.dma.view(address, sizeBytes), expected)).toBe(0);
      }
      expect(machine.dmaFaults).toHaveLength(count);
    }),
    { seed: 1, numRuns: 60 },
  );
});
