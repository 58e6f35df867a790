import { describe, expect, test } from 'vitest';
import { PROT, Random, type VfioContainer, type VfioDevice } from '../../../core/index.js';
import { Bench, type BenchOptions, PAGE, type Port, UUID, codeOf } from './bench.js';

const VADDR = 0x7000_0000;
/** Numbers that are no address and no size. */
const ODD = [-PAGE, 0.5, Number.NaN, -1];
const OVER = [Number.POSITIVE_INFINITY, 2 ** 64, Number.MAX_VALUE];

interface Scene extends AsyncDisposable {
  readonly bench: Bench;
  readonly port: Port;
  readonly device: VfioDevice;
  readonly container: VfioContainer;
}

/** An open port, whose user has 16 pages of memory that hold their number. */
async function scene(options: BenchOptions = {}): Promise<Scene> {
  const bench = await Bench.start(options);
  const paddr = bench.give(VADDR, 16);
  for (let n = 0; n < 16; n++) bench.machine.dma.write32(paddr + n * PAGE, n);
  const { port } = await bench.open();
  const { device } = port;
  return { bench, port, device, container: device.container!, [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose]() };
}

const map = (container: VfioContainer, iova: number, pages: number, vaddr = VADDR, how = { read: true, write: true }): void =>
  container.map({ iova, vaddr, sizeBytes: pages * PAGE, ...how });

describe('MAP_DMA', () => {
  test('95 maps once: what overlaps is EEXIST, beside it there is room', async () => {
    await using s = await scene();
    map(s.container, 0x1000, 3);
    for (const [iova, pages] of [
      [0x1000, 1],
      [0x1000, 3],
      [0x0000, 2],
      [0x3000, 4],
      [0x0000, 8],
      [0x2000, 1],
    ] as const) {
      expect(codeOf(() => map(s.container, iova, pages))).toBe('EEXIST');
    }
    map(s.container, 0x0000, 1);
    map(s.container, 0x4000, 1);
    expect(s.container.mappingCount).toBe(3);
  });

  test.each<[string, string, Parameters<VfioContainer['map']>[0]]>([
    ['size 0', 'EINVAL', { iova: 0x1000, vaddr: VADDR, sizeBytes: 0, read: true }],
    ['size 0 before all else', 'EINVAL', { iova: 1, vaddr: 2 ** 64, sizeBytes: 0 }],
    ['an iova that wraps', 'EOVERFLOW', { iova: 2 ** 64 - PAGE, vaddr: VADDR, sizeBytes: 2 * PAGE, read: true }],
    ['a vaddr that wraps', 'EOVERFLOW', { iova: 0x1000, vaddr: 2 ** 64 - PAGE, sizeBytes: 2 * PAGE, read: true }],
    ['what wraps, before protection', 'EOVERFLOW', { iova: 2 ** 64 - PAGE, vaddr: 1, sizeBytes: 2 * PAGE }],
    ['no protection', 'EINVAL', { iova: 0x1000, vaddr: VADDR, sizeBytes: PAGE }],
    ['an iova that is no page', 'EINVAL', { iova: 0x1001, vaddr: VADDR, sizeBytes: PAGE, read: true }],
    ['a vaddr that is no page', 'EINVAL', { iova: 0x1000, vaddr: VADDR + 8, sizeBytes: PAGE, read: true }],
    ['a size that is no page', 'EINVAL', { iova: 0x1000, vaddr: VADDR, sizeBytes: PAGE + 1, read: true }],
    ['addresses of messages', 'EINVAL', { iova: 0xfee0_0000, vaddr: VADDR, sizeBytes: PAGE, read: true }],
    ['a range over those', 'EINVAL', { iova: 0xfedf_f000, vaddr: VADDR, sizeBytes: 2 * PAGE, read: true }],
    ['what no device can say', 'EINVAL', { iova: 2 ** 57, vaddr: VADDR, sizeBytes: PAGE, read: true }],
    ['memory that the user has not', 'EFAULT', { iova: 0x1000, vaddr: VADDR - PAGE, sizeBytes: 2 * PAGE, read: true }],
  ])('95 %s is %s, and nothing is mapped', async (_what, code, how) => {
    await using s = await scene();
    expect(codeOf(() => s.container.map(how))).toBe(code);
    expect([s.container.mappingCount, s.container.domain?.mappedBytes ?? 0]).toEqual([0, 0]);
  });

  test('95 no number of hostile ones is mapped', async () => {
    await using s = await scene();
    for (const key of ['iova', 'vaddr', 'sizeBytes'] as const) {
      const good = { iova: 0x1000, vaddr: VADDR, sizeBytes: PAGE, read: true };
      for (const value of ODD)
        expect([key, value, codeOf(() => s.container.map({ ...good, [key]: value }))]).toEqual([key, value, 'EINVAL']);
      for (const value of OVER)
        expect([key, value, codeOf(() => s.container.map({ ...good, [key]: value }))]).toEqual([key, value, 'EOVERFLOW']);
    }
    expect(s.container.mappingCount).toBe(0);
  });

  test('95 overlap is found before the limit, the limit before what cannot be reached', async () => {
    await using s = await scene({ kernel: { vfio: { dmaEntryLimit: 2 } } });
    map(s.container, 0x1000, 1);
    map(s.container, 0x2000, 1);
    expect(codeOf(() => map(s.container, 0x1000, 1))).toBe('EEXIST');
    expect(codeOf(() => map(s.container, 0xfee0_0000, 1))).toBe('ENOSPC');
    s.container.unmap({ iova: 0x1000, sizeBytes: PAGE });
    expect(codeOf(() => map(s.container, 0xfee0_0000, 1))).toBe('EINVAL');
    map(s.container, 0x1000, 1);
  });

  test('memory that the user may not write cannot be mapped for that', async () => {
    await using s = await scene();
    s.bench.give(0x1000, 1, PROT.READ);
    expect(codeOf(() => map(s.container, 0, 1, 0x1000))).toBe('EFAULT');
    expect(codeOf(() => map(s.container, 0, 1, 0x1000, { read: true, write: false }))).toBe('ok');
  });

  test('without a type it is EINVAL, and closed EBADF', async () => {
    await using s = await scene();
    const other = s.bench.vfio.container(s.bench.memory);
    expect(codeOf(() => map(other, 0x1000, 1))).toBe('EINVAL');
    expect(codeOf(() => other.unmap({ iova: 0, sizeBytes: PAGE }))).toBe('EINVAL');
    s.container.close();
    expect(codeOf(() => map(s.container, 0x1000, 1))).toBe('EBADF');
    expect(codeOf(() => s.container.unmap({ iova: 0, sizeBytes: 0, all: true }))).toBe('EBADF');
  });
});

