import { describe, expect, test } from 'vitest';
import { DMA_MAPPING_ERROR, DmaAttr, type PciDevice, SgList } from 'backplane';
import { Bench, PAGE, codeOf } from './iommu-bench.js';

const PREFIX = 'DMA-API: bench 0000:00:04.0: ';
const at = (address: number): string => `[device address=0x${address.toString(16).padStart(16, '0')}]`;

describe('5.5.2 unmap', () => {
  test('K1 the address that is none', async () => {
    await using bench = await Bench.start();
    bench.kernel.dma.calls.unmapSingle(bench.dev, DMA_MAPPING_ERROR, 64, 'to-device');
    expect(bench.texts()).toEqual([`${PREFIX}device driver tries to free an invalid DMA memory address`]);
  });

  test('K2 G-109 twice, what was never mapped, and what another device has', async () => {
    await using bench = await Bench.start({ cards: [{ at: '00:04.0' }, { at: '00:05.0' }] });
    const { calls } = bench.kernel.dma;
    const address = bench.map(new Uint8Array(64), 64, 'to-device');
    calls.unmapSingle(bench.at('0000:00:05.0'), address, 64, 'to-device');
    expect(bench.texts()).toEqual([
      `DMA-API: bench 0000:00:05.0: device driver tries to free DMA memory it has not allocated ${at(address)} [size=64 bytes]`,
    ]);
    calls.unmapSingle(bench.dev, address, 64, 'to-device');
    expect(bench.texts()).toEqual([]);
    calls.unmapSingle(bench.dev, address, 64, 'to-device');
    calls.unmapSingle(bench.dev, 0x1000, 64, 'to-device');
    expect(bench.texts().map((text) => text.includes('tries to free DMA memory it has not allocated'))).toEqual([true, true]);
  });

  test('K3 another size; the unmap counts as done', async () => {
    await using bench = await Bench.start();
    const { calls, debug } = bench.kernel.dma;
    const address = bench.map(new Uint8Array(64), 64, 'to-device');
    calls.unmapSingle(bench.dev, address, 32, 'to-device');
    expect(bench.texts()).toEqual([
      `${PREFIX}device driver frees DMA memory with different size ${at(address)} [map size=64 bytes] [unmap size=32 bytes]`,
    ]);
    expect([debug.dump(), bench.kernel.iommu.domainOf(bench.dev)!.mappedBytes]).toEqual([[], 0]);
  });

  test('K4 G-111 another function: single as coherent, coherent as single, list as single', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { dma } = bench.kernel;
    const { calls } = dma;
    const pages = dma.pages(dev, PAGE);
    const address = calls.mapPage(dev, pages, 0, PAGE, 'bidirectional');
    calls.mappingError(dev, address);
    calls.freeCoherent(dev, PAGE, pages, address);
    const [text, ...more] = bench.texts();
    expect(more).toEqual([]);
    expect(text).toContain('device driver frees DMA memory with wrong function');
    expect(text).toMatch(/\[mapped as \S+\] \[unmapped as coherent\]/);
    const shared = calls.allocCoherent(dev, PAGE)!;
    calls.unmapSingle(dev, shared.address, PAGE, 'bidirectional');
    expect(bench.take()).toEqual(['dma-wrong-function']);
    const list = new SgList([{ buffer: pages }]);
    calls.mapSg(dev, list, 1, 'to-device');
    calls.unmapSingle(dev, list.segments[0]!.address, PAGE, 'to-device');
    expect(bench.texts()).toMatchObject([
      expect.stringMatching(/wrong function .*\[mapped as scatter-gather\] \[unmapped as single\]/),
    ]);
    expect(dma.debug.dump()).toEqual([]);
  });

  test('K5 coherent memory with another CPU address', async () => {
    await using bench = await Bench.start();
    const { calls } = bench.kernel.dma;
    const [one, two] = [calls.allocCoherent(bench.dev, PAGE)!, calls.allocCoherent(bench.dev, PAGE)!];
    calls.freeCoherent(bench.dev, PAGE, two, one.address);
    expect(bench.texts()).toMatchObject([expect.stringContaining('frees DMA memory with different CPU address')]);
    expect([one.isLive, two.isLive]).toEqual([false, true]);
    calls.freeCoherent(bench.dev, PAGE, two, two.address);
    expect(bench.texts()).toEqual([]);
  });

  test('K6 a list with another count of entries', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { dma } = bench.kernel;
    const list = new SgList([{ buffer: dma.pages(dev, PAGE) }, { buffer: dma.pages(dev, PAGE) }]);
    expect(dma.calls.mapSg(dev, list, 2, 'to-device')).toBe(1);
    // The number of segments in place of that of the elements.
    dma.calls.unmapSg(dev, list, 1, 'to-device');
    expect(bench.texts()).toEqual([
      `${PREFIX}device driver frees DMA sg list with different entry count [map count=2] [unmap count=1]`,
    ]);
  });

  test('K7 another direction', async () => {
    await using bench = await Bench.start();
    const address = bench.map(new Uint8Array(64), 64, 'to-device');
    bench.kernel.dma.calls.unmapSingle(bench.dev, address, 64, 'bidirectional');
    expect(bench.texts()).toEqual([
      `${PREFIX}device driver frees DMA memory with different direction ${at(address)} [size=64 bytes] ` +
        '[mapped with DMA_TO_DEVICE] [unmapped with DMA_BIDIRECTIONAL]',
    ]);
  });

  test('K8 G-110 a mapping that nobody asked about; lists and coherent memory need no question', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { dma } = bench.kernel;
    const { calls } = dma;
    const unchecked = calls.mapSingle(dev, new Uint8Array(64), 64, 'to-device');
    calls.unmapSingle(dev, unchecked, 64, 'to-device');
    expect(bench.texts()).toMatchObject([expect.stringContaining('failed to check map error')]);
    calls.unmapSingle(dev, bench.map(new Uint8Array(64), 64, 'to-device'), 64, 'to-device');
    const list = new SgList([{ buffer: new Uint8Array(64) }]);
    calls.mapSg(dev, list, 1, 'to-device');
    calls.unmapSg(dev, list, 1, 'to-device');
    const shared = calls.allocCoherent(dev, 64)!;
    calls.freeCoherent(dev, 64, shared, shared.address);
    expect(bench.texts()).toEqual([]);
  });

  test('K9 other attributes', async () => {
    await using bench = await Bench.start();
    const address = bench.map(new Uint8Array(64), 64, 'to-device', DmaAttr.WEAK_ORDERING);
    bench.kernel.dma.calls.unmapSingle(bench.dev, address, 64, 'to-device', DmaAttr.SKIP_CPU_SYNC);
    expect(bench.texts()).toMatchObject([expect.stringContaining('frees DMA memory with different attributes')]);
  });

  test('several at once, in the order of the table', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { calls } = bench.kernel.dma;
    const address = calls.mapSingle(dev, new Uint8Array(64), 64, 'to-device', DmaAttr.WEAK_ORDERING);
    const list = new SgList([]);
    list.segments = [{ address, sizeBytes: 32 }];
    calls.unmapSg(dev, list, 2, 'to-device');
    // Size, function, count, check and attributes; in the direction alone they agree.
    expect(bench.take()).toEqual([
      'dma-size-mismatch',
      'dma-wrong-function',
      'dma-sg-count-mismatch',
      'dma-unchecked-mapping',
      'dma-attrs-mismatch',
    ]);
  });

  test('5.5.1 of several at an address the perfect fit wins; without one nothing is found', async () => {
    await using bench = await Bench.start({ iommu: false });
    const { dev } = bench;
    const { dma } = bench.kernel;
    const pages = dma.pages(dev, PAGE);
    const a = bench.map(pages, 100, 'to-device');
    const b = bench.map(pages, 200, 'to-device');
    const c = bench.map(pages, 100, 'from-device');
    expect([b, c]).toEqual([a, a]);
    dma.calls.unmapSingle(dev, a, 200, 'from-device');
    expect(bench.texts()).toMatchObject([expect.stringContaining('it has not allocated')]);
    dma.calls.unmapSingle(dev, a, 100, 'from-device');
    dma.calls.unmapSingle(dev, a, 200, 'to-device');
    expect(bench.texts()).toEqual([]);
    // One is left: it is found, whatever is said of it.
    dma.calls.unmapSingle(dev, a, 100, 'from-device');
    expect([bench.take(), dma.debug.dump()]).toEqual([['dma-direction-mismatch'], []]);
  });
});

