import { describe, expect, test } from 'vitest';
import { DEDICATED, DsaBench, RCI, RCR, SHARED, withPasid } from './dsa-bench.js';

const PRIVILEGED = 1 << 29;

describe('4.1 4.2 portals', () => {
  test('M30 seven writes of 8 bytes are nothing, the eighth is a descriptor', async () => {
    await using bench = await DsaBench.start();
    bench.enable();
    const words = bench.encode({});
    for (let i = 0; i < 14; i += 2) bench.portals.write64(0x1000 + 4 * i, words[i]!, words[i + 1]!);
    bench.elapse();
    expect(bench.completion().status).toBe(0);
    bench.portals.write64(0x1038, words[14]!, words[15]!);
    bench.elapse();
    expect(bench.completion().status).toBe(1);
  });

  test('M31 bytes, halves and words in any order, in all pages of two queues at once', async () => {
    await using bench = await DsaBench.start();
    bench.enable([{ size: 64 }, { size: 64 }]);
    const places = [0, 1].flatMap((wq) => [0, 1, 2, 3].flatMap((page) => [0, 63].map((slot) => ({ wq, page, slot }))));
    const all = places.map(({ wq, page, slot }, i) => ({
      at: wq * 0x4000 + page * 0x1000 + slot * 64,
      bytes: new Uint8Array(bench.encode({ record: bench.record + 32 * i }).buffer),
    }));
    // 37 is prime to 64: every byte once, in an order of its own.
    for (let i = 0; i < 32; i++)
      for (const { at, bytes } of all) bench.portals.write8(at + ((i * 37) & 31), bytes[(i * 37) & 31]!);
    for (let i = 62; i >= 48; i -= 2)
      for (const { at, bytes } of all) bench.portals.write16(at + i, bytes[i]! | (bytes[i + 1]! << 8));
    for (const i of [40, 32, 36, 44]) for (const { at } of all) bench.portals.write32(at + i, 0);
    bench.elapse();
    expect(all.map((_, i) => bench.completion(32 * i).status)).toEqual(all.map(() => 1));
  });

  test('M32 pieces are forgotten when their queue is disabled or reset', async () => {
    await using bench = await DsaBench.start();
    bench.enable();
    for (const [slot, command] of [7, 10, 5, 2].entries()) {
      const at = 0x1000 + 64 * slot;
      const bad = bench.encode({ op: 0xff, record: bench.record + 0x100 });
      for (let i = 0; i < 14; i += 2) bench.portals.write64(at + 4 * i, bad[i]!, bad[i + 1]!);
      bench.must(command, command === 7 || command === 10 ? 1 : 0);
      if (command === 5 || command === 2) bench.enable();
      else {
        bench.w32(bench.wqcfg(0, 2), DEDICATED);
        bench.must(6, 0);
      }
      // The last eight bytes of another: nothing may come of the fifty-six that were there.
      bench.portals.write64(at + 56, bad[14]!, bad[15]!);
      bench.elapse();
      expect([bench.completion(0x100).status, bench.swerror.valid]).toEqual([0, 0]);
    }
  });

  test('reads give all ones, and submit nothing', async () => {
    await using bench = await DsaBench.start();
    bench.enable();
    expect([bench.portals.read32(0x1000), bench.portals.read8(0x1), bench.portals.read16(0x3ffe)]).toEqual([
      0xffff_ffff, 0xff, 0xffff,
    ]);
    const out = new Uint32Array(2);
    bench.portals.read64(0x1_0000, out);
    expect([...out]).toEqual([0xffff_ffff, 0xffff_ffff]);
  });

  test('M34 for a queue or a device that is disabled it is as if nothing had come', async () => {
    await using bench = await DsaBench.start();
    expect(bench.run({ flags: RCR | RCI, handle: 1 }).status).toBe(0);
    bench.configure([{}, {}]);
    bench.must(1);
    bench.must(6, 0);
    expect(
      bench.run({ op: 4, destination: bench.destination, size: 8, source: 1, handle: 1, flags: RCR }, { wq: 1 }).status,
    ).toBe(0);
    expect([bench.word(bench.destination), bench.irqs(), bench.run({}).status]).toEqual([0, [], 1]);
  });

  test('M33 all slots of a page are alike; the page chooses the table of the handle', async () => {
    await using bench = await DsaBench.start();
    bench.enable();
    const { indices, taken } = bench.store(3);
    expect(indices).toEqual([0, 1, 2]);
    for (const [page, slot] of [
      [0, 0],
      [1, 63],
      [2, 1],
      [3, 33],
    ] as const) {
      bench.submit({ flags: RCR | RCI, handle: 2 }, { page, slot });
      bench.elapse();
    }
    expect([bench.irqs(), taken()]).toEqual([
      [2, 2],
      [2, 2],
    ]);
  });
});

