import { describe, expect, test } from 'vitest';
import type { Device } from '../../../core/device/index.js';
import { DmaAttr, type DmaDirection, PROT } from '../../../core/iommu/index.js';
import { dmaOn } from './dma-fixture.js';

const PAGE = 4096;

describe('Dma.map, addresses', () => {
  test('G-105 go down from 4 GiB, and keep the offset in the page', async () => {
    const { dma, dev } = await dmaOn();
    dma.setMask(dev, 64);
    const pages = dma.pages(dev, 3 * PAGE);
    expect(dma.map(dev, pages, 'to-device', { length: PAGE }).address).toBe(0xffff_f000);
    expect(dma.map(dev, pages, 'to-device', { length: PAGE }).address).toBe(0xffff_e000);
    expect(dma.map(dev, pages, 'to-device', { offset: 0x80, length: 0x123 }).address).toBe(0xffff_d080);
    expect(dma.map(dev, new Uint8Array(PAGE), 'to-device', { offset: 0x80, length: 0x123 }).address).toBe(0xffff_c080);
    // Two pages, as the part crosses from one into the next.
    expect(dma.map(dev, pages, 'to-device', { offset: 0xff0, length: 0x20 }).address).toBe(0xffff_aff0);
  });

  test('are within the mask, and are used again', async () => {
    const { dma, dev, domain } = await dmaOn();
    dma.setMask(dev, 28);
    const first = dma.map(dev, new Uint8Array(PAGE), 'to-device');
    expect(first.address).toBe(0x0fff_f000);
    first.unmap();
    expect(domain.mappedBytes).toBe(0);
    expect(dma.map(dev, new Uint8Array(PAGE), 'to-device').address).toBe(0x0fff_f000);
  });

  test('above 4 GiB come when those below are used up, with one notice', async () => {
    const { dma, dev, core } = await dmaOn();
    dma.setMask(dev, 64);
    const pages = dma.pages(dev, 2 ** 30);
    const addresses = Array.from({ length: 5 }, () => dma.map(dev, pages, 'to-device').address);
    // The topmost GiB has the interrupt messages, the lowest has page 0.
    expect(addresses).toEqual([2 ** 31, 2 ** 30, 2 ** 48 - 2 ** 30, 2 ** 48 - 2 * 2 ** 30, 2 ** 48 - 3 * 2 ** 30]);
    const notices = core.log.records().filter(({ id }) => id === 'dma_bits');
    expect(notices.map(({ who, level, text }) => [who, level, text])).toEqual([['dev0', 'notice', 'Using 48-bit DMA addresses']]);
  });

  test('never are where interrupt messages go', async () => {
    const { dma, dev } = await dmaOn();
    const pages = dma.pages(dev, 2 ** 20);
    for (let i = 0; i < 32; i++) expect(dma.map(dev, pages, 'to-device').address).not.toBe(0xfee0_0000);
  });

  test('G-106 that are used up are an error', async () => {
    const { dma, dev } = await dmaOn();
    dma.setMask(dev, 24);
    const pages = dma.pages(dev, 2 ** 23);
    dma.map(dev, pages, 'to-device');
    expect(() => dma.map(dev, pages, 'to-device')).toThrow(
      'ENOMEM: dev0: dma map 8388608 bytes: no I/O addresses are free within the mask',
    );
    expect(dma.calls.mapSingle(dev, pages, 2 ** 23, 'to-device')).toBe(Number.MAX_SAFE_INTEGER);
  });

  test('are used again only after a flush where that is put off', async () => {
    const { dma, dev, machine, domain } = await dmaOn({ lazy: true });
    const mapping = dma.map(dev, new Uint8Array(PAGE), 'to-device');
    mapping.unmap();
    expect(domain.mappedBytes).toBe(0);
    expect(dma.map(dev, new Uint8Array(PAGE), 'to-device').address).toBe(mapping.address - PAGE);
    dma.flush();
    const again = dma.map(dev, new Uint8Array(PAGE), 'to-device');
    expect(again.address).toBe(mapping.address);
    again.unmap();
    machine.elapse(10_000);
    expect(dma.map(dev, new Uint8Array(PAGE), 'to-device').address).toBe(mapping.address);
  });

  test('that wait for a flush are flushed when no others are left', async () => {
    const { dma, dev } = await dmaOn({ lazy: true });
    dma.setMask(dev, 24);
    const pages = dma.pages(dev, 2 ** 23);
    for (let i = 0; i < 3; i++) dma.map(dev, pages, 'to-device').unmap();
    expect(dma.map(dev, pages, 'to-device').address).toBe(2 ** 23);
  });
});

