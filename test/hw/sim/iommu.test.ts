import { describe, expect, test } from 'vitest';
import type { IommuFault, IommuPageRequest } from '../../../core/hal/index.js';
import { Machine, type SimIommu } from '../../../hw/sim/index.js';
import { platformScratch } from './fixture.js';
import { A, B, ONES, PAGE, Pages, byte, faults, setUp } from './iommu-fixture.js';

describe('which context an access meets', () => {
  test('devices without one reach memory as it is, and so do those with identity', () => {
    const { machine, unit, a, b, page } = setUp();
    unit.setContext(B, 'identity');
    unit.setPasidContext(B, 3, 'identity');
    expect([byte(a, page(1)), byte(b, page(1)), byte(b, page(2), 3)]).toEqual([2, 2, 3]);
    expect(b.write32(0x40_0000, 1, 3)).toBe(true);
    expect([machine.iommuFaults, machine.dmaFaults.map(({ reason }) => reason)]).toEqual([[], ['unallocated']]);
  });

  test('the same address is another page for each device and each PASID, and 0 is none', () => {
    const { machine, unit, a, b, page } = setUp();
    unit.setContext(A, new Pages().map(0x1000, page(0)));
    unit.setContext(B, new Pages().map(0x1000, page(1)));
    unit.setPasidContext(A, 1, new Pages().map(0x1000, page(2)));
    unit.setPasidContext(A, 2 ** 20 - 1, new Pages().map(0x1000, page(3)));
    for (let again = 0; again < 2; again++) {
      const read = [byte(a, 0x1000), byte(b, 0x1000), byte(a, 0x1000, 1), byte(a, 0x1000, 2 ** 20 - 1), byte(a, 0x1000, 0)];
      expect(read).toEqual([1, 2, 3, 4, 1]);
    }
    expect(machine.iommuFaults).toEqual([]);
  });

  test('a PASID that nobody has set is refused, on every device', () => {
    const { machine, unit, a, b } = setUp();
    unit.setPasidContext(A, 1, 'identity');
    unit.setPasidContext(A, 1, undefined);
    for (const [dma, pasid] of [
      [a, 1],
      [a, 2],
      [a, 4096],
      [b, 1],
    ] as const)
      expect(dma.read32(0x1000, pasid)).toBe(ONES);
    expect(machine.iommuFaults.map(({ who, pasid, reason }) => [who, pasid, reason])).toEqual([
      ['0000:00:04.0', 1, 'blocked'],
      ['0000:00:04.0', 2, 'blocked'],
      ['0000:00:04.0', 4096, 'blocked'],
      ['0000:00:05.0', 1, 'no-context'],
    ]);
  });

  test('a context that is taken away leaves memory as it is; a table that comes back is walked anew', () => {
    const { unit, a, page } = setUp();
    const table = new Pages().map(0x1000, page(0));
    unit.setContext(A, table);
    expect(byte(a, 0x1000)).toBe(1);
    unit.setContext(A, undefined);
    expect(byte(a, page(3))).toBe(4);
    table.map(0x1000, page(1));
    unit.setContext(A, table);
    expect(byte(a, 0x1000)).toBe(2);
  });

  test('a table that two devices use, stays known while one of them does, and can be invalidated', () => {
    const { unit, a, b, page } = setUp();
    const table = new Pages().map(0x1000, page(0));
    unit.setContext(A, table);
    unit.setContext(B, table);
    expect([byte(a, 0x1000), byte(b, 0x1000), table.walks]).toEqual([1, 1, 1]);
    unit.setContext(A, 'blocked');
    expect([byte(a, 0x1000), byte(b, 0x1000), table.walks]).toEqual([0xff, 1, 1]);
    table.map(0x1000, page(1));
    unit.invalidate(table, 0x1000, PAGE);
    expect(byte(b, 0x1000)).toBe(2);
  });

  test('a platform device has the requester id of its messages', () => {
    const kind = platformScratch();
    const machine = new Machine({ devices: [{ at: 0xfed0_0000, model: kind }] });
    machine.iommu!.setContext(machine.requesterId(0xfed0_0000)!, 'blocked');
    expect(kind.made[0]!.context.dma.read32(0x10_0000)).toBe(ONES);
    expect(machine.iommuFaults).toMatchObject([{ who: '0xfed00000', requesterId: 0xff00, reason: 'blocked' }]);
  });

  test('on a machine without IOMMU a PASID is refused', () => {
    const { machine, a, page } = setUp({ iommu: false });
    expect([machine.iommu, byte(a, page(1)), byte(a, page(1), 1), a.reach(page(1), 8, false, 1)]).toEqual([
      undefined,
      2,
      0xff,
      0,
    ]);
    expect(machine.dmaFaults).toMatchObject([{ kind: 'read', reason: 'pasid' }]);
  });

  test('what cannot be throws', () => {
    const { unit } = setUp();
    expect(() => unit.setContext(0x1_0000, 'blocked')).toThrow(/^ERANGE: iommu: requester id is 65536/);
    expect(() => unit.setPasidContext(A, 0, 'blocked')).toThrow(/^ERANGE: iommu: pasid is 0, must be an integer of 1 to 1048575/);
    expect(() => unit.invalidate(new Pages(), -1, 1)).toThrow(/^ERANGE: iommu: iova/);
    expect(() => new Machine({ iommu: { pasidBits: 21 } })).toThrow(/^ERANGE: sim: pasidBits/);
    expect(() => new Machine({ iommu: { addressBits: 31 } })).toThrow(/^ERANGE: sim: addressBits/);
    const { iommu } = new Machine({ iommu: { pasidBits: 0 } });
    expect(() => iommu!.setPasidContext(A, 1, 'identity')).toThrow('EOPNOTSUPP: iommu: knows no PASIDs');
    expect(() => new Machine({ iommu: { pasidBits: 4 } }).iommu!.setPasidContext(A, 16, 'identity')).toThrow(/^ERANGE/);
  });
});

