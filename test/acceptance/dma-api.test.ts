import { describe, expect, test } from 'vitest';
import { DMA_MAPPING_ERROR, DmaAttr, type Device, type DmaPages, ERRNO, PROT, SgList } from 'backplane';
import { Bench, PAGE, codeOf } from './iommu-bench.js';

const GIB4 = 2 ** 32;

describe('5.4 DMA API: addresses', () => {
  test('G-105 from the top of the first 4 GiB down; the place within a page stays', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { dma } = bench.kernel;
    dma.setMask(dev, 64);
    const pages = dma.pages(dev, 4 * PAGE);
    expect(dma.map(dev, pages, 'to-device', { length: PAGE }).address).toBe(0xffff_f000);
    expect(dma.map(dev, pages, 'to-device', { length: PAGE }).address).toBe(0xffff_e000);
    const part = dma.map(dev, pages, 'to-device', { offset: 0x80, length: 0x123 });
    expect([part.address % PAGE, part.address < 0xffff_e000]).toEqual([0x80, true]);
  });

  test('5.4.4 sizes are rounded to a power of two of granules, and aligned to it', async () => {
    await using bench = await Bench.start();
    const { dma } = bench.kernel;
    const pages = dma.pages(bench.dev, 8 * PAGE);
    expect(dma.map(bench.dev, pages, 'to-device', { length: 3 * PAGE }).address).toBe(0xffff_c000);
    expect(dma.map(bench.dev, pages, 'to-device', { length: PAGE }).address).toBe(0xffff_b000);
    expect(dma.map(bench.dev, pages, 'to-device', { length: 2 * PAGE }).address).toBe(0xffff_8000);
    // Two bytes that are in two granules take two.
    const split = dma.map(bench.dev, pages, 'to-device', { offset: PAGE - 1, length: 2 });
    expect(split.address).toBe(0xffff_6fff);
  });

  test('5.4.4 below 4 GiB first, above with one notice, and never 0', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { dma } = bench.kernel;
    dma.setMask(dev, 40);
    const huge = dma.pages(dev, 2 ** 30);
    const addresses: number[] = [];
    for (let i = 0; i < 5; i++) addresses.push(dma.map(dev, huge, 'to-device').address);
    const low = addresses.filter((address) => address < GIB4);
    // 0 is never used, and the upper quarter has the addresses of messages.
    expect(low).toEqual([0x8000_0000, 0x4000_0000]);
    expect([addresses.includes(0), addresses.every((address) => address < 2 ** 40)]).toEqual([false, true]);
    const notices = bench.kernel.core.log.records().filter(({ text }) => /Using \d+-bit DMA addresses/.test(text));
    expect(notices).toHaveLength(1);
    expect(notices[0]!.text).toMatch(/Using 40-bit DMA addresses/);
  });

  test("the addresses of messages are nobody's", async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { dma } = bench.kernel;
    const pages = dma.pages(dev, 2 ** 23);
    for (let i = 0; i < 8; i++) {
      const { address } = dma.map(dev, pages, 'to-device');
      expect(address + 2 ** 23 <= 0xfee0_0000 || address >= 0xfef0_0000).toBe(true);
    }
  });

  test('5.4.1 the direction is what the device may do', async () => {
    await using bench = await Bench.start();
    const { dma } = bench.kernel;
    const pages = dma.pages(bench.dev, PAGE);
    const to = dma.map(bench.dev, pages, 'to-device').address;
    const from = dma.map(bench.dev, pages, 'from-device').address;
    const both = dma.map(bench.dev, pages, 'bidirectional').address;
    expect([bench.peek(to), bench.poke(to, 1)]).toEqual([0, 'permission']);
    expect([bench.peek(from), bench.poke(from, 1)]).toEqual(['permission', 'ok']);
    expect([bench.peek(both), bench.poke(both, 2), bench.peek(to)]).toEqual([1, 'ok', 2]);
    const prots = [...bench.kernel.iommu.domainOf(bench.dev)!.mappings()].map(({ prot }) => prot & ~PROT.CACHE);
    expect(prots.toSorted((a, b) => a - b)).toEqual([PROT.READ, PROT.WRITE, PROT.READ | PROT.WRITE]);
  });

  test('5.4.1 what is no direction is refused by every call', async () => {
    await using bench = await Bench.start();
    const { calls } = bench.kernel.dma;
    const bad = (name: keyof typeof calls, ...args: unknown[]): string =>
      codeOf(() => Reflect.apply(Reflect.get(calls, name), calls, [bench.dev, ...args]));
    for (const direction of ['none', 3, undefined]) {
      expect(bad('mapSingle', new Uint8Array(8), 8, direction)).toBe('EINVAL');
      expect(bad('unmapSingle', 0x1000, 8, direction)).toBe('EINVAL');
      expect(bad('syncSingleForCpu', 0x1000, 8, direction)).toBe('EINVAL');
      expect(bad('mapSg', new SgList([{ buffer: new Uint8Array(8) }]), 1, direction)).toBe('EINVAL');
    }
  });

  test('5.4.2 the bits of the attributes', () => {
    expect(DmaAttr).toEqual({
      WEAK_ORDERING: 1 << 1,
      WRITE_COMBINE: 1 << 2,
      NO_KERNEL_MAPPING: 1 << 4,
      SKIP_CPU_SYNC: 1 << 5,
      FORCE_CONTIGUOUS: 1 << 6,
      ALLOC_SINGLE_PAGES: 1 << 7,
      NO_WARN: 1 << 8,
      PRIVILEGED: 1 << 9,
    });
  });
});

