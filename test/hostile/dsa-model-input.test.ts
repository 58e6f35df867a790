import { describe, expect, test } from 'vitest';
import { PROT } from 'backplane';
import { CRAV, DsaBench, RCI, RCR, SHARED, withPasid } from '../acceptance/dsa-bench.js';
import { PAGE, Victim } from './dsa-victim.js';

const FILL = 4;
const BATCH = 1;
/** What every operation may have: fence, record valid and asked for, interrupt, two that steer caches. */
const COMMON_FLAGS = 0x103d;
const KNOWN = [0, 1, 2, 3, 4, 5, 6, 9, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x20];

const range = (from: number, end: number): number[] => Array.from({ length: end - from }, (_, i) => from + i);

describe('a descriptor with bits that are reserved', () => {
  test('is refused for each bit of the first word between PASID and privilege', async () => {
    await using victim = await Victim.start();
    for (const bit of range(20, 31)) expect([bit, victim.move({ pasid: 2 ** bit }).status]).toEqual([bit, 0x12]);
  });

  test('is refused for each bit behind the handle', async () => {
    await using victim = await Victim.start();
    for (const at of [38, 39, ...range(40, 64)]) {
      for (const value of [1, 0x80]) expect([at, victim.move({ own: [[at, 1, value]] }).status]).toEqual([at, 0x12]);
    }
  });

  test('is refused for each flag that the operation has not, which it is told', async () => {
    await using victim = await Victim.start();
    for (const flag of range(0, 24).map((bit) => 2 ** bit)) {
      if ((flag & COMMON_FLAGS) !== 0) continue;
      expect(victim.bench.run({ flags: RCR | flag })).toMatchObject({ status: 0x11, flags: flag, bytes: 0 });
    }
  });

  test('is refused for each operation that there is not', async () => {
    await using victim = await Victim.start();
    const statuses = range(0, 256)
      .filter((op) => !KNOWN.includes(op))
      .map((op) => victim.move({ op }).status);
    expect(new Set(statuses)).toEqual(new Set([0x10]));
  });
});

describe('a descriptor of a wrong size', () => {
  test('moves nothing', async () => {
    await using victim = await Victim.start();
    const sizes = [0, 2 ** 21 + 1, 2 ** 31, 2 ** 32 - 1];
    expect(sizes.map((size) => victim.move({ size }))).toEqual(
      sizes.map(() => ({ status: 0x13, result: 0, bytes: 0, fault: 0, flags: 0 })),
    );
  });

  test('is no batch', async () => {
    await using victim = await Victim.start();
    const { bench } = victim;
    const batch = (source: number, size: number): number => bench.run({ op: BATCH, source, size }).status;
    expect([0, 1, 33, 2 ** 32 - 1].map((size) => batch(bench.list, size))).toEqual([0x14, 0x14, 0x14, 0x14]);
    expect([1, 8, 32, 63].map((by) => batch(bench.list + by, 2))).toEqual([0x18, 0x18, 0x18, 0x18]);
    expect([batch(bench.nowhere, 2), batch(bench.source, 2)]).toEqual([0x06, 0x05]);
  });
});