describe('4.2 dedicated queues', () => {
  test('M48 one that is full loses what comes, and the guest is told', async () => {
    await using bench = await DsaBench.start({ descriptorUs: 1000 });
    bench.enable([{ size: 2 }], 0x1000, 1);
    for (let i = 0; i < 5; i++) bench.submit({ record: bench.record + 32 * i });
    expect(bench.r32(bench.wqcfg(0, 6)) & 0xffff).toBe(2);
    bench.elapse();
    expect([0, 1, 2, 3, 4].map((i) => bench.completion(32 * i).status)).toEqual([1, 1, 0, 0, 0]);
    expect([bench.r32(bench.wqcfg(0, 6)) & 0xffff, bench.sim.guestErrors.length]).toEqual([0, 3]);
  });

  test('M50 the queue says whose memory it is, whatever the descriptor says', async () => {
    await using bench = await DsaBench.start({ pasid: true });
    bench.space(7);
    bench.enable([{ mode: withPasid(7) }, {}]);
    expect(bench.run({ pasid: 5 }).status).toBe(1);
    expect(bench.sim.iommuFaults).toEqual([]);
    // Without a PASID: as the device itself.
    expect(bench.run({ pasid: 5 }, { wq: 1 }).status).toBe(1);
    bench.kernel.iommu.detachPasid(bench.kernel.iommu.group(bench.dev)!.at(7)!.domain, bench.dev, 7);
    expect(bench.run({ pasid: 0 }).status).toBe(0);
    expect(new Set(bench.sim.iommuFaults.map(({ pasid }) => pasid))).toEqual(new Set([7]));
    expect(bench.run({}, { wq: 1 }).status).toBe(1);
  });

  test('a queue whose PASIDs the function has not enabled is refused; so is a privileged one', async () => {
    await using bench = await DsaBench.start({ pasid: true });
    const control = bench.dev.findExtCapability(0x1b)! + 6;
    bench.dev.config.write16(control, 0x1);
    bench.configure([{ mode: withPasid(7) }, { mode: (withPasid(7) | PRIVILEGED) >>> 0 }]);
    bench.must(1);
    expect([bench.command(6, 0), bench.command(6, 1)]).toEqual([0, 0x2a]);
    bench.must(7, 1);
    bench.dev.config.write16(control, 0);
    expect(bench.command(6, 0)).toBe(0x26);
  });
});