describe('UNMAP_DMA', () => {
  test('95 gives back what was mapped, whole; what cuts is EINVAL, and nothing is size 0', async () => {
    await using s = await scene();
    map(s.container, 0x1000, 3);
    for (const [iova, pages] of [
      [0x1000, 1],
      [0x2000, 1],
      [0x2000, 2],
      [0x2000, 9],
      [0x0000, 3],
    ] as const) {
      expect(codeOf(() => s.container.unmap({ iova, sizeBytes: pages * PAGE }))).toBe('EINVAL');
    }
    expect(s.container.unmap({ iova: 0x10000, sizeBytes: PAGE })).toBe(0);
    expect(s.container.unmap({ iova: 0x1000, sizeBytes: 3 * PAGE })).toBe(3 * PAGE);
    expect([s.container.unmap({ iova: 0x1000, sizeBytes: 3 * PAGE }), s.container.mappingCount]).toEqual([0, 0]);
  });

  test('95 takes all mappings of a range, with its holes', async () => {
    await using s = await scene();
    map(s.container, 0x1000, 1);
    map(s.container, 0x4000, 2);
    map(s.container, 0x8000, 1);
    expect(s.container.unmap({ iova: 0, sizeBytes: 0x7000 })).toBe(3 * PAGE);
    expect(s.container.mappingCount).toBe(1);
  });

  test('95 ALL takes everything, and only without a range', async () => {
    await using s = await scene();
    map(s.container, 0x1000, 1);
    map(s.container, 0x40_0000_0000, 2);
    expect(codeOf(() => s.container.unmap({ iova: PAGE, sizeBytes: 0, all: true }))).toBe('EINVAL');
    expect(codeOf(() => s.container.unmap({ iova: 0, sizeBytes: PAGE, all: true }))).toBe('EINVAL');
    expect(s.container.unmap({ iova: 0, sizeBytes: 0, all: true })).toBe(3 * PAGE);
    expect(s.container.unmap({ iova: 0, sizeBytes: 0, all: true })).toBe(0);
  });

  test.each<[string, string, Parameters<VfioContainer['unmap']>[0]]>([
    ['an iova that is no page', 'EINVAL', { iova: 1, sizeBytes: PAGE }],
    ['an iova that is no page, for all', 'EINVAL', { iova: 1, sizeBytes: 0, all: true }],
    ['a negative iova', 'EINVAL', { iova: -PAGE, sizeBytes: PAGE }],
    ['size 0', 'EINVAL', { iova: 0, sizeBytes: 0 }],
    ['a size that is no page', 'EINVAL', { iova: 0, sizeBytes: 1 }],
    ['a negative size', 'EINVAL', { iova: PAGE, sizeBytes: -PAGE }],
    ['no number', 'EINVAL', { iova: Number.NaN, sizeBytes: PAGE }],
    ['what wraps', 'EOVERFLOW', { iova: 2 ** 63, sizeBytes: 2 ** 64 }],
  ])('95 %s is %s', async (_what, code, how) => {
    await using s = await scene();
    map(s.container, 0, 1);
    expect([codeOf(() => s.container.unmap(how)), s.container.mappingCount]).toEqual([code, 1]);
  });

  test('maps and unmaps in any order keep to a plain model of them', async () => {
    await using s = await scene();
    const random = new Random(0x5eed);
    /** Page of the mapping, by page. */
    const pages = new Map<number, number>();
    const sizes = new Map<number, number>();
    for (let step = 0; step < 2000; step++) {
      const at = random.below(48);
      const count = 1 + random.below(6);
      const hit = Array.from({ length: count }, (_, n) => pages.get(at + n));
      if (random.below(2) === 0) {
        const code = codeOf(() => map(s.container, at * PAGE, count));
        expect(code).toBe(hit.some((page) => page !== undefined) ? 'EEXIST' : 'ok');
        if (code !== 'ok') continue;
        sizes.set(at, count);
        for (let n = 0; n < count; n++) pages.set(at + n, at);
        continue;
      }
      const starts = new Set(hit.filter((page) => page !== undefined));
      const cuts = [...starts].some((start) => start < at || start + sizes.get(start)! > at + count);
      if (cuts) {
        expect(codeOf(() => s.container.unmap({ iova: at * PAGE, sizeBytes: count * PAGE }))).toBe('EINVAL');
        continue;
      }
      const bytes = hit.filter((page) => page !== undefined).length * PAGE;
      expect(s.container.unmap({ iova: at * PAGE, sizeBytes: count * PAGE })).toBe(bytes);
      for (const start of starts) sizes.delete(start);
      for (let n = 0; n < count; n++) pages.delete(at + n);
    }
    expect(s.container.mappingCount).toBe(sizes.size);
  });
});