describe('what is refused', () => {
  test('it is recorded, told and logged with device, PASID, address and reason; reads give all ones, writes change nothing', () => {
    const { machine, unit, a, memory, page } = setUp();
    const heard: IommuFault[] = [];
    const listening = unit.onFault((fault) => heard.push(fault));
    unit.setPasidContext(A, 5, new Pages().map(0x1000, page(0), 'r').map(0x2000, page(1), 'w'));
    machine.elapse(7);
    const buffer = new Uint8Array(6);
    expect([a.write(0x1010, Uint8Array.of(9, 9), 0, 2, 5), a.write32(0x1010, 9, 5), memory[0x10]]).toEqual([false, false, 1]);
    expect([a.read(0x2020, buffer, 1, 4, 5), ...buffer]).toEqual([false, 0, 0xff, 0xff, 0xff, 0xff, 0]);
    listening.dispose();
    expect([a.read32(0x2020, 5), a.read32(0x3000, 5)]).toEqual([ONES, ONES]);
    const common = { who: '0000:00:04.0', requesterId: A, pasid: 5, timeUs: 7 };
    const expected = [
      { ...common, iova: 0x1010, isWrite: true, reason: 'permission' },
      { ...common, iova: 0x1010, isWrite: true, reason: 'permission' },
      { ...common, iova: 0x2020, isWrite: false, reason: 'permission' },
      { ...common, iova: 0x2020, isWrite: false, reason: 'permission' },
      { ...common, iova: 0x3000, isWrite: false, reason: 'no-entry' },
    ];
    expect([machine.iommuFaults, heard, machine.dmaFaults]).toEqual([expected, expected.slice(0, 3), []]);
  });

  test('only the last 1,000 are kept', () => {
    const { machine, unit, a } = setUp();
    unit.setContext(A, 'blocked');
    for (let n = 0; n < 1001; n++) a.read32(n * 4);
    expect([machine.iommuFaults.length, machine.iommuFaults[0]!.iova]).toEqual([1000, 4]);
  });

  test('a page known for reads is asked about writes', () => {
    const { machine, unit, a, page } = setUp();
    unit.setContext(A, new Pages().map(0x1000, page(0), 'r'));
    expect([byte(a, 0x1000), a.write32(0x1000, 0)]).toEqual([1, false]);
    expect(faults(machine)).toEqual([[0x1000, 'w', 'permission']]);
  });

  test('addresses beyond its bits, whatever the table says', () => {
    const { machine, unit, a, page } = setUp({ iommu: { addressBits: 40 } });
    const table = new Pages().map(2 ** 40, page(0)).map(2 ** 40 - PAGE, page(1));
    unit.setContext(A, table);
    expect([byte(a, 2 ** 40 - 1), byte(a, 2 ** 40)]).toEqual([2, 0xff]);
    expect(faults(machine)).toEqual([[2 ** 40, 'r', 'no-entry']]);
  });

  test('interrupt addresses, which no table translates, nor a page that reaches over them', () => {
    const { machine, unit, a } = setUp({ memoryBytes: 2 ** 30 });
    const table = new Pages(2 ** 30).map(0xc000_0000, 0);
    unit.setContext(A, table);
    unit.setPasidContext(A, 1, table);
    expect([a.write32(0xfee0_0000, 1), a.write32(0xfeef_fffc, 1, 1), a.reach(0xfee0_0000, 4, true)]).toEqual([false, false, 0]);
    expect(a.reach(0xfedf_f000, 2 * PAGE, true)).toBe(PAGE);
    expect([a.reach(0xfef0_0000, 64, true), machine.iommuFaults]).toEqual([64, []]);
    expect(machine.dmaFaults.map(({ address, reason }) => [address, reason])).toEqual([
      [0xfee0_0000, 'unmapped'],
      [0xfeef_fffc, 'unmapped'],
    ]);
  });

  test('messages are neither translated nor refused', () => {
    const { machine, unit, kind } = setUp();
    unit.setContext(A, 'blocked');
    const sent: string[] = [];
    machine.onMessage((who) => sent.push(who));
    kind.made[0]!.context.irq.post(0xfee0_0018, 0, 0);
    expect([sent, machine.iommuFaults]).toEqual([['0000:00:04.0'], []]);
  });

  test('a mapping that leads out of memory is no fault of the IOMMU; one to memory that was freed is recorded', () => {
    const { machine, unit, a } = setUp();
    const freed = machine.dma.alloc(PAGE, { mask: ONES });
    machine.dma.free(freed);
    unit.setContext(A, new Pages().map(0x1000, 0xd000_0000).map(0x2000, freed));
    expect([a.write32(0x1000, 1), a.write32(0x2000, 1)]).toEqual([false, true]);
    expect(machine.iommuFaults).toEqual([]);
    expect(machine.dmaFaults.map(({ address, reason }) => [address, reason])).toEqual([
      [0x1000, 'unmapped'],
      [0x2000, 'unallocated'],
    ]);
  });

  test('who is no bus master, or gone, does not get as far as the IOMMU', () => {
    const { machine, unit, a, b } = setUp();
    unit.setContext(A, 'blocked');
    unit.setContext(B, 'blocked');
    machine.pci[0]!.config(0, A).write16(0x04, 0x2);
    machine.yank('00:05.0');
    expect([a.read32(0), b.read32(0), a.reach(0, 4, false), b.reach(0, 4, false)]).toEqual([ONES, ONES, 0, 0]);
    expect([machine.iommuFaults, machine.dmaFaults.map(({ reason }) => reason)]).toEqual([[], ['bus master', 'gone']]);
  });
});

