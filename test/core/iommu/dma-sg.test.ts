import { describe, expect, test } from 'vitest';
import { SgList } from '../../../core/iommu/index.js';
import { dmaOn } from './dma-fixture.js';

const PAGE = 4096;

describe('Dma.mapSg', () => {
  test('makes one segment of pages that are full, wherever they are', async () => {
    const { dma, dev, deviceReads, domain } = await dmaOn();
    const list = [0, 1, 2].map((n) => {
      const buffer = dma.pages(dev, PAGE);
      buffer.fill(n);
      return { buffer };
    });
    const { segments, address, sizeBytes } = dma.mapSg(dev, list, 'to-device');
    expect([segments, sizeBytes]).toEqual([[{ address, sizeBytes: 3 * PAGE }], 3 * PAGE]);
    expect(address).toBe(0xffff_c000);
    expect([0, 1, 2].flatMap((n) => deviceReads(address + n * PAGE, 1))).toEqual([0, 1, 2]);
    expect(domain.mappedBytes).toBe(3 * PAGE);
  });

  test('begins a new segment where a page is not full', async () => {
    const { dma, dev } = await dmaOn();
    const buffer = dma.pages(dev, 4 * PAGE);
    const { segments, address } = dma.mapSg(
      dev,
      [
        { buffer, offset: 0x100, length: PAGE - 0x100 },
        { buffer, offset: PAGE, length: 0x200 },
        { buffer, offset: 2 * PAGE },
      ],
      'to-device',
    );
    expect(segments).toEqual([
      { address, sizeBytes: PAGE + 0x100 },
      { address: address - 0x100 + 2 * PAGE, sizeBytes: 2 * PAGE },
    ]);
  });

  test('keeps to the limits of the device', async () => {
    const { dma, dev, domain } = await dmaOn();
    dma.setLimits(dev, { maxSegmentBytes: 2 * PAGE });
    const list = [0, 1, 2].map(() => ({ buffer: dma.pages(dev, PAGE) }));
    expect(dma.mapSg(dev, list, 'to-device').segments.map(({ sizeBytes }) => sizeBytes)).toEqual([2 * PAGE, PAGE]);
    // 3 pages and 2 pages: the second would cross a multiple of 4 pages.
    dma.setLimits(dev, { maxSegmentBytes: 65_536, boundaryMask: 4 * PAGE - 1 });
    const before = domain.mappedBytes;
    const mapping = dma.mapSg(dev, [{ buffer: dma.pages(dev, 3 * PAGE) }, { buffer: dma.pages(dev, 2 * PAGE) }], 'to-device');
    const [first, second] = mapping.segments;
    expect([first!.address % (4 * PAGE), second!.address - first!.address]).toEqual([0, 4 * PAGE]);
    mapping.unmap();
    expect(domain.mappedBytes).toBe(before);
  });

  test('refuses limits that cannot be, and gives them back at unbind', async () => {
    const { dma, dev, core } = await dmaOn();
    expect(() => dma.setLimits(dev, { maxSegmentBytes: 0 })).toThrow('EINVAL: dev0: dma: elements of 0 bytes');
    expect(() => dma.setLimits(dev, { boundaryMask: 0x1234 })).toThrow('EINVAL');
    dma.setLimits(dev, { maxSegmentBytes: 1 });
    expect(dev.devres.entries().map(({ label }) => label)).toEqual(['dma limits']);
    await core.unbind(dev);
    expect(dev.devres.size).toBe(0);
  });

  test('copies arrays, each for itself', async () => {
    const { dma, dev, deviceReads, deviceWrites, machine } = await dmaOn();
    const a = Uint8Array.of(1, 2);
    const b = Uint8Array.of(3, 4, 5);
    const mapping = dma.mapSg(dev, [{ buffer: a }, { buffer: b, offset: 1 }], 'bidirectional');
    const [first, second] = mapping.segments;
    expect([first!.sizeBytes, second!.sizeBytes]).toEqual([2, 2]);
    expect(deviceReads(second!.address, 2)).toEqual([4, 5]);
    deviceWrites(first!.address, 10, 20);
    deviceWrites(second!.address, 40, 50);
    mapping.syncForCpu(1, 2);
    expect([...a, ...b]).toEqual([1, 20, 3, 40, 5]);
    mapping.unmap();
    expect([...a, ...b, machine.dma.allocatedBytes]).toEqual([10, 20, 3, 40, 50, 0]);
  });

  test('without an IOMMU has a segment for each element', async () => {
    const { dma, dev } = await dmaOn({ translated: false });
    const buffer = dma.pages(dev, 2 * PAGE);
    const at = buffer.physicalAddress;
    const list = [
      { buffer, length: PAGE },
      { buffer, offset: PAGE },
    ];
    expect(dma.mapSg(dev, list, 'to-device').segments).toEqual([
      { address: at, sizeBytes: PAGE },
      { address: at + PAGE, sizeBytes: PAGE },
    ]);
  });

  test('that cannot be made leaves nothing', async () => {
    const { dma, dev, domain, machine } = await dmaOn();
    dma.setMask(dev, 24);
    const list = [{ buffer: new Uint8Array(8) }, { buffer: dma.pages(dev, 2 ** 24) }];
    expect(() => dma.mapSg(dev, list, 'to-device')).toThrow('ENOMEM: dev0: dma map 16777224 bytes');
    expect([domain.mappedBytes, machine.dma.allocatedBytes]).toEqual([0, 2 ** 24]);
    expect(() => dma.mapSg(dev, [], 'to-device')).toThrow('EINVAL: dev0: dma map of an empty list');
  });
});

