import { describe, expect, test } from 'vitest';
import type { Device } from '../../../core/device/index.js';
import { DMA_MAPPING_ERROR, type Dma, DmaAttr, type DmaPages } from '../../../core/iommu/index.js';
import { dmaOn } from './dma-fixture.js';

const PAGE = 4096;
const PREFIX = 'DMA-API: driver dev0: device driver ';

/** Maps, asks, and gives the address. */
function mapped(dma: Dma, dev: Device, buffer: Uint8Array | DmaPages, sizeBytes = 64, attrs = 0): number {
  const address = dma.calls.mapSingle(dev, buffer, sizeBytes, 'to-device', attrs);
  expect(dma.calls.mappingError(dev, address)).toBe(0);
  return address;
}

describe('unmap', () => {
  test('K1 of the address that is none', async () => {
    const { dma, dev, violations } = await dmaOn();
    dma.calls.unmapSingle(dev, DMA_MAPPING_ERROR, 64, 'to-device');
    expect(violations).toEqual([
      { rule: 'dma-unmap-error', dev: 'dev0', text: `${PREFIX}tries to free an invalid DMA memory address` },
    ]);
    expect(dma.calls.mappingError(dev, DMA_MAPPING_ERROR)).toBe(-12);
  });

  test('K2 G-109 a second time', async () => {
    const { dma, dev, violations } = await dmaOn();
    const address = mapped(dma, dev, new Uint8Array(64));
    dma.calls.unmapSingle(dev, address, 64, 'to-device');
    expect(violations).toEqual([]);
    dma.calls.unmapSingle(dev, address, 64, 'to-device');
    const where = '[device address=0x00000000fffff000] [size=64 bytes]';
    expect(violations).toEqual([
      { rule: 'dma-double-unmap', dev: 'dev0', text: `${PREFIX}tries to free DMA memory it has not allocated ${where}` },
    ]);
  });

  test('K3 with another size ends the whole mapping', async () => {
    const { dma, dev, violations, domain } = await dmaOn();
    const address = mapped(dma, dev, new Uint8Array(2 * PAGE), 2 * PAGE);
    dma.calls.unmapSingle(dev, address, PAGE, 'to-device');
    const where = '[device address=0x00000000ffffe000] [map size=8192 bytes] [unmap size=4096 bytes]';
    expect(violations).toEqual([
      { rule: 'dma-size-mismatch', dev: 'dev0', text: `${PREFIX}frees DMA memory with different size ${where}` },
    ]);
    expect([domain.mappedBytes, dma.debug.dump()]).toEqual([0, []]);
  });

  test('K4 G-111 by the call of another kind', async () => {
    const { dma, dev, violations } = await dmaOn();
    const pages = dma.pages(dev, PAGE);
    const address = dma.calls.mapPage(dev, pages, 0, PAGE, 'bidirectional');
    dma.calls.mappingError(dev, address);
    dma.calls.freeCoherent(dev, PAGE, pages, address);
    expect(violations.map(({ rule }) => rule)).toEqual(['dma-wrong-function']);
    expect(violations[0]!.text).toBe(
      `${PREFIX}frees DMA memory with wrong function [device address=0x00000000fffff000] [size=4096 bytes] ` +
        '[mapped as single] [unmapped as coherent]',
    );
    expect(pages.isLive).toBe(true);
  });

  test('K5 of coherent memory with other memory', async () => {
    const { dma, dev, rules, machine } = await dmaOn();
    const buffer = dma.calls.allocCoherent(dev, PAGE)!;
    const other = dma.alloc(dev, PAGE);
    dma.calls.freeCoherent(dev, PAGE, other, buffer.address);
    expect([rules(), buffer.isLive, other.isLive]).toEqual([['dma-cpu-address-mismatch'], false, true]);
    expect(machine.dma.allocatedBytes).toBe(PAGE);
  });

  test('K7 with another direction', async () => {
    const { dma, dev, violations } = await dmaOn();
    const address = mapped(dma, dev, new Uint8Array(64));
    dma.calls.unmapPage(dev, address, 64, 'from-device');
    expect(violations.map(({ rule }) => rule)).toEqual(['dma-direction-mismatch']);
    expect(violations[0]!.text).toMatch(
      /with different direction .*\[mapped with DMA_TO_DEVICE\] \[unmapped with DMA_FROM_DEVICE\]$/,
    );
  });

  test('K8 G-110 of what was not asked for; coherent memory needs no question', async () => {
    const { dma, dev, violations, rules } = await dmaOn();
    const address = dma.calls.mapSingle(dev, new Uint8Array(64), 64, 'to-device');
    dma.calls.unmapSingle(dev, address, 64, 'to-device');
    expect(violations.map(({ text }) => text)).toEqual([
      `${PREFIX}failed to check map error [device address=0x00000000fffff000] [size=64 bytes] [mapped as single]`,
    ]);
    dma.calls.unmapSingle(dev, mapped(dma, dev, new Uint8Array(64)), 64, 'to-device');
    const buffer = dma.calls.allocCoherent(dev, 64)!;
    dma.calls.freeCoherent(dev, 64, buffer, buffer.address);
    dma.map(dev, new Uint8Array(64), 'to-device').unmap();
    expect(rules()).toEqual(['dma-unchecked-mapping']);
  });

  test('K9 with other attributes', async () => {
    const { dma, dev, violations } = await dmaOn();
    const address = mapped(dma, dev, new Uint8Array(64), 64, DmaAttr.WEAK_ORDERING);
    dma.calls.unmapSingle(dev, address, 64, 'to-device');
    expect(violations.map(({ rule }) => rule)).toEqual(['dma-attrs-mismatch']);
    expect(violations[0]!.text).toMatch(/\[mapped with 0x2\] \[unmapped with 0x0\]$/);
  });

  test('reports several in one call, in order', async () => {
    const { dma, dev, rules } = await dmaOn();
    const address = dma.calls.mapSingle(dev, new Uint8Array(64), 64, 'to-device', DmaAttr.WEAK_ORDERING);
    dma.calls.unmapSingle(dev, address, 32, 'from-device');
    expect(rules()).toEqual(['dma-size-mismatch', 'dma-direction-mismatch', 'dma-unchecked-mapping', 'dma-attrs-mismatch']);
  });

  test('of an address with several mappings ends the one that fits, and none when none does', async () => {
    const { dma, dev, rules } = await dmaOn({ translated: false });
    const pages = dma.pages(dev, PAGE);
    const address = mapped(dma, dev, pages, 64);
    expect(mapped(dma, dev, pages, 128)).toBe(address);
    dma.calls.unmapSingle(dev, address, 96, 'to-device');
    expect(rules()).toEqual(['dma-double-unmap']);
    dma.calls.unmapSingle(dev, address, 128, 'to-device');
    dma.calls.unmapSingle(dev, address, 64, 'to-device');
    expect([rules(), dma.debug.dump()]).toEqual([['dma-double-unmap'], []]);
  });
});