describe('a descriptor of addresses that are not its own', () => {
  test.each<[string, (bench: DsaBench) => number]>([
    ['nothing is mapped there', (bench) => bench.nowhere],
    ['it is memory, by the address that memory has', (bench) => bench.arena.physicalAddress],
    ['messages go there', () => 0xfee0_0000],
    ['it is 0', () => 0],
    ['it is beyond what the IOMMU has', () => 2 ** 52],
  ])('reads and writes nothing: %s', async (_what, where) => {
    await using victim = await Victim.start();
    const address = where(victim.bench);
    expect(victim.move({ source: address })).toMatchObject({ status: 0x03, bytes: 0, fault: address });
    expect(victim.move({ destination: address })).toMatchObject({ status: 0x83, bytes: 0, fault: address });
    expect(victim.bench.irqs()).toEqual([]);
  });

  test('reads and writes nothing above 2^53, and says where', async () => {
    await using victim = await Victim.start();
    const { bench } = victim;
    const own = (at: number) => [[at + 4, 4, 0x0020_0000] as const];
    expect(victim.move({ own: own(16) })).toMatchObject({ status: 0x03, bytes: 0, fault: 2 ** 53 + (bench.source % 2 ** 32) });
    expect(victim.move({ own: own(24) })).toMatchObject({ status: 0x83, bytes: 0 });
  });

  test('stops at the end of what is mapped', async () => {
    await using victim = await Victim.start();
    const { bench } = victim;
    const end = bench.arena.address + bench.arena.sizeBytes;
    const before = bench.bytes(end - 100, 100);
    expect(victim.move({ source: end - 100, size: 200 })).toMatchObject({ status: 0x03, bytes: 100, fault: end });
    bench.seed(bench.destination, 0x1000, 13);
    expect(bench.bytes(end - 100, 100)).toEqual(before);
    const filled = bench.run({ op: FILL, source: 0, destination: end - 100, size: 200 });
    expect(filled).toMatchObject({ status: 0x83, fault: end });
  });

  test('has no record where none can be: the error register says it, once', async () => {
    await using victim = await Victim.start();
    const { bench } = victim;
    for (const record of [bench.nowhere, 0xfee0_0000, bench.arena.physicalAddress]) {
      bench.submit({ record });
      bench.elapse();
      expect(bench.swerror).toMatchObject({ valid: 1, overflow: 0, error: 0x1a, wqValid: 1, wq: 0 });
      bench.w32(0xc0, 3);
    }
    for (const by of range(1, 32)) {
      bench.submit({ record: bench.record + by });
      bench.elapse();
      expect([by, bench.swerror.error, bench.swerror.overflow]).toEqual([by, 0x1b, 0]);
      bench.w32(0xc0, 3);
    }
  });

  test('sends no interrupt by a handle that is not its own', async () => {
    await using victim = await Victim.start();
    const statuses = [0, 9, 0x100, 0xffff].map((handle) => victim.move({ flags: RCR | RCI, handle }).status);
    expect([statuses, victim.bench.irqs()]).toEqual([[0x19, 0x19, 0x19, 0x19], []]);
  });
});

describe('a descriptor of another address space', () => {
  /** Two spaces with a page each at addresses of their own; the queue is shared. */
  async function twoSpaces(mode = SHARED) {
    const bench = await DsaBench.start({ pasid: true });
    const pages = [5, 7].map((pasid) => {
      const page = bench.kernel.dma.pages(bench.dev, PAGE);
      page.fill(pasid, 0, PAGE);
      bench.space(pasid).map(pasid * 0x10_0000, page.physicalAddress, PAGE, PROT.READ | PROT.WRITE);
      return page;
    });
    bench.enable([{ mode, threshold: 8 }]);
    const content = (n: number): number => pages[n]!.read32(0);
    return { bench, content };
  }

  test('reaches its own memory and no other', async () => {
    const { bench, content } = await twoSpaces();
    await using _ = bench;
    const fill = (pasid: number, destination: number): number => {
      bench.arena.fill(0, 0, 32);
      expect(bench.enqcmd({ op: FILL, pasid, destination, size: PAGE })).toBe(false);
      bench.elapse();
      return bench.completion().status;
    };
    expect([fill(5, 0x70_0000), fill(7, 0x50_0000), fill(5, 0x50_0000)]).toEqual([0x83, 0x83, 1]);
    expect([content(0), content(1)]).toEqual([0, 0x0707_0707]);
  });

  test('of which nobody knows, is told by the error register alone', async () => {
    const { bench, content } = await twoSpaces();
    await using _ = bench;
    expect(bench.enqcmd({ op: FILL, pasid: 6, destination: 0x50_0000, size: PAGE })).toBe(false);
    bench.elapse();
    expect(bench.swerror).toMatchObject({ valid: 1, error: 0x1a, pasid: 6 });
    expect([content(0), bench.completion().status]).toEqual([0x0505_0505, 0]);
    expect(new Set(bench.sim.iommuFaults.map(({ pasid, reason }) => `${pasid} ${reason}`))).toEqual(new Set(['6 blocked']));
  });

  test('without a number is taken by nobody', async () => {
    const { bench, content } = await twoSpaces();
    await using _ = bench;
    bench.enqcmd({ op: FILL, pasid: 0, destination: 0x50_0000, size: PAGE });
    bench.elapse();
    expect([bench.completion().status, content(0), bench.sim.guestErrors.length]).toEqual([0, 0x0505_0505, 1]);
  });

  test('in a dedicated queue works in that of the queue, whatever it says', async () => {
    const { bench, content } = await twoSpaces(withPasid(7));
    await using _ = bench;
    const run = (destination: number): number =>
      bench.run({ op: FILL, pasid: 5, destination, size: PAGE, flags: RCR | CRAV }).status;
    expect([run(0x50_0000), run(0x70_0000)]).toEqual([0x83, 1]);
    expect([content(0), content(1)]).toEqual([0x0505_0505, 0]);
  });
});