describe('5.5.2 map', () => {
  test('K10 G-112 two in a line of the cache, where the platform is not coherent', async () => {
    await using bench = await Bench.start({ kernel: { dma: { debug: { alignBytes: 64 } } } });
    const pages = bench.kernel.dma.pages(bench.dev, PAGE);
    const { calls } = bench.kernel.dma;
    const map = (offset: number, direction: 'to-device' | 'from-device', attrs = 0): void => {
      calls.mappingError(bench.dev, calls.mapPage(bench.dev, pages, offset, 16, direction, attrs));
    };
    map(0, 'to-device');
    map(0, 'to-device');
    map(64, 'from-device');
    map(128, 'from-device');
    map(80, 'from-device', DmaAttr.SKIP_CPU_SYNC);
    expect(bench.texts()).toEqual([]);
    map(96, 'from-device');
    expect(bench.texts()).toEqual([`${PREFIX}cacheline tracking EEXIST, overlapping mappings aren't supported`]);
    await bench.kernel.core.unbind(bench.dev);
    expect(bench.take()).toEqual(['dma-leak-at-unbind']);
  });

  test('K10 G-112 where it is coherent there is nothing to report', async () => {
    await using bench = await Bench.start();
    const pages = bench.kernel.dma.pages(bench.dev, PAGE);
    using _one = bench.kernel.dma.map(bench.dev, pages, 'from-device');
    using _two = bench.kernel.dma.map(bench.dev, pages, 'from-device');
    expect(bench.texts()).toEqual([]);
  });

  test('K11 memory that cannot be mapped', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { dma } = bench.kernel;
    const freed = dma.pages(dev, PAGE);
    freed[Symbol.dispose]();
    expect(dma.calls.mapSingle(dev, freed, 16, 'to-device')).toBe(DMA_MAPPING_ERROR);
    expect(bench.texts()).toMatchObject([expect.stringContaining('device driver maps memory from')]);
    expect(codeOf(() => dma.map(dev, freed, 'to-device'))).toBe('ENODEV');
    expect(dma.debug.dump()).toEqual([]);
  });

  test('K12 an element that is longer than the device claims to support', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { dma } = bench.kernel;
    dma.setLimits(dev, { maxSegmentBytes: 1024 });
    const list = new SgList([{ buffer: dma.pages(dev, PAGE), length: 1025 }]);
    expect(dma.calls.mapSg(dev, list, 1, 'to-device')).toBe(1);
    expect(bench.texts()).toEqual([`${PREFIX}mapping sg segment longer than device claims to support [len=1025] [max=1024]`]);
  });

  test('K12 an element that crosses the boundary at the device is reported', async () => {
    await using bench = await Bench.start({ iommu: false });
    const { dev } = bench;
    const { dma } = bench.kernel;
    const pages = dma.pages(dev, 4 * PAGE, { alignBytes: 4 * PAGE });
    dma.setLimits(dev, { boundaryMask: PAGE - 1 });
    const list = new SgList([{ buffer: pages, offset: PAGE - 8, length: 16 }]);
    expect(dma.calls.mapSg(dev, list, 1, 'to-device')).toBe(1);
    expect(bench.texts()).toMatchObject([expect.stringContaining('mapping sg segment across boundary')]);
  });

  test('K12 an element that crosses nothing at the device, wherever the CPU has it, is not', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { dma } = bench.kernel;
    const pages = dma.pages(dev, 4 * PAGE, { alignBytes: 4 * PAGE });
    dma.setLimits(dev, { boundaryMask: 2 * PAGE - 1 });
    // Two pages that are on both sides of a multiple of two pages in memory; at the device they are not.
    const list = new SgList([{ buffer: pages, offset: PAGE, length: 2 * PAGE }]);
    expect(dma.calls.mapSg(dev, list, 1, 'to-device')).toBe(1);
    expect(list.segments[0]!.address % (2 * PAGE)).toBe(0);
    expect(bench.texts()).toEqual([]);
  });
});