describe('5.4.3 masks', () => {
  test('a mask that no memory is within is EIO; what is no mask is EINVAL; the old one stays', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { dma } = bench.kernel;
    expect(dma.mask(dev)).toBe(0xffff_ffff);
    expect(codeOf(() => dma.setMask(dev, 12))).toBe('EIO');
    expect(codeOf(() => dma.setMask(dev, 0xf0f0_f0f0))).toBe('EINVAL');
    expect(codeOf(() => dma.setMask(dev, 0))).toBe('EINVAL');
    expect(dma.mask(dev)).toBe(0xffff_ffff);
    dma.setMask(dev, 36);
    expect(dma.mask(dev)).toBe(2 ** 36 - 1);
    await bench.kernel.core.unbind(dev);
    expect(dma.mask(dev)).toBe(0xffff_ffff);
  });

  test('addresses keep to it', async () => {
    await using bench = await Bench.start();
    const { dma } = bench.kernel;
    dma.setMask(bench.dev, 28);
    expect(dma.map(bench.dev, new Uint8Array(8), 'to-device').address).toBe(0x0fff_f000);
    expect(dma.alloc(bench.dev, PAGE).address).toBe(0x0fff_e000);
  });

  test('5.4.4 without an IOMMU: physical, a copy where that is beyond the mask, EIO where there is no memory', async () => {
    await using bench = await Bench.start({ iommu: false });
    const { dev } = bench;
    const { dma } = bench.kernel;
    const pages = dma.pages(dev, PAGE);
    pages.fill(0x5a);
    dma.setMask(dev, 53);
    expect(dma.map(dev, pages, 'bidirectional').address).toBe(pages.physicalAddress);
    const high = bench.kernel.host.dma.alloc(2 ** 32, { mask: 2 ** 53 - 1 });
    try {
      dma.setMask(dev, 24);
      const far = dma.pages(dev, 2 ** 25);
      far.fill(0x5a, 0, PAGE);
      if (far.physicalAddress + PAGE > 2 ** 24) {
        const near = dma.map(dev, far, 'bidirectional', { length: 16 });
        expect([near.address < 2 ** 24, bench.peek(near.address)]).toEqual([true, 0x5a]);
        near.unmap();
      }
      expect(codeOf(() => dma.map(dev, far, 'to-device'))).toBe('EIO');
      expect(dma.calls.mapSingle(dev, far, 2 ** 25, 'to-device')).toBe(DMA_MAPPING_ERROR);
    } finally {
      bench.kernel.host.dma.free(high);
    }
  });
});