describe('map', () => {
  test.each([
    [1, []],
    [64, ['dma-overlap']],
  ])('K10 G-112 of one line of the cache twice, where buffers are aligned to %d bytes', async (alignBytes, expected) => {
    const { dma, dev, violations, rules } = await dmaOn({ debug: { alignBytes } });
    const pages = dma.pages(dev, PAGE);
    dma.map(dev, pages, 'to-device', { length: 32 });
    dma.map(dev, pages, 'to-device', { offset: 32, length: 32 });
    const first = dma.map(dev, pages, 'from-device', { length: 32 });
    expect(rules()).toEqual([]);
    dma.map(dev, pages, 'from-device', { offset: 32, length: 32 }).unmap();
    expect(rules()).toEqual(expected);
    dma.map(dev, pages, 'from-device', { offset: 32, length: 32, attrs: DmaAttr.SKIP_CPU_SYNC }).unmap();
    first.unmap();
    dma.map(dev, pages, 'from-device', { offset: 32, length: 32 });
    const data = new Uint8Array(256);
    dma.map(dev, data.subarray(0, 64), 'from-device');
    dma.map(dev, data.subarray(64, 128), 'from-device');
    expect(rules()).toEqual(expected);
    if (expected.length > 0) {
      expect(violations[0]!.text).toBe("DMA-API: driver dev0: cacheline tracking EEXIST, overlapping mappings aren't supported");
    }
  });

  test('K11 of memory that cannot be mapped', async () => {
    const { dma, dev, violations } = await dmaOn();
    const pages = dma.pages(dev, 64);
    expect(dma.calls.mapSingle(dev, pages, 65, 'to-device')).toBe(DMA_MAPPING_ERROR);
    pages[Symbol.dispose]();
    expect(dma.calls.mapSingle(dev, pages, 64, 'to-device')).toBe(DMA_MAPPING_ERROR);
    expect(violations.map(({ rule }) => rule)).toEqual(['dma-bad-memory', 'dma-bad-memory']);
    expect(violations[0]!.text).toMatch(/maps memory from invalid area \[addr=0x[0-9a-f]+\] \[len=65\]$/);
  });
});

