import { describe, expect, test } from 'vitest';
import { AddressSpace, PROT } from 'backplane';
import { DEDICATED, type Desc, DsaBench, RCI, RCR, SHARED, withPasid } from './dsa-bench.js';

const PAGE = 4096;

describe('5.6 drains', () => {
  test('M55 a drain descriptor ends after all before it in its queue, and before none behind it', async () => {
    await using bench = await DsaBench.start({ descriptorUs: 100 });
    bench.enable([{}, {}]);
    const record = (i: number): number => bench.record + 32 * i;
    for (let i = 0; i < 3; i++) bench.submit({ record: record(i) });
    bench.submit({ op: 2, record: record(3), flags: RCR | RCI, handle: 2 });
    bench.submit({ record: record(4) }, { wq: 1 });
    while (bench.completion(96).status === 0) bench.elapse(10);
    expect([0, 1, 2].map((i) => bench.completion(32 * i).status)).toEqual([1, 1, 1]);
    expect(bench.irqs()).toEqual([2]);
  });

  test('7.4 as the driver sends it: an interrupt, and no record', async () => {
    await using bench = await DsaBench.start();
    bench.enable();
    bench.submit({ op: 2, flags: RCI, handle: 3, record: 0 });
    bench.elapse();
    expect([bench.irqs(), bench.swerror.valid, bench.completion().status]).toEqual([[3], 0, 0]);
  });

  test('drain all and abort all are for all queues', async () => {
    await using bench = await DsaBench.start({ descriptorUs: 1000 });
    bench.enable([{}, {}], 0x1000, 1);
    const record = (i: number): number => bench.record + 32 * i;
    for (let i = 0; i < 4; i++) bench.submit({ record: record(i) }, { wq: i % 2 });
    expect(bench.command(3)).toBe(0x8000_0000);
    bench.elapse(3900);
    expect(bench.r32(0xa8)).toBe(0x8000_0000);
    bench.elapse(200);
    expect([bench.r32(0xa8), [0, 1, 2, 3].map((i) => bench.completion(32 * i).status)]).toEqual([0, [1, 1, 1, 1]]);
    for (let i = 4; i < 8; i++) bench.submit({ record: record(i) }, { wq: i % 2 });
    bench.must(4);
    bench.elapse();
    expect([4, 5, 6, 7].map((i) => bench.completion(32 * i).status)).toEqual([0, 0, 0, 0]);
    expect([0, 1].map((wq) => bench.r32(bench.wqcfg(wq, 6)))).toEqual([0x4000_0000, 0x4000_0000]);
  });

  test('a dedicated queue is drained by the PASID that it has', async () => {
    await using bench = await DsaBench.start({ pasid: true, descriptorUs: 1000 });
    bench.space(7);
    bench.enable([{ mode: withPasid(7) }]);
    bench.submit({});
    expect([bench.command(11, 5), bench.command(11, 7)]).toEqual([0, 0x8000_0000]);
    bench.elapse(1500);
    expect([bench.r32(0xa8), bench.completion().status]).toEqual([0, 1]);
  });
});

describe('engines and priorities', () => {
  test('engines of a group work side by side, queues of another group do not wait for them', async () => {
    await using bench = await DsaBench.start({ descriptorUs: 100 });
    bench.configure([{}], 0b11);
    bench.w32(bench.wqcfg(1), 16);
    bench.w32(bench.wqcfg(1, 2), DEDICATED);
    bench.w64(bench.grpcfg(1), 2n);
    bench.w64(bench.grpcfg(1, 0x20), 0b100n);
    bench.must(1);
    bench.must(6, 0);
    bench.must(6, 1);
    for (let i = 0; i < 4; i++) bench.submit({ record: bench.record + 32 * i });
    bench.submit({ record: bench.record + 0x100 }, { wq: 1 });
    bench.elapse(110);
    expect([0, 1, 2, 3].filter((i) => bench.completion(32 * i).status === 1)).toHaveLength(2);
    expect(bench.completion(0x100).status).toBe(1);
    bench.elapse(110);
    expect([0, 1, 2, 3].map((i) => bench.completion(32 * i).status)).toEqual([1, 1, 1, 1]);
  });

  test('more priority is more of the turns, and nobody starves', async () => {
    await using bench = await DsaBench.start({ descriptorUs: 10 });
    bench.enable(
      [
        { size: 60, mode: 0xf1 },
        { size: 60, mode: 0x11 },
      ],
      0x1000,
      1,
    );
    for (let i = 0; i < 60; i++) {
      bench.submit({ record: bench.record + 32 * i });
      bench.submit({ record: bench.list + 32 * i }, { wq: 1 });
    }
    bench.elapse(400);
    const done = (base: number): number =>
      Array.from({ length: 60 }, (_, i) => bench.completion(base + 32 * i).status).filter((one) => one === 1).length;
    const [high, low] = [done(0), done(bench.list - bench.arena.address)];
    expect(low).toBeGreaterThan(0);
    expect(high / low).toBeGreaterThan(5);
  });

  test('a queue whose descriptors fail goes on', async () => {
    await using bench = await DsaBench.start();
    bench.enable();
    for (let i = 0; i < 8; i++) bench.submit({ op: i % 2 === 0 ? 0x0b : 0, record: bench.record + 32 * i });
    bench.elapse();
    expect(Array.from({ length: 8 }, (_, i) => bench.completion(32 * i).status)).toEqual([0x10, 1, 0x10, 1, 0x10, 1, 0x10, 1]);
  });
});