describe('Dma.map, what the device may do', () => {
  test.each<[DmaDirection, number]>([
    ['to-device', PROT.READ],
    ['from-device', PROT.WRITE],
    ['bidirectional', PROT.READ | PROT.WRITE],
  ])('%s', async (direction, prot) => {
    const { dma, dev, domain } = await dmaOn();
    dma.map(dev, dma.pages(dev, PAGE), direction);
    dma.map(dev, dma.pages(dev, PAGE), direction, { attrs: DmaAttr.PRIVILEGED });
    const prots = [...domain.mappings()].map((range) => range.prot);
    expect(prots).toEqual([prot | PROT.CACHE | PROT.PRIV, prot | PROT.CACHE]);
  });

  test('refuses what is no direction', async () => {
    const { dma, dev } = await dmaOn();
    expect(() => dma.map(dev, new Uint8Array(1), 'none' as DmaDirection)).toThrow('EINVAL: dev0: dma direction none');
  });

  test('pages are reached where they are: both sides see a write at once', async () => {
    const { dma, dev, deviceReads, deviceWrites } = await dmaOn();
    const pages = dma.pages(dev, 2 * PAGE);
    const mapping = dma.map(dev, pages, 'bidirectional', { offset: PAGE - 2, length: 4 });
    pages.write(PAGE - 2, Uint8Array.of(1, 2, 3, 4));
    expect(deviceReads(mapping.address, 4)).toEqual([1, 2, 3, 4]);
    deviceWrites(mapping.address + 3, 9);
    expect(pages.read32(PAGE)).toBe(0x0903);
  });
});

describe('Dma.map of an array', () => {
  test('gives the device a copy, which a sync and the end bring up to date', async () => {
    const { dma, dev, deviceReads, deviceWrites, machine } = await dmaOn();
    const data = Uint8Array.of(1, 2, 3, 4);
    const mapping = dma.map(dev, data, 'bidirectional');
    expect(deviceReads(mapping.address, 4)).toEqual([1, 2, 3, 4]);
    data[0] = 10;
    expect(deviceReads(mapping.address, 1)).toEqual([1]);
    mapping.syncForDevice();
    expect(deviceReads(mapping.address, 1)).toEqual([10]);
    deviceWrites(mapping.address + 1, 20, 30);
    expect([...data]).toEqual([10, 2, 3, 4]);
    mapping.syncForCpu(1, 1);
    expect([...data]).toEqual([10, 20, 3, 4]);
    mapping.unmap();
    expect([...data]).toEqual([10, 20, 30, 4]);
    expect(machine.dma.allocatedBytes).toBe(0);
  });

  test('to-device never writes the array, from-device keeps what the device does not write', async () => {
    const { dma, dev, deviceWrites, domain, machine } = await dmaOn();
    const sent = Uint8Array.of(1, 2);
    const out = dma.map(dev, sent, 'to-device');
    machine.dma.write(domain.iovaToPhys(out.address), Uint8Array.of(7), 0, 1);
    out.syncForCpu();
    out.unmap();
    expect([...sent]).toEqual([1, 2]);
    const received = Uint8Array.of(5, 6, 7);
    const into = dma.map(dev, received, 'from-device');
    deviceWrites(into.address + 1, 66);
    into.syncForDevice();
    into[Symbol.dispose]();
    into[Symbol.dispose]();
    expect([...received]).toEqual([5, 66, 7]);
  });

  test('SKIP_CPU_SYNC leaves all copies to the driver', async () => {
    const { dma, dev, deviceReads, deviceWrites } = await dmaOn();
    const data = Uint8Array.of(1, 2);
    const mapping = dma.map(dev, data, 'bidirectional', { attrs: DmaAttr.SKIP_CPU_SYNC });
    expect(deviceReads(mapping.address, 2)).toEqual([0, 0]);
    mapping.syncForDevice();
    deviceWrites(mapping.address, 9);
    mapping.unmap();
    expect([...data]).toEqual([1, 2]);
  });

  test('pages are copied too where caches are not coherent', async () => {
    const { dma, dev, deviceWrites } = await dmaOn({ forceBounce: true });
    const pages = dma.pages(dev, PAGE);
    const mapping = dma.map(dev, pages, 'from-device', { offset: 8, length: 8 });
    expect(mapping.address % PAGE).toBe(8);
    deviceWrites(mapping.address, 0x11);
    expect(pages.read32(8)).toBe(0);
    mapping.syncForCpu();
    expect(pages.read32(8)).toBe(0x11);
    mapping.unmap();
  });
});