describe('sync', () => {
  test('K13 of what is not mapped', async () => {
    const { dma, dev, rules } = await dmaOn();
    dma.calls.syncSingleForCpu(dev, 0x1000, 4, 'to-device');
    expect(rules()).toEqual(['dma-sync-not-mapped']);
  });

  test('K14 beyond the mapping; a part of it is found by any of its addresses', async () => {
    const { dma, dev, violations } = await dmaOn();
    const data = new Uint8Array(3 * PAGE);
    const address = mapped(dma, dev, data, 3 * PAGE);
    dma.calls.syncSingleForDevice(dev, address + 2 * PAGE + 5, 10, 'to-device');
    dma.calls.syncSingleRangeForDevice(dev, address, 2 * PAGE, PAGE, 'to-device');
    expect(violations).toEqual([]);
    dma.calls.syncSingleRangeForDevice(dev, address, 2 * PAGE, PAGE + 1, 'to-device');
    expect(violations.map(({ rule }) => rule)).toEqual(['dma-sync-range']);
    expect(violations[0]!.text).toMatch(/\[allocation size=12288 bytes\] \[sync offset\+size=12289\]$/);
  });

  test('K15 K16 with another direction, for the CPU of what the device reads', async () => {
    const { dma, dev, rules } = await dmaOn();
    const address = mapped(dma, dev, new Uint8Array(64));
    dma.calls.syncSingleForCpu(dev, address, 64, 'from-device');
    expect(rules()).toEqual(['dma-sync-direction', 'dma-sync-read-only']);
    dma.calls.syncSingleForCpu(dev, address, 64, 'to-device');
    expect(rules().length).toBe(2);
  });

  test('K17 for the device of what it writes; one in both directions takes any', async () => {
    const { dma, dev, rules } = await dmaOn();
    const address = dma.calls.mapSingle(dev, new Uint8Array(64), 64, 'from-device');
    dma.calls.syncSingleForDevice(dev, address, 64, 'to-device');
    expect(rules()).toEqual(['dma-sync-direction', 'dma-sync-write-only']);
    const both = dma.calls.mapSingle(dev, new Uint8Array(64), 64, 'bidirectional');
    dma.calls.syncSingleForDevice(dev, both, 64, 'to-device');
    expect(rules().length).toBe(2);
  });
});