describe('DmaCalls, lists', () => {
  test('mapSg gives the number of segments, and unmapSg takes that of elements', async () => {
    const { dma, dev, violations, domain } = await dmaOn();
    const list = new SgList([0, 1, 2].map(() => ({ buffer: dma.pages(dev, PAGE) })));
    expect(dma.calls.mapSg(dev, list, list.length, 'to-device')).toBe(1);
    expect(list.segments).toEqual([{ address: 0xffff_c000, sizeBytes: 3 * PAGE }]);
    dma.calls.unmapSg(dev, list, list.length, 'to-device');
    expect([violations, domain.mappedBytes]).toEqual([[], 0]);
    expect(dma.calls.mapSg(dev, list, 2, 'to-device')).toBe(1);
    dma.calls.unmapSg(dev, list, 1, 'to-device');
    expect(violations.map(({ rule, text }) => [rule, text])).toEqual([
      [
        'dma-sg-count-mismatch',
        'DMA-API: driver dev0: device driver frees DMA sg list with different entry count [map count=2] [unmap count=1]',
      ],
    ]);
    expect(domain.mappedBytes).toBe(0);
  });

  test('G-106 mapSg gives 0, and mapSgTable the code', async () => {
    const { dma, dev, core } = await dmaOn();
    dma.setMask(dev, 24);
    const list = new SgList([{ buffer: dma.pages(dev, 2 ** 24) }]);
    dma.setLimits(dev, { maxSegmentBytes: 2 ** 24 });
    expect(dma.calls.mapSg(dev, list, 1, 'to-device')).toBe(0);
    expect(() => dma.calls.mapSgTable(dev, list, 'to-device')).toThrow('ENOMEM: dev0: dma map of a list of 1: no I/O addresses');
    expect(() => dma.calls.mapSgTable(dev, new SgList([]), 'to-device')).toThrow(
      'EINVAL: dev0: dma map of a list of 0: it is empty',
    );
    expect(
      core.log
        .records()
        .filter(({ id }) => id === 'dma_map_failed')
        .map(({ text }) => text),
    ).toContain('dma map 16777216 bytes: no I/O addresses are free within the mask');
  });

  test('a segment beyond the limits of the device is reported', async () => {
    const { dma, dev, violations } = await dmaOn();
    dma.setLimits(dev, { maxSegmentBytes: PAGE, boundaryMask: PAGE - 1 });
    const list = new SgList([{ buffer: dma.pages(dev, 4 * PAGE, { alignBytes: 4 * PAGE }), offset: PAGE, length: 2 * PAGE }]);
    dma.calls.mapSg(dev, list, 1, 'to-device');
    expect(violations.map(({ text }) => text.replace(/^DMA-API: driver dev0: /, '').replace(/=0x[0-9a-f]+/g, '=x'))).toEqual([
      'mapping sg segment longer than device claims to support [len=8192] [max=4096]',
      'mapping sg segment across boundary [start=x] [end=x] [boundary=x]',
    ]);
  });

  test('syncs find the list, and its length', async () => {
    const { dma, dev, rules, deviceWrites } = await dmaOn();
    const data = Uint8Array.of(1, 2);
    const list = new SgList([{ buffer: data }, { buffer: new Uint8Array(1) }]);
    dma.calls.mapSg(dev, list, 2, 'from-device');
    deviceWrites(list.segments[0]!.address, 7);
    dma.calls.syncSgForCpu(dev, list, 2, 'from-device');
    expect([data[0], rules()]).toEqual([7, []]);
    dma.calls.syncSgForDevice(dev, list, 1, 'from-device');
    expect(rules()).toEqual(['dma-sg-count-mismatch']);
    dma.calls.unmapSg(dev, list, 2, 'from-device');
  });
});
