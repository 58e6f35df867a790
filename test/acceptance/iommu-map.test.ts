import { describe, expect, test } from 'vitest';
import { type IommuDomain, type IommuFaultReport, PROT } from 'backplane';
import { Bench, PAGE, codeOf } from './iommu-bench.js';

const RW = PROT.READ | PROT.WRITE;
const MIB2 = 2 ** 21;

/** A domain that is attached. */
function attached(bench: Bench): IommuDomain {
  const domain = bench.kernel.iommu.allocDomain(bench.dev);
  bench.kernel.iommu.attach(domain, bench.dev);
  return domain;
}

describe('5.3 map and unmap', () => {
  test('5.3.1 the bits of a protection', () => {
    expect(PROT).toMatchObject({ READ: 1, WRITE: 2, CACHE: 4, NOEXEC: 8, MMIO: 16, PRIV: 32 });
  });

  test('G-103 what is no multiple of the smallest page is EINVAL, and nothing is mapped', async () => {
    await using bench = await Bench.start();
    const domain = attached(bench);
    for (const [iova, paddr, size] of [
      [0x1001, 0x2000, PAGE],
      [0x1000, 0x2800, PAGE],
      [0x1000, 0x2000, PAGE + 1],
      [0x1000, 0x2000, 1],
      [-PAGE, 0x2000, PAGE],
      [Number.NaN, 0x2000, PAGE],
      [0x1000, Number.POSITIVE_INFINITY, PAGE],
    ] as const) {
      expect(codeOf(() => domain.map(iova, paddr, size, RW))).toBe('EINVAL');
    }
    expect([domain.mappedBytes, [...domain.mappings()]]).toEqual([0, []]);
  });

  test('5.3.2 size 0 does nothing; also where something is mapped', async () => {
    await using bench = await Bench.start();
    const domain = attached(bench);
    domain.map(0x1000, 0x2000, 0, RW);
    domain.map(0x1000, 0x2000, PAGE, RW);
    domain.map(0x1000, 0x2000, 0, RW);
    expect([domain.mappedBytes, domain.unmap(0x1000, 0), domain.mappedBytes]).toEqual([PAGE, 0, PAGE]);
  });

  test('5.3.2 over what is mapped is EADDRINUSE, wherever in the range it is, and changes nothing', async () => {
    await using bench = await Bench.start();
    const domain = attached(bench);
    const p = bench.pages(1, 2, 3, 4);
    domain.map(0x3000, p, PAGE, PROT.READ);
    for (const [iova, pages] of [
      [0x3000, 1],
      [0x1000, 3],
      [0x3000, 3],
      [0x2000, 3],
    ] as const) {
      expect(codeOf(() => domain.map(iova, p, pages * PAGE, RW))).toBe('EADDRINUSE');
    }
    expect(codeOf(() => domain.map(0, 0, 2 * MIB2, RW))).toBe('EADDRINUSE');
    expect([domain.mappedBytes, bench.peek(0x3000), bench.poke(0x3000, 9), bench.peek(0x2000)]).toEqual([
      PAGE,
      1,
      'permission',
      'no-entry',
    ]);
  });

  test('5.3.2 outside the geometry is ERANGE', async () => {
    await using bench = await Bench.start({ iommu: { addressBits: 40 } });
    const domain = attached(bench);
    expect(domain.geometry).toEqual({ start: 0, end: 2 ** 40 - 1 });
    expect(codeOf(() => domain.map(2 ** 40, 0, PAGE, RW))).toBe('ERANGE');
    expect(codeOf(() => domain.map(2 ** 40 - PAGE, 0, 2 * PAGE, RW))).toBe('ERANGE');
    expect(codeOf(() => domain.map(2 ** 52, 0, PAGE, RW))).toBe('ERANGE');
    expect(domain.mappedBytes).toBe(0);
    domain.map(2 ** 40 - PAGE, bench.page(7), PAGE, RW);
    expect(bench.peek(2 ** 40 - PAGE)).toBe(7);
    expect(bench.peek(2 ** 40)).toBe('no-entry');
  });

  test('5.3.2 the largest pages that fit alignment and length', async () => {
    await using bench = await Bench.start();
    const domain = attached(bench);
    expect(domain.pageSizes[0]).toBe(PAGE);
    const sizes = (): number[] => [...domain.mappings()].map(({ sizeBytes }) => sizeBytes);
    domain.map(MIB2 - PAGE, 4 * MIB2 - PAGE, 2 * PAGE + MIB2, RW);
    expect(sizes().reduce((sum, size) => sum + size, 0)).toBe(2 * PAGE + MIB2);
    expect([MIB2 - PAGE, MIB2, 2 * MIB2 - 1, 2 * MIB2].map((iova) => domain.iovaToPhys(iova))).toEqual([
      4 * MIB2 - PAGE,
      4 * MIB2,
      5 * MIB2 - 1,
      5 * MIB2,
    ]);
    // A page of 2 MiB: a part of it is not taken away.
    expect([domain.unmap(MIB2, PAGE), domain.iovaToPhys(MIB2)]).toEqual([0, 4 * MIB2]);
    expect([domain.unmap(MIB2 - PAGE, 2 * PAGE), domain.iovaToPhys(MIB2)]).toEqual([PAGE, 4 * MIB2]);
    expect(domain.unmap(MIB2, MIB2 + PAGE)).toBe(MIB2 + PAGE);
    expect(domain.mappedBytes).toBe(0);
    // The physical address is not aligned: small pages, each of which can be taken away.
    domain.map(MIB2, 4 * MIB2 + PAGE, MIB2, RW);
    expect([domain.unmap(MIB2 + PAGE, PAGE), domain.mappedBytes]).toEqual([PAGE, MIB2 - PAGE]);
  });

  test('G-103 unmap stops at the first hole, and takes never more than asked', async () => {
    await using bench = await Bench.start();
    const domain = attached(bench);
    domain.map(0x1000, 0x10_0000, 3 * PAGE, RW);
    expect(domain.unmap(0x2000, PAGE)).toBe(PAGE);
    expect([domain.unmap(0x1000, 3 * PAGE), domain.iovaToPhys(0x3000)]).toEqual([PAGE, 0x10_2000]);
    expect([domain.unmap(0x1000, 3 * PAGE), domain.mappedBytes]).toEqual([0, PAGE]);
    expect([domain.iovaToPhys(0x1000), domain.iovaToPhys(0x3fff)]).toEqual([0, 0x10_2fff]);
  });

  test('5.3.3 what is not aligned unmaps nothing, with a line that says so', async () => {
    await using bench = await Bench.start();
    const domain = attached(bench);
    domain.map(0x1000, 0x10_0000, PAGE, RW);
    expect([domain.unmap(0x1001, PAGE), domain.unmap(0x1000, 100), domain.mappedBytes]).toEqual([0, 0, PAGE]);
    expect(bench.kernel.core.log.records().filter(({ level }) => level === 'err')).toHaveLength(2);
  });

  test('5.3.2 5.3.3 5.3.4 kinds without mappings', async () => {
    await using bench = await Bench.start();
    const { blocked, identity } = bench.kernel.iommu;
    for (const domain of [blocked!, identity!]) {
      expect(codeOf(() => domain.map(0x1000, 0x1000, PAGE, RW))).toBe('EINVAL');
      expect(domain.unmap(0x1000, PAGE)).toBe(0);
      expect(bench.take()).toEqual(['iommu-not-paging', 'iommu-not-paging']);
    }
    expect([identity!.iovaToPhys(0x12345), blocked!.iovaToPhys(0x12345)]).toEqual([0x12345, 0]);
  });

  test('5.3.5 after unmap no access hits, after the fast one only sync says so', async () => {
    await using bench = await Bench.start();
    const domain = attached(bench);
    const p = bench.pages(5, 6);
    domain.map(0x1000, p, 2 * PAGE, RW);
    expect([bench.peek(0x1000), bench.peek(0x2000)]).toEqual([5, 6]);
    expect(domain.unmap(0x1000, PAGE)).toBe(PAGE);
    expect([bench.peek(0x1000), bench.peek(0x2000)]).toEqual(['no-entry', 6]);
    expect(domain.unmapFast(0x2000, PAGE)).toBe(PAGE);
    domain.sync();
    expect(bench.peek(0x2000)).toBe('no-entry');
    // Other memory at the same address.
    domain.map(0x1000, p + PAGE, PAGE, RW);
    expect(bench.peek(0x1000)).toBe(6);
  });
});