describe('what it has found', () => {
  test('stays in use until it is invalidated; what is not mapped is looked for each time', () => {
    const { unit, a, page } = setUp();
    const table = new Pages().map(0x1000, page(0));
    unit.setContext(A, table);
    expect([byte(a, 0x1000), byte(a, 0x2000)]).toEqual([1, 0xff]);
    table.map(0x1000, page(1)).map(0x2000, page(2));
    expect([byte(a, 0x1000), byte(a, 0x2000)]).toEqual([1, 3]);
    unit.invalidate(table, 0x1fff, 1);
    expect([byte(a, 0x1000), table.walks]).toEqual([2, 4]);
  });

  test.each([
    [PAGE, 1],
    [PAGE, 2],
    [PAGE, 700],
    [2 ** 21, 1],
    [2 ** 21, 100],
    [2 ** 30, 1],
  ])('pages of %d bytes: of a range of %d, all are forgotten, and the neighbours are not', (size, count) => {
    const { unit, a } = setUp();
    const table = new Pages(size);
    const other = new Pages(size).map(size, 0);
    for (let n = 0; n < count + 2; n++) table.map(n * size, 0);
    unit.setContext(A, table);
    unit.setPasidContext(A, 1, other);
    // Reads and writes by turns; what must still be known comes last, so that nothing else has taken its place.
    const isKnown = (n: number): number => a.reach(n * size, 1, n % 2 === 0);
    for (let n = 1; n <= count; n++) isKnown(n);
    for (const n of [0, count + 1]) isKnown(n);
    a.reach(size, 1, true, 1);
    table.entries.clear();
    other.entries.clear();
    // It begins and ends inside of pages.
    unit.invalidate(table, size + 8, count * size - 16);
    const known = Array.from({ length: count + 2 }, (_, n) => isKnown(n));
    expect(known).toEqual([1, ...new Array<number>(count).fill(0), 1]);
    expect(a.reach(size, 1, true, 1)).toBe(1);
  });

  test('a run of pages that was followed once, is followed no further than to a page that was forgotten since', () => {
    const { unit, a, page } = setUp({}, 8);
    const table = new Pages();
    for (let n = 0; n < 6; n++) table.map(0x1000 * (n + 1), page(n));
    unit.setContext(A, table);
    const reach = (pages: number): number => a.reach(0x1000, pages * PAGE, false) / PAGE;
    expect([reach(4), reach(4), reach(2), reach(6), reach(8), table.walks]).toEqual([4, 4, 2, 6, 6, 6 + 2]);
    table.entries.delete(0x3000);
    unit.invalidate(table, 0x3000, PAGE);
    expect([reach(8), reach(8)]).toEqual([2, 2]);
    table.map(0x3000, page(7));
    const buffer = new Uint8Array(3 * PAGE);
    expect([a.read(0x1000, buffer, 0, 3 * PAGE), buffer[PAGE], buffer[2 * PAGE]]).toEqual([true, 2, 8]);
  });

  test('does not lead on from a page that is known to one that was forgotten, or is known to another', () => {
    const { machine, unit, a, page } = setUp();
    const table = new Pages().map(0x1000, page(0)).map(0x2000, page(1));
    const other = new Pages().map(0x2000, page(1));
    unit.setContext(A, table);
    unit.setPasidContext(A, 1, other);
    expect([a.reach(0x1000, 2 * PAGE, false), a.reach(0x2000, PAGE, false, 1)]).toEqual([2 * PAGE, PAGE]);
    table.entries.delete(0x2000);
    unit.invalidate(table, 0x2000, PAGE);
    expect(a.read(0x1000, new Uint8Array(2 * PAGE), 0, 2 * PAGE)).toBe(false);
    expect(faults(machine)).toEqual([[0x2000, 'r', 'no-entry']]);
  });

  test('is not used by the access whose own walk has it forgotten', () => {
    const { machine, unit, a, memory, page } = setUp();
    const table = new Pages().map(0x1000, page(0)).map(0x2000, page(1)).map(0x3000, page(2));
    unit.setContext(A, table);
    table.onWalk = (iova) => {
      if (iova !== 0x2000) return;
      table.onWalk = () => {};
      table.entries.clear();
      table.map(0x1000, page(3));
      unit.invalidate(table, 0, 0x4000);
    };
    expect(a.write(0x1000, new Uint8Array(2 * PAGE), 0, 2 * PAGE)).toBe(false);
    expect([0, 1, 2, 3].map((n) => memory[n * PAGE])).toEqual([1, 2, 3, 0]);
    expect(faults(machine)).toEqual([[0x2000, 'w', 'no-entry']]);
  });

  test('nor by a copy whose destination has the source forgotten', () => {
    const { unit, a, memory, page } = setUp();
    const table = new Pages().map(0x1000, page(0)).map(0x8000, page(2));
    unit.setContext(A, table);
    table.onWalk = (iova) => {
      if (iova !== 0x8000) return;
      table.map(0x1000, page(1));
      unit.invalidate(table, 0x1000, PAGE);
      table.onWalk = () => {};
    };
    expect([a.copy(0x1000, 0x8000, 64), memory[2 * PAGE]]).toEqual([true, 2]);
  });

  test('nor after the context was changed in the middle of an access', () => {
    const { machine, unit, a } = setUp();
    const table = new Pages().map(0x1000, 0x10_0000);
    unit.setContext(A, table);
    table.onWalk = () => unit.setContext(A, 'blocked');
    expect(a.read32(0x1000)).toBe(ONES);
    expect(faults(machine)).toEqual([[0x1000, 'r', 'blocked']]);
  });

  test('a table that has itself forgotten at each walk is given up; two that do so to each other are not', () => {
    const { machine, unit, a, memory, page } = setUp();
    const table = new Pages().map(0x1000, page(0)).map(0x8000, page(2));
    unit.setContext(A, table);
    table.onWalk = () => unit.invalidate(table, 0, 2 ** 40);
    expect([a.read32(0x1000), faults(machine)]).toEqual([ONES, [[0x1000, 'r', 'no-entry']]]);
    // One page at a time is there: whichever is walked for the first time drives the other one out.
    let present = 0;
    table.onWalk = (iova) => {
      const last = present;
      present = iova - (iova % PAGE);
      if (last !== present) unit.invalidate(table, last, PAGE);
    };
    expect([a.copy(0x1000, 0x8000, 64), memory[2 * PAGE]]).toEqual([true, 1]);
  });

  test('a device that is pulled out in the middle of an access does no more', () => {
    const { machine, unit, a, memory, page } = setUp();
    // Not in order: each page is a step of its own.
    const table = new Pages().map(0x1000, page(3)).map(0x2000, page(1));
    unit.setContext(A, table);
    table.onWalk = (iova) => {
      if (iova === 0x2000) machine.yank('00:04.0');
    };
    expect(a.write(0x1000, new Uint8Array(2 * PAGE), 0, 2 * PAGE)).toBe(false);
    expect([memory[3 * PAGE], memory[PAGE]]).toEqual([0, 2]);
    expect(machine.dmaFaults).toMatchObject([{ reason: 'gone', address: 0x2000 }]);
  });

  test('a listener may do as it likes when an access is refused', () => {
    const { unit, a, page } = setUp();
    const table = new Pages().map(0x1000, page(0));
    unit.setContext(A, table);
    unit.onFault(({ iova }) => {
      table.map(iova, page(1));
      unit.invalidate(table, 0, 2 ** 40);
      expect(byte(a, iova)).toBe(2);
    });
    const buffer = new Uint8Array(2 * PAGE);
    expect([a.read(0x1000, buffer, 0, 2 * PAGE), buffer[0], buffer[PAGE]]).toEqual([false, 1, 0xff]);
    expect(a.read(0x1000, buffer, 0, 2 * PAGE)).toBe(true);
  });
});