describe('4.2 shared queues', () => {
  async function shared(options: { threshold?: number; size?: number } = {}): Promise<DsaBench> {
    const bench = await DsaBench.start({ pasid: true, descriptorUs: 1000 });
    bench.space(5);
    bench.enable([{ mode: SHARED, size: 4, threshold: 2, ...options }, {}], 0x1000, 1);
    return bench;
  }

  test('M49 the limited portal takes as many as the threshold, the unlimited one as there is room for', async () => {
    await using bench = await shared();
    const submit = (page: number): boolean => bench.enqcmd({ pasid: 5 }, { page });
    expect([1, 1, 1, 3].map(submit)).toEqual([false, false, true, true]);
    expect([0, 2, 0].map(submit)).toEqual([false, false, true]);
    expect(bench.r32(bench.wqcfg(0, 6)) & 0xffff).toBe(4);
    bench.elapse(1000);
    expect([0, 0].map(submit)).toEqual([false, true]);
    bench.elapse();
    expect([bench.completion().status, submit(1)]).toEqual([1, false]);
  });

  test('again: a queue that is dedicated, disabled, or of a device that is disabled', async () => {
    await using bench = await shared();
    expect(bench.enqcmd({ pasid: 5 }, { wq: 1 })).toBe(true);
    expect(bench.enqcmd({ pasid: 5 }, { wq: 2 })).toBe(true);
    bench.must(7, 1);
    expect(bench.enqcmd({ pasid: 5 })).toBe(true);
    bench.must(6, 0);
    expect(bench.enqcmd({ pasid: 5 })).toBe(false);
    bench.elapse();
    bench.must(2);
    expect(bench.enqcmd({ pasid: 5 })).toBe(true);
  });

  test('M35 a store without an answer is lost there', async () => {
    await using bench = await shared();
    expect([bench.run({ pasid: 5 }).status, bench.sim.guestErrors.length]).toEqual([0, 1]);
  });

  test('M50 each descriptor works in the memory that it names', async () => {
    await using bench = await shared({ size: 16, threshold: 16 });
    const other = bench.kernel.iommu.allocDomain(bench.dev);
    const page = bench.kernel.dma.pages(bench.dev, 4096);
    other.map(bench.record, page.physicalAddress, 4096, 3);
    bench.kernel.iommu.attachPasid(other, bench.dev, 6);
    const work = { op: 4, destination: bench.record + 0x100, size: 8, source: 0x55 };
    bench.enqcmd({ ...work, pasid: 6 });
    bench.elapse();
    expect([bench.completion().status, bench.word(bench.record + 0x100)]).toEqual([0, 0]);
    expect([page.read32(0) & 0xff, page.read32(0x100)]).toEqual([1, 0x55]);
    bench.enqcmd({ ...work, pasid: 5 });
    bench.elapse();
    expect([bench.completion().status, bench.word(bench.record + 0x100)]).toEqual([1, 0x55]);
    // Of nobody.
    bench.enqcmd({ ...work, pasid: 9 });
    bench.elapse();
    expect(bench.swerror).toMatchObject({ valid: 1, error: 0x1a, pasid: 9, wq: 0, wqValid: 1, opcode: 4, write: 1 });
    expect(bench.sim.iommuFaults.map(({ pasid }) => pasid)).toContain(9);
  });

  test('M54 draining and aborting a PASID leaves the others alone', async () => {
    await using bench = await shared({ size: 16, threshold: 16 });
    bench.space(6);
    const record = (i: number): number => bench.record + 32 * i;
    for (let i = 0; i < 6; i++) bench.enqcmd({ pasid: i % 2 === 0 ? 5 : 6, record: record(i) });
    bench.must(12, 6);
    bench.elapse();
    expect([0, 1, 2, 3, 4, 5].map((i) => bench.completion(32 * i).status)).toEqual([1, 0, 1, 0, 1, 0]);
    bench.enqcmd({ pasid: 5, record: record(8) });
    bench.enqcmd({ pasid: 6, record: record(9) });
    // Of work of nobody's there is nothing to wait for.
    expect([bench.command(11, 77), bench.completion(32 * 8).status]).toEqual([0, 0]);
    expect(bench.command(11, 5)).toBe(0x8000_0000);
    bench.elapse(1500);
    expect([bench.r32(0xa8), bench.completion(32 * 8).status, bench.completion(32 * 9).status]).toEqual([0, 1, 0]);
  });
});