describe('5.5.2 sync', () => {
  test('K13 what is not mapped', async () => {
    await using bench = await Bench.start();
    bench.kernel.dma.calls.syncSingleForCpu(bench.dev, 0x1000, 64, 'from-device');
    expect(bench.texts()).toMatchObject([expect.stringContaining('tries to sync DMA memory it has not allocated')]);
  });

  test('K14 beyond the end', async () => {
    await using bench = await Bench.start();
    const { calls } = bench.kernel.dma;
    const address = bench.map(new Uint8Array(64), 64, 'from-device');
    calls.syncSingleRangeForCpu(bench.dev, address, 32, 32, 'from-device');
    expect(bench.texts()).toEqual([]);
    calls.syncSingleRangeForCpu(bench.dev, address, 32, 33, 'from-device');
    calls.syncSingleForDevice(bench.dev, address, 65, 'from-device');
    expect(bench.texts()).toMatchObject([
      expect.stringContaining('syncs DMA memory outside allocated range'),
      expect.stringContaining('syncs DMA memory outside allocated range'),
    ]);
  });

  test('K15 K16 K17 directions, for each mapping and each sync', async () => {
    await using bench = await Bench.start();
    const { calls } = bench.kernel.dma;
    const DIRECTIONS = ['to-device', 'from-device', 'bidirectional'] as const;
    const found: string[] = [];
    for (const mapped of DIRECTIONS) {
      const address = bench.map(new Uint8Array(64), 64, mapped);
      for (const synced of DIRECTIONS) {
        for (const call of ['syncSingleForCpu', 'syncSingleForDevice'] as const) {
          calls[call](bench.dev, address, 64, synced);
          const rules = bench.take().map((rule) => rule.replace('dma-sync-', ''));
          if (rules.length > 0) found.push(`${mapped} ${synced} ${call.slice(13)}: ${rules.join(' ')}`);
        }
      }
      calls.unmapSingle(bench.dev, address, 64, mapped);
    }
    expect(found).toEqual([
      'to-device from-device Cpu: direction read-only',
      'to-device from-device Device: direction',
      'to-device bidirectional Cpu: direction read-only',
      'to-device bidirectional Device: direction',
      'from-device to-device Cpu: direction',
      'from-device to-device Device: direction write-only',
      'from-device bidirectional Cpu: direction',
      'from-device bidirectional Device: direction write-only',
    ]);
  });

  test('K16 K17 their texts', async () => {
    await using bench = await Bench.start();
    const { calls } = bench.kernel.dma;
    calls.syncSingleForCpu(bench.dev, bench.map(new Uint8Array(8), 8, 'to-device'), 8, 'from-device');
    calls.syncSingleForDevice(bench.dev, bench.map(new Uint8Array(8), 8, 'from-device'), 8, 'to-device');
    expect(bench.texts()).toMatchObject([
      expect.stringContaining('syncs DMA memory with different direction'),
      expect.stringContaining('syncs device read-only DMA memory for cpu'),
      expect.stringContaining('syncs DMA memory with different direction'),
      expect.stringContaining('syncs device write-only DMA memory to device'),
    ]);
  });
});