describe('memory of a user', () => {
  test('4.7.4 a driver reads and writes what is mapped, over pages and mappings', async () => {
    await using s = await scene();
    // The other way round than it lies in memory.
    map(s.container, 0x10000, 1, VADDR + PAGE);
    map(s.container, 0x11000, 1, VADDR);
    const out = new Uint8Array(PAGE + 4);
    s.device.readDma(0x10000, out);
    expect([out[0], out[PAGE]]).toEqual([1, 0]);
    s.device.writeDma(0x10ffe, Uint8Array.of(1, 2, 3, 4));
    const paddr = s.bench.memory.physicalOf(VADDR)!;
    expect([s.bench.machine.dma.read32(paddr) & 0xffff, s.bench.machine.dma.read32(paddr + 2 * PAGE - 4) >>> 16]).toEqual([
      0x0403, 0x0201,
    ]);
  });

  test('4.7.4 what is not mapped is EINVAL, what forbids it EPERM, what is gone EFAULT', async () => {
    await using s = await scene();
    map(s.container, 0x1000, 1, VADDR, { read: true, write: false });
    map(s.container, 0x2000, 1, VADDR, { read: false, write: true });
    const byte = new Uint8Array(1);
    expect(codeOf(() => s.device.readDma(0x3000, byte))).toBe('EINVAL');
    expect(codeOf(() => s.device.readDma(0x1fff, new Uint8Array(2)))).toBe('EPERM');
    expect(codeOf(() => s.device.writeDma(0x1000, byte))).toBe('EPERM');
    expect(codeOf(() => s.device.readDma(0x2000, byte))).toBe('EPERM');
    for (const iova of [-1, Number.NaN, 0.5, 2 ** 64]) expect(codeOf(() => s.device.readDma(iova, byte))).toBe('EINVAL');
    s.bench.memory.unmap(VADDR, PAGE);
    expect(codeOf(() => s.device.readDma(0x1000, byte))).toBe('EFAULT');
  });

  test('4.7.4 of a device that is not open it is EINVAL', async () => {
    await using bench = await Bench.start();
    const { device } = await bench.create();
    expect(codeOf(() => device.readDma(0, new Uint8Array(1)))).toBe('EINVAL');
    expect(codeOf(() => device.pinPages(0, 1, false))).toBe('EINVAL');
    expect(codeOf(() => device.unpinPages(0, 1))).toBe('EINVAL');
  });

  test('4.7.4 to pin pages needs dmaUnmap: EINVAL', async () => {
    await using s = await scene();
    map(s.container, 0, 1);
    expect(codeOf(() => s.device.pinPages(0, 1, false))).toBe('EINVAL');
  });

  test('4.7.4 pages are pinned all or none, at most 512 at once', async () => {
    await using s = await scene({ shape: (it) => Object.assign(it, { dmaUnmap: () => {} }) });
    const { device, container, bench } = s;
    const paddr = bench.memory.physicalOf(VADDR)!;
    map(container, 0x10000, 4);
    map(container, 0x14000, 1, VADDR, { read: true, write: false });
    expect(device.pinPages(0x11000, 2, true)).toEqual([paddr + PAGE, paddr + 2 * PAGE]);
    expect(codeOf(() => device.pinPages(0x13000, 2, true))).toBe('EPERM');
    expect(codeOf(() => device.pinPages(0x13000, 3, false))).toBe('EINVAL');
    expect(codeOf(() => device.pinPages(0x10000, 513, false))).toBe('E2BIG');
    for (const [iova, count] of [
      [0x10001, 1],
      [0x10000, 0],
      [0x10000, -1],
      [0x10000, 0.5],
      [0x10000, Number.NaN],
      [Number.NaN, 1],
      [-PAGE, 1],
    ] as const) {
      expect([iova, count, codeOf(() => device.pinPages(iova, count, false))]).toEqual([iova, count, 'EINVAL']);
    }
    expect(codeOf(() => device.unpinPages(0x13000, 1))).toBe('EINVAL');
    // All or none, too.
    expect(codeOf(() => device.unpinPages(0x12000, 2))).toBe('EINVAL');
    device.unpinPages(0x11000, 2);
    expect(codeOf(() => device.unpinPages(0x11000, 1))).toBe('EINVAL');
  });

  test('4.7.4 an unmap tells the driver that has pages of it, which lets them go, each as often as it pinned it', async () => {
    const told: string[] = [];
    await using s = await scene({
      shape: (it) =>
        Object.assign(it, {
          dmaUnmap: (iova: number, sizeBytes: number) => {
            told.push(`${iova} ${sizeBytes}`);
            it.device.unpinPages(0x11000, 1);
          },
        }),
    });
    map(s.container, 0x10000, 4);
    map(s.container, 0x20000, 1);
    s.device.pinPages(0x11000, 1, false);
    s.device.pinPages(0x11000, 1, false);
    expect(s.container.unmap({ iova: 0x20000, sizeBytes: PAGE })).toBe(PAGE);
    expect(told).toEqual([]);
    expect(s.container.unmap({ iova: 0x10000, sizeBytes: 4 * PAGE })).toBe(4 * PAGE);
    expect(told).toEqual(['65536 16384', '65536 16384']);
  });

  test('4.7.4 a driver that keeps them is told ten times; then a rule is broken, and the mapping stays', async () => {
    let told = 0;
    await using s = await scene({ shape: (it) => Object.assign(it, { dmaUnmap: () => void told++ }) });
    map(s.container, 0x10000, 4);
    s.device.pinPages(0x10000, 1, false);
    expect(codeOf(() => s.container.unmap({ iova: 0x10000, sizeBytes: 4 * PAGE }))).toBe('EINVAL');
    expect([told, s.bench.violations.splice(0), s.container.mappingCount]).toEqual([10, ['vfio-pages-left-pinned'], 1]);
    s.device.unpinPages(0x10000, 1);
    expect(s.container.unmap({ iova: 0x10000, sizeBytes: 4 * PAGE })).toBe(4 * PAGE);
  });

  test('pins are forgotten with the last close', async () => {
    await using bench = await Bench.start({ shape: (it) => Object.assign(it, { dmaUnmap: () => {} }) });
    bench.give(VADDR, 1);
    const { port, file } = await bench.open();
    map(port.device.container!, 0, 1);
    port.device.pinPages(0, 1, true);
    await file.close();
    const again = bench.vfio.openDevice(UUID);
    await again.bind(bench.vfio.container(bench.memory));
    map(port.device.container!, 0, 1);
    expect(codeOf(() => port.device.unpinPages(0, 1))).toBe('EINVAL');
    expect(port.device.container!.unmap({ iova: 0, sizeBytes: PAGE })).toBe(PAGE);
  });
});