describe('G-106 what cannot be mapped', () => {
  /** Takes all addresses that the device can send. */
  function exhaust(bench: Bench): DmaPages {
    const { dma } = bench.kernel;
    dma.setMask(bench.dev, 24);
    const pages = dma.pages(bench.dev, 2 ** 24);
    const exhausted = (): boolean => codeOf(() => dma.map(bench.dev, pages, 'to-device', { length: 2 ** 20 })) !== 'ok';
    while (!exhausted());
    while (codeOf(() => dma.map(bench.dev, pages, 'to-device', { length: PAGE })) === 'ok');
    return pages;
  }

  test('is all ones from mapSingle and mapPage, 0 from mapSg, ENOMEM from mapSgTable and from map', async () => {
    await using bench = await Bench.start();
    const pages = exhaust(bench);
    const { dma } = bench.kernel;
    const { calls } = dma;
    const { dev } = bench;
    const failed = calls.mapSingle(dev, pages, PAGE, 'to-device');
    expect([failed, calls.mappingError(dev, failed)]).toEqual([DMA_MAPPING_ERROR, -ERRNO.ENOMEM]);
    expect(calls.mapPage(dev, pages, PAGE, 64, 'from-device')).toBe(DMA_MAPPING_ERROR);
    const list = new SgList([
      { buffer: pages, length: PAGE },
      { buffer: pages, offset: PAGE, length: PAGE },
    ]);
    expect([calls.mapSg(dev, list, 2, 'to-device'), list.segments]).toEqual([0, []]);
    expect(codeOf(() => calls.mapSgTable(dev, list, 'to-device'))).toBe('ENOMEM');
    expect(codeOf(() => dma.map(dev, pages, 'to-device'))).toBe('ENOMEM');
    expect(codeOf(() => dma.alloc(dev, PAGE))).toBe('ENOMEM');
    expect(calls.allocCoherent(dev, PAGE)).toBeUndefined();
    expect(bench.take()).toEqual([]);
  });

  test('an empty list is 0, or EINVAL', async () => {
    await using bench = await Bench.start();
    const { calls } = bench.kernel.dma;
    expect(calls.mapSg(bench.dev, new SgList([]), 0, 'to-device')).toBe(0);
    expect(codeOf(() => calls.mapSgTable(bench.dev, new SgList([]), 'to-device'))).toBe('EINVAL');
  });

  test('after an address is given back it can be mapped', async () => {
    await using bench = await Bench.start();
    const { dma } = bench.kernel;
    dma.setMask(bench.dev, 24);
    const pages = dma.pages(bench.dev, 2 ** 23);
    const first = dma.map(bench.dev, pages, 'to-device');
    expect(codeOf(() => dma.map(bench.dev, pages, 'to-device'))).toBe('ENOMEM');
    first.unmap();
    expect(dma.map(bench.dev, pages, 'to-device').address).toBe(first.address);
  });
});

describe('5.4.6 lists', () => {
  const page = (bench: Bench, dev: Device, count = 1): DmaPages => bench.kernel.dma.pages(dev, count * PAGE);

  test('parts that follow each other are fewer segments; unmap with the count that was mapped', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { calls } = bench.kernel.dma;
    const [a, b, c] = [page(bench, dev), page(bench, dev), page(bench, dev)];
    [a, b, c].forEach((each, i) => each.fill(i + 1));
    const list = new SgList([{ buffer: a }, { buffer: b }, { buffer: c, offset: 0x100, length: 0x200 }]);
    const count = calls.mapSg(dev, list, 3, 'to-device');
    expect(count).toBe(list.segments.length);
    expect(list.segments.map(({ sizeBytes }) => sizeBytes)).toEqual([2 * PAGE, 0x200]);
    const [first, second] = list.segments;
    expect([bench.peek(first!.address), bench.peek(first!.address + PAGE), bench.peek(second!.address)]).toEqual([1, 2, 3]);
    expect(second!.address % PAGE).toBe(0x100);
    calls.unmapSg(dev, list, 3, 'to-device');
    expect([bench.peek(first!.address), bench.take()]).toEqual(['no-entry', ['use-after-unmap']]);
  });

  test('maxSegmentBytes and boundary are kept', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { dma } = bench.kernel;
    dma.setLimits(dev, { maxSegmentBytes: 2 * PAGE });
    const parts = Array.from({ length: 4 }, () => ({ buffer: page(bench, dev) }));
    const mapping = dma.mapSg(dev, parts, 'to-device');
    expect(mapping.segments.map(({ sizeBytes }) => sizeBytes)).toEqual([2 * PAGE, 2 * PAGE]);
    dma.setLimits(dev, { maxSegmentBytes: 65_536, boundaryMask: PAGE - 1 });
    const split = dma.mapSg(dev, parts, 'to-device');
    expect(split.segments.map(({ sizeBytes }) => sizeBytes)).toEqual([PAGE, PAGE, PAGE, PAGE]);
    expect(bench.take()).toEqual([]);
  });

  test('without an IOMMU each part is a segment', async () => {
    await using bench = await Bench.start({ iommu: false });
    const { dev } = bench;
    const { dma } = bench.kernel;
    const both = page(bench, dev, 2);
    const list = new SgList([
      { buffer: both, length: PAGE },
      { buffer: both, offset: PAGE },
    ]);
    expect(dma.calls.mapSg(dev, list, 2, 'to-device')).toBe(2);
    expect(list.segments.map(({ address }) => address)).toEqual([both.physicalAddress, both.physicalAddress + PAGE]);
    dma.calls.unmapSg(dev, list, 2, 'to-device');
    expect(bench.take()).toEqual([]);
  });
});