describe('the end of a binding', () => {
  test('K18 G-107 reports what is left, and undoes it', async () => {
    const { core, dev, dma, violations, domain, machine } = await dmaOn({
      probe: (api, device) => {
        mapped(api, device, new Uint8Array(64));
        mapped(api, device, new Uint8Array(128), 128);
      },
    });
    await core.unbind(dev);
    expect(violations.map(({ rule }) => rule)).toEqual(['dma-leak-at-unbind']);
    expect(violations[0]!.text).toContain(`${PREFIX}has pending DMA allocations while released from device [count=2]\n`);
    expect(violations[0]!.text).toMatch(
      /\[size=\d+ bytes\] \[mapped with DMA_TO_DEVICE\] \[mapped as single\] \[mapped by driver\]$/,
    );
    expect([domain.mappedBytes, machine.dma.allocatedBytes, dma.debug.dump(), dev.devres.size]).toEqual([0, 0, [], 0]);
  });

  test('is no error for what releases of the binding unmap, also those that came before the mapping', async () => {
    const { core, dev, violations, domain } = await dmaOn({
      probe: (dma, device) => {
        let address = 0;
        device.devres.defer('ring', () => dma.calls.unmapSingle(device, address, 64, 'to-device'));
        address = mapped(dma, device, new Uint8Array(64));
        const buffer = dma.calls.allocCoherent(device, 64)!;
        device.devres.defer('buffer', () => dma.calls.freeCoherent(device, 64, buffer, buffer.address));
      },
    });
    await core.unbind(dev);
    expect([violations, domain.mappedBytes, dev.devres.size]).toEqual([[], 0, 0]);
  });

  test('a probe that fails leaves nothing mapped', async () => {
    const { dev, rules, domain } = await dmaOn({
      probe: (dma, device) => {
        using group = device.devres.group('ring');
        mapped(dma, device, new Uint8Array(64));
        expect(group).toBeDefined();
        throw new Error('no');
      },
    });
    expect([dev.bound, domain.mappedBytes, dev.devres.size]).toEqual([false, 0, 0]);
    expect(rules()).toContain('dma-leak-at-unbind');
  });

  test('a group that ends leaves mappings that its driver will unmap', async () => {
    const { core, dev, dma, rules } = await dmaOn();
    const group = dev.devres.group('ring');
    const address = mapped(dma, dev, new Uint8Array(64));
    await group[Symbol.asyncDispose]();
    expect([rules(), dma.debug.dump().length]).toEqual([[], 1]);
    dma.calls.unmapSingle(dev, address, 64, 'to-device');
    await core.unbind(dev);
    expect(rules()).toEqual([]);
  });
});

describe('DmaDebug', () => {
  test('counts every error and logs the first', async () => {
    const { dma, dev, errors } = await dmaOn();
    for (let i = 0; i < 3; i++) dma.calls.unmapSingle(dev, 0x1000 * (i + 1), 64, 'to-device');
    expect([dma.debug.errorCount, errors().length]).toEqual([3, 1]);
    dma.debug.numErrors = 1;
    dma.calls.unmapSingle(dev, 0x1000, 64, 'to-device');
    dma.debug.allErrors = true;
    for (let i = 0; i < 2; i++) dma.calls.unmapSingle(dev, 0x1000, 64, 'to-device');
    expect([dma.debug.errorCount, errors().length]).toEqual([6, 4]);
  });

  test('logs the errors of one driver alone', async () => {
    const { dma, dev, errors } = await dmaOn({ debug: { allErrors: true, driverFilter: 'other' } });
    dma.calls.unmapSingle(dev, 0x1000, 64, 'to-device');
    expect([dma.debug.errorCount, errors()]).toEqual([1, []]);
    dma.debug.driverFilter = 'driver';
    dma.calls.unmapSingle(dev, 0x1000, 64, 'to-device');
    expect(errors().length).toBe(1);
  });

  test('ends when more is mapped than it can keep track of', async () => {
    const { dma, dev, rules, core, domain } = await dmaOn({ debug: { entries: 2 } });
    const kept = [0, 1].map(() => dma.map(dev, new Uint8Array(1), 'to-device'));
    expect([dma.debug.minFreeEntries, dma.debug.totalEntries, dma.debug.disabled]).toEqual([0, 2, false]);
    kept.push(dma.map(dev, new Uint8Array(1), 'to-device'));
    expect(dma.debug.disabled).toBe(true);
    dma.calls.unmapSingle(dev, 0x1000, 64, 'to-device');
    dma.calls.mapSingle(dev, new Uint8Array(1), 1, 'to-device');
    for (const mapping of kept) mapping.unmap();
    await core.unbind(dev);
    expect([rules(), domain.mappedBytes]).toEqual([[], 0]);
    const said = core.log.records().filter(({ text }) => text === 'DMA-API: debugging out of memory - disabling');
    expect(said.length).toBe(1);
  });

  test('dumps what is mapped', async () => {
    const { dma, dev } = await dmaOn({ translated: false });
    const pages = dma.pages(dev, PAGE);
    const at = pages.physicalAddress.toString(16);
    dma.calls.mapPage(dev, pages, 0, 256, 'from-device');
    dma.map(dev, pages, 'bidirectional');
    expect(dma.debug.dump()).toEqual([
      `driver dev0 single P=${at} D=${at} L=100 DMA_FROM_DEVICE dma map error not checked`,
      `driver dev0 single P=${at} D=${at} L=1000 DMA_BIDIRECTIONAL dma map error check not applicable`,
    ]);
  });
});