describe('5.5 who may use which interrupt', () => {
  test('M52 an entry of the permission table: a PASID, nobody else, or anybody', async () => {
    await using bench = await DsaBench.start({ pasid: true });
    for (const pasid of [5, 7]) bench.space(pasid);
    bench.enable([{ mode: withPasid(5) }, { mode: withPasid(7) }, {}, { mode: (withPasid(5) | PRIVILEGED) >>> 0 }]);
    const use = (wq: number): number => bench.run({ flags: RCR | RCI, handle: 1 }, { wq }).status;
    bench.w32(bench.perm(1), (7 << 12) | 8);
    expect([[0, 1, 2, 3].map(use), bench.irqs()]).toEqual([[0x19, 1, 0x19, 0x19], [1]]);
    bench.w32(bench.perm(1), (7 << 12) | 12);
    expect([[0, 1, 2, 3].map(use), bench.irqs()]).toEqual([
      [1, 1, 1, 1],
      [1, 1, 1, 1],
    ]);
    bench.w32(bench.perm(1), 0);
    expect([[0, 1, 2, 3].map(use), bench.irqs()]).toEqual([
      [0x19, 0x19, 1, 1],
      [1, 1],
    ]);
  });

  test('M63 a slot of the store belongs to the PASID of its cookie', async () => {
    await using bench = await DsaBench.start({ pasid: true });
    for (const pasid of [8, 9]) bench.space(pasid);
    bench.enable([{ mode: withPasid(8) }, { mode: withPasid(9) }, {}]);
    bench.store(1);
    const use = (wq: number): number => bench.run({ flags: RCR | RCI, handle: 0 }, { wq, page: 3 }).status;
    expect([0, 1, 2].map(use)).toEqual([0x19, 0x19, 1]);
    bench.w32(bench.slot(0, 12), (9 << 12) | 8);
    expect([0, 1, 2].map(use)).toEqual([0x19, 1, 0x19]);
    bench.w32(bench.slot(0, 12), (8 << 12) | 8);
    expect([0, 1].map(use)).toEqual([1, 0x19]);
    bench.w32(bench.slot(0, 12), (8 << 12) | 12);
    expect([0, 1, 2].map(use)).toEqual([1, 1, 1]);
  });

  test('M62 a masked slot is pending, and sends one message when it is unmasked; M60 M61 while MSI-X is silent', async () => {
    await using bench = await DsaBench.start();
    bench.enable();
    const { taken } = bench.store(2);
    bench.w32(bench.slot(1, 12), 1);
    for (let i = 0; i < 3; i++) expect(bench.run({ flags: RCR | RCI, handle: 1 }, { page: 2 }).status).toBe(1);
    expect([taken(), bench.r32(bench.slot(1, 12))]).toEqual([[], 3]);
    bench.w32(bench.slot(1, 12), 0);
    expect([taken(), bench.r32(bench.slot(1, 12)), bench.irqs()]).toEqual([[1], 0, []]);
  });

  test('handles: 0 is no message, 8 the last one of nine; 255 the last slot', async () => {
    await using bench = await DsaBench.start();
    bench.enable();
    const use = (handle: number, page: number): number => bench.run({ flags: RCR | RCI, handle }, { page }).status;
    expect([use(0, 1), use(8, 1), use(9, 1), use(0xffff, 1)]).toEqual([0x19, 1, 0x19, 0x19]);
    expect([use(0, 3), use(255, 3), use(256, 3)]).toEqual([1, 1, 0x19]);
    expect(bench.irqs()).toEqual([8]);
  });

  test('M38 unprivileged work interrupts only where GENCFG allows it, whatever else is wrong with it', async () => {
    await using bench = await DsaBench.start({ pasid: true });
    bench.space(5);
    bench.enable([{}, { mode: (withPasid(5) | PRIVILEGED) >>> 0 }], 0);
    bench.w32(bench.perm(1), 4);
    const work = { flags: RCR | RCI, handle: 1 };
    expect(bench.run(work)).toMatchObject({ status: 0x11, flags: 0x10 });
    expect(bench.run({ ...work, op: 0x0b }).status).toBe(0x10);
    bench.run({ ...work, record: bench.record + 8 });
    expect([bench.swerror.error, bench.irqs()]).toEqual([0x1b, []]);
    expect([bench.run(work, { wq: 1 }).status, bench.irqs()]).toEqual([1, [1]]);
  });
});