describe('5.4.7 memory that both share', () => {
  test('is zeroed, whatever was there, seen by both, and freed at unbind', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { dma } = bench.kernel;
    const before = bench.machine.dma.allocatedBytes;
    dma.alloc(dev, PAGE).fill(0xff);
    const dirty = dma.alloc(dev, 2 * PAGE);
    dirty.fill(0xff);
    dirty[Symbol.dispose]();
    const buffer = dma.alloc(dev, 2 * PAGE);
    expect([bench.peek(buffer.address), bench.peek(buffer.address + 2 * PAGE - 1)]).toEqual([0, 0]);
    buffer.write32(4, 0x1122_3344);
    expect([bench.port().read32(buffer.address + 4), bench.poke(buffer.address + 8, 0x99), buffer.read32(8)]).toEqual([
      0x1122_3344,
      'ok',
      0x99,
    ]);
    await bench.kernel.core.unbind(dev);
    expect([bench.machine.dma.allocatedBytes, codeOf(() => buffer.read32(0)), bench.take()]).toEqual([
      before,
      'ENODEV',
      ['use-after-unbind'],
    ]);
    expect(bench.peek(buffer.address)).not.toBe(0);
  });

  test('what was taken last is given back first', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    bench.kernel.dma.alloc(dev, 100);
    bench.kernel.dma.map(dev, new Uint8Array(50), 'to-device');
    bench.kernel.dma.pages(dev, 200);
    const labels = dev.devres.entries().map(({ label }) => label);
    expect(labels.filter((label) => label.startsWith('dma'))).toEqual([
      'dma pages 200 bytes',
      'dma map 50 bytes',
      'dma 100 bytes',
    ]);
  });

  test('sizes and alignments that cannot be are EINVAL', async () => {
    await using bench = await Bench.start();
    const { dma } = bench.kernel;
    for (const size of [0, -1, 1.5, Number.NaN]) expect(codeOf(() => dma.alloc(bench.dev, size))).toBe('EINVAL');
    expect(codeOf(() => dma.alloc(bench.dev, 8, { alignBytes: 48 }))).toBe('EINVAL');
    expect(dma.alloc(bench.dev, 8, { alignBytes: 2 ** 16 }).address % 2 ** 16).toBe(0);
  });
});

describe('5.4.8 sync', () => {
  test('the device works on what it was shown: a sync that is missing shows', async () => {
    await using bench = await Bench.start({ kernel: { dma: { forceBounce: true } } });
    const { dev } = bench;
    const { dma } = bench.kernel;
    const pages = dma.pages(dev, PAGE);
    pages.fill(1);
    const mapping = dma.map(dev, pages, 'bidirectional');
    pages.fill(2);
    expect(bench.peek(mapping.address)).toBe(1);
    mapping.syncForDevice();
    expect(bench.peek(mapping.address)).toBe(2);
    bench.poke(mapping.address, 3);
    expect(pages.read32(0) & 0xff).toBe(2);
    mapping.syncForCpu();
    expect(pages.read32(0) & 0xff).toBe(3);
    bench.poke(mapping.address, 4);
    mapping.unmap();
    expect(pages.read32(0) & 0xff).toBe(4);
  });

  test('SKIP_CPU_SYNC copies nothing by itself', async () => {
    await using bench = await Bench.start({ kernel: { dma: { forceBounce: true } } });
    const { dev } = bench;
    const { dma } = bench.kernel;
    const pages = dma.pages(dev, PAGE);
    pages.fill(7);
    const mapping = dma.map(dev, pages, 'bidirectional', { attrs: DmaAttr.SKIP_CPU_SYNC });
    bench.poke(mapping.address, 9);
    mapping.unmap();
    expect(pages.read32(0) & 0xff).toBe(7);
  });

  test('only the part that is synchronised', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { calls } = bench.kernel.dma;
    const array = new Uint8Array(64);
    const address = bench.map(array, 64, 'from-device');
    bench.poke(address + 10, 1);
    bench.poke(address + 20, 2);
    calls.syncSingleRangeForCpu(dev, address, 16, 8, 'from-device');
    expect([array[10], array[20]]).toEqual([0, 2]);
    calls.unmapSingle(dev, address, 64, 'from-device');
    expect([array[10], bench.take()]).toEqual([1, []]);
  });
});

describe('5.4.5 lazy invalidation', () => {
  test('an address is used again only after hardware was told', async () => {
    await using bench = await Bench.start({ kernel: { dma: { lazy: true } } });
    const { dev } = bench;
    const { dma } = bench.kernel;
    const pages = dma.pages(dev, PAGE);
    const first = dma.map(dev, pages, 'to-device');
    expect(bench.peek(first.address)).toBe(0);
    first.unmap();
    expect(dma.map(dev, pages, 'to-device').address).not.toBe(first.address);
    dma.flush();
    expect(bench.peek(first.address)).toBe('no-entry');
    expect(bench.take()).toEqual(['use-after-unmap']);
    expect(dma.map(dev, pages, 'to-device').address).toBe(first.address);
  });
});