describe('a page request', () => {
  const requests = (unit: SimIommu): IommuPageRequest[] => {
    const list: IommuPageRequest[] = [];
    unit.setPageRequestHandler((request) => list.push(request));
    return list;
  };

  test('is answered once, now or later', () => {
    const { unit, a } = setUp();
    const list = requests(unit);
    const answers: boolean[] = [];
    a.requestPage(0x1234, true, 7, (isThere) => answers.push(isThere));
    a.requestPage(0x5678, false, undefined, (isThere) => answers.push(isThere));
    expect(list).toMatchObject([
      { requesterId: A, pasid: 7, iova: 0x1000, isWrite: true },
      { requesterId: A, pasid: undefined, iova: 0x5000, isWrite: false },
    ]);
    list[1]!.done(false);
    list[0]!.done(true);
    list[0]!.done(false);
    expect(answers).toEqual([false, true]);
  });

  test('fails at once where nobody answers, and where the device may not ask', () => {
    const { machine, unit, a, b } = setUp();
    const answers: boolean[] = [];
    const done = (isThere: boolean): number => answers.push(isThere);
    a.requestPage(0x1000, false, 1, done);
    const list = requests(unit);
    machine.pci[0]!.config(0, A).write16(0x04, 0);
    a.requestPage(0x1000, false, 1, done);
    unit.setPageRequestHandler(undefined);
    b.requestPage(0x1000, false, 1, done);
    setUp({ iommu: false }).a.requestPage(0x1000, false, undefined, done);
    expect([answers, list]).toEqual([[false, false, false, false], []]);
  });

  test('of a device that is gone is answered to nobody, and what a model throws is recorded', () => {
    const { machine, unit, a, b } = setUp();
    const list = requests(unit);
    const answers: boolean[] = [];
    const boom = new Error('boom');
    a.requestPage(0x1000, false, 1, (isThere) => answers.push(isThere));
    b.requestPage(0x1000, false, 1, () => {
      throw boom;
    });
    machine.yank('00:04.0');
    for (const request of list) request.done(true);
    expect([answers, machine.modelErrors]).toMatchObject([[], [{ who: '0000:00:05.0', error: boom }]]);
  });
});