describe('Dma.map without an IOMMU', () => {
  test('the address is the physical one', async () => {
    const { dma, dev } = await dmaOn({ translated: false });
    const pages = dma.pages(dev, PAGE);
    expect(dma.map(dev, pages, 'to-device', { offset: 5 }).address).toBe(pages.physicalAddress + 5);
    expect(dma.map(dev, new Uint8Array(1), 'to-device').address).toBeGreaterThan(0);
  });

  test('pages beyond the mask are copied to where the device reaches', async () => {
    const { dma, dev, deviceReads, machine } = await dmaOn({ translated: false });
    dma.setMask(dev, 24);
    const pages = dma.pages(dev, PAGE, { alignBytes: 2 ** 25 });
    expect(pages.physicalAddress).toBeGreaterThanOrEqual(2 ** 24);
    pages.write(0, Uint8Array.of(4, 5));
    const mapping = dma.map(dev, pages, 'to-device');
    expect(mapping.address).toBeLessThan(2 ** 24);
    expect(deviceReads(mapping.address, 2)).toEqual([4, 5]);
    mapping.unmap();
    expect(machine.dma.allocatedBytes).toBe(PAGE);
    const all = dma.pages(dev, 2 ** 25);
    expect(() => dma.map(dev, all, 'to-device')).toThrow('EIO: dev0: dma map 33554432 bytes: the buffer is beyond the mask');
  });
});

describe('DmaMapping', () => {
  test('is in the ledger until it ends', async () => {
    const { dma, dev, core, domain, machine } = await dmaOn();
    const mapping = dma.map(dev, new Uint8Array(PAGE), 'to-device');
    const early = dma.map(dev, new Uint8Array(8), 'to-device');
    expect(dev.devres.entries().map(({ label }) => label)).toEqual(['dma map 8 bytes', 'dma map 4096 bytes']);
    early.unmap();
    expect(dev.devres.size).toBe(1);
    await core.unbind(dev);
    expect([domain.mappedBytes, machine.dma.allocatedBytes, dma.debug.dump()]).toEqual([0, 0, []]);
    expect(() => mapping.unmap()).toThrow('ENODEV: dev0: dma map 0xfffff000, 4096 bytes, used after unbind');
  });

  test('every use after unbind throws and is reported', async () => {
    const { dma, dev, core, rules } = await dmaOn();
    const mapping = dma.map(dev, new Uint8Array(8), 'to-device');
    await core.unbind(dev);
    for (const use of [() => mapping.syncForCpu(), () => mapping.syncForDevice(), () => mapping.unmap()]) {
      expect(use).toThrow('ENODEV');
    }
    mapping[Symbol.dispose]();
    expect(rules()).toEqual(['use-after-unbind', 'use-after-unbind', 'use-after-unbind']);
  });

  test('G-109 a second unmap is refused', async () => {
    const { dma, dev, violations } = await dmaOn();
    const mapping = dma.map(dev, new Uint8Array(8), 'to-device');
    mapping.unmap();
    expect(() => mapping.unmap()).toThrow('EINVAL: dev0: device driver tries to free DMA memory it has not allocated');
    expect(() => mapping.syncForCpu()).toThrow('EINVAL: dev0: device driver tries to sync DMA memory it has not allocated');
    expect(violations).toEqual([
      {
        rule: 'dma-double-unmap',
        dev: 'dev0',
        text:
          'DMA-API: driver dev0: device driver tries to free DMA memory it has not allocated ' +
          '[device address=0x00000000fffff000] [size=8 bytes]',
      },
      expect.objectContaining({ rule: 'dma-sync-not-mapped' }),
    ]);
  });

  test('a sync outside it is refused', async () => {
    const { dma, dev, rules } = await dmaOn();
    const mapping = dma.map(dev, new Uint8Array(8), 'to-device');
    expect(() => mapping.syncForDevice(4, 5)).toThrow('EINVAL: dev0: device driver syncs DMA memory outside allocated range');
    expect(() => mapping.syncForDevice(-1)).toThrow('EINVAL');
    expect(rules()).toEqual(['dma-sync-range', 'dma-sync-range']);
  });

  test('of a part that is not in the buffer is refused, and of memory that the device has', async () => {
    const { dma, dev, rules } = await dmaOn();
    const pages = dma.pages(dev, 16);
    for (const [offset, length] of [
      [8, 9],
      [-1, 4],
      [0, 0],
      [16, 1],
      [0.5, 1],
    ] as const) {
      expect(() => dma.map(dev, pages, 'to-device', { offset, length })).toThrow('ERANGE: dev0: dma map of');
    }
    const any: { map(dev: Device, memory: object, direction: DmaDirection): unknown } = dma;
    expect(() => any.map(dev, dma.alloc(dev, 16), 'to-device')).toThrow('maps memory from coherent area');
    pages[Symbol.dispose]();
    expect(() => dma.map(dev, pages, 'to-device')).toThrow('ENODEV');
    expect(rules()).toEqual(['dma-bad-memory', 'use-after-unbind']);
  });
});