describe('what hardware reaches', () => {
  const options: BenchOptions = { port: { pasid: true } };
  const peek = (bench: Bench, iova: number, pasid: number | undefined): number | string => {
    const out = new Uint8Array(1);
    const before = bench.machine.iommuFaults.length;
    if (bench.cards[0]!.context.dma.read(iova, out, 0, 1, pasid)) return out[0]!;
    return bench.machine.iommuFaults[before]?.reason ?? 'no fault';
  };

  test('4.7.4 with the PASID of a device is what its user maps, until he unmaps it', async () => {
    await using s = await scene(options);
    const { pasid } = s.device;
    map(s.container, 0x10000, 4, VADDR + PAGE);
    expect([pasid, peek(s.bench, 0x10000, pasid), peek(s.bench, 0x13000, pasid)]).toEqual([1, 1, 4]);
    expect([peek(s.bench, 0x14000, pasid), peek(s.bench, 0x10000, undefined)]).toEqual(['no-entry', 'no-entry']);
    s.container.unmap({ iova: 0x10000, sizeBytes: 4 * PAGE });
    expect([peek(s.bench, 0x10000, pasid), s.container.domain!.mappedBytes]).toEqual(['no-entry', 0]);
  });

  test('4.7.4 memory in pieces is mapped piece by piece, and only as it may be accessed', async () => {
    await using s = await scene(options);
    const { pasid } = s.device;
    s.bench.give(VADDR + 16 * PAGE, 1);
    map(s.container, 0x10000, 2, VADDR + 15 * PAGE, { read: true, write: false });
    expect([peek(s.bench, 0x10000, pasid), peek(s.bench, 0x11000, pasid)]).toEqual([15, 0]);
    const { dma } = s.bench.cards[0]!.context;
    expect(dma.write(0x10000, Uint8Array.of(1), 0, 1, pasid)).toBe(false);
    expect(s.bench.machine.iommuFaults.at(-1)).toMatchObject({ reason: 'permission', isWrite: true });
  });

  test('two devices of one user have one PASID, of two users two, and neither reaches the other’s', async () => {
    await using s = await scene(options);
    const { bench, container } = s;
    map(container, 0x10000, 1, VADDR + PAGE);
    const other = await bench.create('83b8f4f2-509f-382f-3c1e-e6bfe0fa1002');
    const shared = bench.vfio.openDevice(other.dev.name);
    await shared.bind(container);
    expect(other.device.pasid).toBe(s.device.pasid);
    await shared.close();
    expect(other.device.pasid).toBeUndefined();
    expect(peek(bench, 0x10000, s.device.pasid)).toBe(1);
    const alone = bench.vfio.openDevice(other.dev.name);
    await alone.bind(bench.vfio.container(bench.memory));
    expect(other.device.pasid).toBe(2);
    expect(peek(bench, 0x10000, 2)).toBe('no-entry');
  });

  test('mappings that were made before the device came are there for it', async () => {
    await using bench = await Bench.start(options);
    bench.give(VADDR, 1);
    const { device } = await bench.create();
    const container = bench.vfio.container(bench.memory);
    const group = bench.vfio.openGroup(device.group.name);
    group.setContainer(container);
    container.setIommu('type1v2');
    map(container, 0x10000, 1);
    expect(container.domain).toBeUndefined();
    await group.getDevice(UUID);
    expect([peek(bench, 0x10000, device.pasid), container.domain!.mappedBytes]).toEqual([0, PAGE]);
  });

  test('closing takes the PASID away: what the hardware sends then is refused', async () => {
    await using bench = await Bench.start(options);
    bench.give(VADDR, 1);
    const { port, file } = await bench.open();
    const { pasid, container } = port.device;
    map(container!, 0x10000, 1);
    await file.close();
    expect([peek(bench, 0x10000, pasid), port.device.pasid, container!.domain, container!.mappingCount]).toEqual([
      'blocked',
      undefined,
      undefined,
      0,
    ]);
  });

  test('a device without PASIDs cannot be opened so: ENODEV, and nothing is left', async () => {
    await using bench = await Bench.start({ ...options, pasidBits: 0 });
    const { device } = await bench.create();
    await using file = bench.vfio.openDevice(UUID);
    const container = bench.vfio.container(bench.memory);
    expect(codeOf(() => file.bind(container))).toBe('ENODEV');
    expect([device.openCount, device.container, container.type, container.domain]).toEqual([0, undefined, undefined, undefined]);
    expect(bench.violations).toEqual([]);
  });
});