describe('5.3.6 faults', () => {
  test('G-104 the handler hears of a write that is not allowed, with flags 1', async () => {
    await using bench = await Bench.start();
    const domain = attached(bench);
    const heard: IommuFaultReport[] = [];
    domain.setFaultHandler((fault) => {
      heard.push(fault);
      return undefined;
    });
    const p = bench.page(1);
    domain.map(0x1000, p, PAGE, PROT.READ);
    expect([bench.poke(0x1234, 9), bench.peek(0x1234)]).toEqual(['permission', 0]);
    bench.machine.drain();
    expect(heard.map(({ iova, flags, pasid }) => [iova, flags, pasid])).toEqual([[0x1234, 1, undefined]]);
    expect([heard[0]!.domain === domain, heard[0]!.dev === bench.dev]).toEqual([true, true]);
    expect(bench.peek(0x5000)).toBe('no-entry');
    bench.machine.drain();
    expect([heard[1]!.iova, heard[1]!.flags]).toEqual([0x5000, 0]);
    expect(bench.faults).toMatchObject([
      { reason: 'permission', isWrite: true, iova: 0x1234, requesterId: 0x20, pasid: undefined, result: undefined },
      { reason: 'no-entry', isWrite: false, iova: 0x5000, result: undefined },
    ]);
  });

  test('G-104 without a handler it is ENOSYS; what a handler gives is kept', async () => {
    await using bench = await Bench.start();
    const domain = attached(bench);
    expect(bench.peek(0x1000)).toBe('no-entry');
    bench.machine.drain();
    expect(domain.reportFault(bench.dev, 0x1000, 0)).toBe('ENOSYS');
    domain.setFaultHandler(() => 'EAGAIN');
    expect([bench.peek(0x1000), domain.reportFault(bench.dev, 0x1000, 0)]).toEqual(['no-entry', 'EAGAIN']);
    bench.machine.drain();
    expect(bench.faults.map(({ result }) => result)).toEqual(['ENOSYS', 'EAGAIN']);
  });

  test('a handler is set once, and not for a domain of the DMA API', async () => {
    await using bench = await Bench.start();
    const domain = attached(bench);
    let heard = '';
    domain.setFaultHandler(() => {
      heard += '1';
      return undefined;
    });
    expect(codeOf(() => domain.setFaultHandler(() => void (heard += '2')))).toBe('EINVAL');
    domain.reportFault(bench.dev, 0, 0);
    expect(heard).toBe('1');
    const { defaultDomain } = bench.kernel.iommu.group(bench.dev)!;
    expect(codeOf(() => defaultDomain!.setFaultHandler(() => undefined))).toBe('EINVAL');
    expect(bench.take()).toEqual(['iommu-fault-handler', 'iommu-fault-handler']);
  });

  test('the last 256 are kept, with who, where, when and why, and the log is limited', async () => {
    await using bench = await Bench.start();
    const { iommu } = bench.kernel;
    const domain = iommu.allocDomain(bench.dev);
    iommu.attachPasid(domain, bench.dev, 5);
    bench.machine.elapse(7);
    for (let i = 0; i < 300; i++) bench.port().read(0x10_0000 + i * PAGE, new Uint8Array(1), 0, 1, 5);
    expect([bench.faults.length, iommu.faults.count, bench.faults[0]!.iova, bench.faults[255]!.iova]).toEqual([
      256,
      300,
      0x10_0000 + 44 * PAGE,
      0x10_0000 + 299 * PAGE,
    ]);
    expect(bench.faults[255]).toMatchObject({ pasid: 5, requesterId: 0x20, isWrite: false, reason: 'no-entry', timeUs: 7 });
    const lines = bench.log('iommu_fault').filter((line) => line.startsWith('[DMA'));
    expect(lines.length).toBeLessThan(20);
    expect(lines[0]).toMatch(/^\[DMA Read\] Request device \[00:04\.0\] PASID 0x5 fault addr 0x100000/);
  });

  test('5.3.6 a refused read leaves all ones, and a refused write nothing', async () => {
    await using bench = await Bench.start();
    const domain = attached(bench);
    const p = bench.page(0x77);
    domain.map(0x1000, p, PAGE, PROT.WRITE);
    const out = Uint8Array.of(1, 2, 3, 4);
    expect([bench.port().read(0x1000, out, 1, 2), ...out]).toEqual([false, 1, 0xff, 0xff, 4]);
    expect(bench.port().read32(0x1000)).toBe(0xffff_ffff);
    expect([bench.poke(0x1001, 0x55), bench.machine.dma.read32(p)]).toEqual(['ok', 0x5577]);
  });

  test('5.2.9 messages are not translated, with or without a domain that maps there', async () => {
    await using bench = await Bench.start();
    const domain = attached(bench);
    const messages: number[] = [];
    bench.machine.onMessage((_who, address) => messages.push(address));
    const p = bench.page(0);
    domain.map(0xfee0_0000, p, PAGE, RW);
    bench.cards.get('0000:00:04.0')!.context.irq.post(0xfee0_0000, 0, 0x31);
    expect([messages, bench.machine.dma.read32(p), bench.faults.length]).toEqual([[0xfee0_0000], 0, 0]);
  });
});