describe('blocking on faults', () => {
  const BLOCK = 2;
  /** A device bound to the memory of a process that gets its pages when it is asked for them, but for one. */
  async function lazy(): Promise<{ bench: DsaBench; asked: number[]; pasid: number; paddr: number }> {
    const bench = await DsaBench.start({ pasid: true, blockOnFault: true });
    const asked: number[] = [];
    const pages = bench.kernel.dma.pages(bench.dev, 4 * PAGE);
    const space = new AddressSpace('process', {
      onPageFault: (it, address) => {
        asked.push(address >>> 12);
        if (address >= 0x8000) return false;
        it.map(address & ~0xfff, pages.physicalAddress + (address & 0x3000), PAGE, PROT.READ | PROT.WRITE);
        return true;
      },
    });
    space.map(0x1000, pages.physicalAddress + PAGE, PAGE);
    const { pasid } = bench.kernel.iommu.bindSva(bench.dev, space);
    bench.enable([{ mode: withPasid(pasid) | 2 }]);
    return { bench, asked, pasid, paddr: pages.physicalAddress };
  }
  const run = (bench: DsaBench, desc: Desc): void => {
    bench.submit({ record: 0x1000, ...desc });
    bench.elapse();
    bench.sim.drain();
    bench.elapse();
  };
  const status = (bench: DsaBench, paddr: number): number => bench.sim.dma.read32(paddr + PAGE) & 0xff;

  test('M45 the work waits for its pages, and goes on when they are there', async () => {
    const { bench, asked, paddr } = await lazy();
    await using _ = bench;
    run(bench, { op: 4, flags: RCR | BLOCK, source: 0x55, destination: 0x2ff8, size: 16 });
    expect([status(bench, paddr), asked]).toEqual([1, [2, 3]]);
    expect([bench.sim.dma.read32(paddr + 0x2ff8), bench.sim.dma.read32(paddr + 0x3000)]).toEqual([0x55, 0x55]);
  });

  test('M45 a page that is refused ends it: 0x04, with the direction', async () => {
    const { bench, asked, paddr } = await lazy();
    await using _ = bench;
    run(bench, { op: 4, flags: RCR | BLOCK, source: 0x55, destination: 0x9000, size: 16 });
    expect([status(bench, paddr) & 0x7f, status(bench, paddr) >>> 7, asked]).toEqual([4, 1, [9]]);
  });

  test('without the flag it does not wait: what is missing is told', async () => {
    const { bench, asked, paddr } = await lazy();
    await using _ = bench;
    run(bench, { op: 4, source: 0x55, destination: 0x2000, size: 16 });
    expect([status(bench, paddr), asked]).toEqual([0x83, []]);
  });
});

describe('batches in address spaces', () => {
  test('M50 members of shared work are in the memory of the batch, whatever they say', async () => {
    await using bench = await DsaBench.start({ pasid: true });
    bench.space(5);
    bench.enable([{ mode: SHARED, threshold: 8 }]);
    const member = bench.encode({
      op: 4,
      source: 7,
      destination: bench.destination,
      size: 8,
      pasid: 6,
      record: bench.record + 64,
    });
    bench.put(bench.list, new Uint8Array(member.buffer));
    bench.put(bench.list + 64, new Uint8Array(bench.encode({ record: bench.record + 128, pasid: 9 }).buffer));
    bench.enqcmd({ op: 1, source: bench.list, size: 2, pasid: 5 });
    bench.elapse();
    expect([0, 64, 128].map((at) => bench.completion(at).status)).toEqual([1, 1, 1]);
    expect(bench.word(bench.destination)).toBe(7);
  });
});

describe('messages that cannot leave', () => {
  test('M26 a vector that is masked is pending, and comes when it is unmasked', async () => {
    await using bench = await DsaBench.start();
    bench.enable();
    const virq = bench.dev.irqVector(3);
    bench.kernel.irqs.disable(virq);
    for (let i = 0; i < 3; i++) bench.run({ flags: RCR | RCI, handle: 3 });
    expect(bench.irqs()).toEqual([]);
    bench.kernel.irqs.enable(virq);
    expect(bench.irqs()).toEqual([3]);
  });
});