describe('5.5.2 unbind', () => {
  test('K18 G-107 what a driver leaves, once, with the count and one of them; and it is undone', async () => {
    let left: number[] = [];
    await using bench = await Bench.start();
    const { calls } = bench.kernel.dma;
    left = [bench.map(new Uint8Array(64), 64, 'to-device'), bench.map(new Uint8Array(32), 32, 'from-device')];
    await bench.kernel.core.unbind(bench.dev);
    const texts = bench.texts();
    expect(texts).toHaveLength(1);
    expect(texts[0]).toContain('device driver has pending DMA allocations while released from device [count=2]');
    expect(texts[0]).toMatch(/One of leaked entries details: \[device address=0x[0-9a-f]{16}\] \[size=(64|32) bytes\]/);
    expect(left.map((address) => bench.port().reach(address, 1, false) + bench.port().reach(address, 1, true))).toEqual([0, 0]);
    expect(calls.mappingError(bench.dev, left[0]!)).toBe(0);
  });

  test('K18 coherent memory by the calls, and lists, count too; managed mappings are no leak', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { dma } = bench.kernel;
    dma.calls.allocCoherent(dev, 100);
    dma.map(dev, new Uint8Array(8), 'to-device');
    dma.alloc(dev, 8);
    await bench.kernel.core.unbind(dev);
    expect(bench.texts()).toMatchObject([expect.stringContaining('[count=1]')]);
    expect(bench.machine.dma.allocatedBytes).toBe(0);
  });

  test('K18 what `remove` unmaps is no leak', async () => {
    let address = 0;
    await using bench = await Bench.start({
      driver: {
        remove: (dev: PciDevice) => bench.kernel.dma.calls.unmapSingle(dev, address, 64, 'to-device'),
      },
    });
    address = bench.map(new Uint8Array(64), 64, 'to-device');
    await bench.kernel.core.unbind(bench.dev);
    expect(bench.texts()).toEqual([]);
  });
});
