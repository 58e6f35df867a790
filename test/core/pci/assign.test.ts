import { describe, expect, test } from 'vitest';
import type { BarSpec } from '../../../hw/sim/index.js';
import { scratch } from '../../hw/sim/fixture.js';
import { PciSystem } from './fixture.js';

const MIB = 2 ** 20;

/** A device with these BARs; the simulated machine puts memory behind each. */
function device(bars: { readonly [bar: number]: BarSpec }) {
  const base = scratch({ bars });
  return {
    ...base,
    create: (context: Parameters<typeof base.create>[0]) => {
      const model = base.create(context);
      return {
        regions: Object.fromEntries(Object.keys(bars).map((bar) => [bar, model.regions[0]!])),
        reset: model.reset.bind(model),
      };
    },
  };
}

/** Base and limit that a bridge forwards, as it says itself; undefined when closed. */
function windows(system: PciSystem, name: string) {
  const { config } = system.device(name);
  const range = (base: number, limit: number) => (base <= limit ? [base, limit] : undefined);
  const pref = (at: number, upper: number): number => config.read32(upper) * 2 ** 32 + (config.read16(at) & 0xfff0) * 2 ** 16;
  return {
    io: range(
      (config.read8(0x1c) & 0xf0) * 256 + config.read16(0x30) * 2 ** 16,
      (config.read8(0x1d) & 0xf0) * 256 + 0xfff + config.read16(0x32) * 2 ** 16,
    ),
    mem: range((config.read16(0x20) & 0xfff0) * 2 ** 16, (config.read16(0x22) & 0xfff0) * 2 ** 16 + 0xf_ffff),
    prefetch: range(pref(0x24, 0x28), pref(0x26, 0x2c) + 0xf_ffff),
  };
}

describe('BAR sizing', () => {
  test('tells kind, width and size of each BAR, whatever the device decoded before', async () => {
    await using system = await PciSystem.start({
      devices: [
        {
          at: '00:01.0',
          model: device({
            0: { kind: 'mem64', sizeBytes: 64 * 1024, prefetch: true },
            2: { kind: 'mem32', sizeBytes: 4096 },
            3: { kind: 'io', sizeBytes: 32 },
            4: { kind: 'mem64', sizeBytes: 2 ** 33, prefetch: true },
          }),
        },
      ],
    });
    const dev = system.device('0000:00:01.0');
    expect([0, 1, 2, 3, 4, 5].map((n) => dev.bar(n))).toMatchObject([
      { index: 0, kind: 'mem', is64: true, prefetch: true, sizeBytes: 65_536 },
      undefined as never,
      { index: 2, kind: 'mem', is64: false, prefetch: false, sizeBytes: 4096 },
      { index: 3, kind: 'io', sizeBytes: 32 },
      { index: 4, is64: true, sizeBytes: 2 ** 33 },
      undefined as never,
    ]);
  });

  test('nothing is decoded, and bus mastering is off, until a driver asks', async () => {
    await using system = await PciSystem.start({ devices: [{ at: '00:01.0', model: scratch() }] });
    expect(system.device('0000:00:01.0').config.read16(0x04)).toBe(0);
  });
});

describe('assignment', () => {
  test('gives each BAR an aligned address of its kind, apart from all others', async () => {
    await using system = await PciSystem.start({
      devices: [
        {
          at: '00:01.0',
          model: device({
            0: { kind: 'mem32', sizeBytes: 4096 },
            1: { kind: 'mem32', sizeBytes: MIB },
            2: { kind: 'io', sizeBytes: 16 },
          }),
        },
        {
          at: '00:02.0',
          model: device({ 0: { kind: 'mem64', sizeBytes: 4 * MIB, prefetch: true }, 2: { kind: 'io', sizeBytes: 64 } }),
        },
        { at: '00:03.0', bridge: {}, children: [{ at: '00.0', model: device({ 0: { kind: 'mem32', sizeBytes: 2 * MIB } }) }] },
      ],
    });
    const bars = system.pci.devices
      .flatMap((dev) => [0, 1, 2, 3, 4, 5].map((n) => dev.bar(n)))
      .filter((bar) => bar !== undefined);
    expect(bars.map((bar) => bar.address! % bar.sizeBytes)).toEqual([0, 0, 0, 0, 0, 0]);
    for (const kind of ['io', 'mem']) {
      const ranges = bars.filter((bar) => bar.kind === kind).sort((a, b) => a.address! - b.address!);
      const overlaps = ranges.filter((bar, i) => i > 0 && bar.address! < ranges[i - 1]!.address! + ranges[i - 1]!.sizeBytes);
      expect(overlaps).toEqual([]);
    }
    expect(system.device('0000:00:02.0').bar(0)!.address).toBeGreaterThanOrEqual(2 ** 32);
    expect(system.device('0000:00:02.0').config.read32(0x14)).toBe(0x200);
  });

  test('windows hold exactly what is below, in units of the bridge, and are closed when that is nothing', async () => {
    await using system = await PciSystem.start({
      devices: [
        {
          at: '00:01.0',
          bridge: {},
          children: [
            {
              at: '00.0',
              bridge: { type: 'upstream' },
              children: [
                {
                  at: '00.0',
                  bridge: { type: 'downstream' },
                  children: [
                    {
                      at: '00.0',
                      model: device({
                        0: { kind: 'mem32', sizeBytes: 4096 },
                        1: { kind: 'io', sizeBytes: 16 },
                        2: { kind: 'mem64', sizeBytes: 8 * MIB, prefetch: true },
                      }),
                    },
                  ],
                },
                {
                  at: '01.0',
                  bridge: { type: 'downstream' },
                  children: [{ at: '00.0', model: device({ 0: { kind: 'mem32', sizeBytes: 2 * MIB } }) }],
                },
              ],
            },
          ],
        },
        { at: '00:02.0', bridge: {} },
      ],
    });
    expect(windows(system, '0000:00:01.0')).toEqual({
      io: [0x1000, 0x1fff],
      mem: [0xc000_0000, 0xc02f_ffff],
      prefetch: [2 ** 41, 2 ** 41 + 8 * MIB - 1],
    });
    expect(windows(system, '0000:02:00.0')).toEqual({
      io: [0x1000, 0x1fff],
      mem: [0xc020_0000, 0xc02f_ffff],
      prefetch: [2 ** 41, 2 ** 41 + 8 * MIB - 1],
    });
    expect(windows(system, '0000:02:01.0')).toEqual({ io: undefined, mem: [0xc000_0000, 0xc01f_ffff], prefetch: undefined });
    expect(windows(system, '0000:00:02.0')).toEqual({ io: undefined, mem: undefined, prefetch: undefined });
  });

  test('a device below bridges answers where it was put', async () => {
    const model = scratch();
    await using system = await PciSystem.start({ devices: [{ at: '00:01.0', bridge: {}, children: [{ at: '00.0', model }] }] });
    const regs = system.device('0000:01:00.0').mapBar(0);
    regs.write32(8, 0x1234_5678);
    expect(regs.read32(8)).toBe(0x1234_5678);
    expect(model.made[0]!.data.getUint32(8, true)).toBe(0x1234_5678);
  });

  test('prefetchable memory of 32 bits, and below a bridge without an I/O window I/O, go where they can', async () => {
    await using system = await PciSystem.start({
      devices: [
        {
          at: '00:01.0',
          bridge: { ioWindow: false },
          children: [
            {
              at: '00.0',
              model: device({ 0: { kind: 'mem32', sizeBytes: 4096, prefetch: true }, 1: { kind: 'io', sizeBytes: 16 } }),
            },
          ],
        },
      ],
    });
    const dev = system.device('0000:01:00.0');
    expect(dev.bar(0)!.address).toBe(0xc000_0000);
    expect(dev.bar(1)!.address).toBeUndefined();
    expect(system.logged('pci_resources')).toEqual([
      '0000:01:00.0: no room for BAR 1 [io, 16 bytes] in the window of 0000:00:01.0 (io closed)',
    ]);
  });

  test('what does not fit stays without an address, largest first; the rest is served, and mapBar names it', async () => {
    const apertures = [{ kind: 'mem', base: 0xc000_0000, limit: 0xc00f_ffff }] as const;
    await using system = await PciSystem.start({
      roots: [{ apertures }],
      devices: [
        { at: '00:01.0', model: device({ 0: { kind: 'mem32', sizeBytes: 4 * MIB }, 1: { kind: 'mem32', sizeBytes: 4096 } }) },
        { at: '00:02.0', model: device({ 0: { kind: 'mem32', sizeBytes: 4096 } }) },
      ],
    });
    const dev = system.device('0000:00:01.0');
    expect([dev.bar(0)!.address, dev.bar(1)!.address]).toEqual([undefined, 0xc000_0000]);
    expect(system.device('0000:00:02.0').bar(0)!.address).toBe(0xc000_1000);
    expect(() => dev.mapBar(0)).toThrow('ENOSPC: 0000:00:01.0: BAR 0 [mem 32-bit, 4194304 bytes] has no address: see the log');
    expect(system.logged('pci_resources')).toEqual([
      '0000:00:01.0: no room for BAR 0 [mem 32-bit, 4194304 bytes] in the apertures of the root (mem 0xc0000000-0xc00fffff)',
    ]);
  });

  test('a bridge whose devices want too much keeps the window for those that fit', async () => {
    const apertures = [{ kind: 'mem', base: 0xc000_0000, limit: 0xc01f_ffff }] as const;
    await using system = await PciSystem.start({
      roots: [{ apertures }],
      devices: [
        {
          at: '00:01.0',
          bridge: { hotplug: true },
          children: [
            { at: '00.0', model: device({ 0: { kind: 'mem32', sizeBytes: 4 * MIB }, 1: { kind: 'mem32', sizeBytes: MIB } }) },
          ],
        },
      ],
    });
    expect(windows(system, '0000:00:01.0').mem).toEqual([0xc000_0000, 0xc00f_ffff]);
    expect(system.device('0000:01:00.0').bar(1)!.address).toBe(0xc000_0000);
  });

  test('a 64-bit BAR on a root bus may lie above 4 GiB, also when it is not prefetchable', async () => {
    await using system = await PciSystem.start({
      devices: [{ at: '00:01.0', model: device({ 0: { kind: 'mem64', sizeBytes: 2 ** 32 } }) }],
    });
    expect(system.device('0000:00:01.0').bar(0)!.address).toBe(2 ** 41);
    expect(system.logged('pci_resources')).toEqual([]);
  });

  test('a hot-plug port has room kept for what may come, unless there is none to keep', async () => {
    await using system = await PciSystem.start({ devices: [{ at: '00:01.0', bridge: { hotplug: true } }] });
    expect(windows(system, '0000:00:01.0')).toEqual({
      io: [0x1000, 0x1fff],
      mem: [0xc000_0000, 0xc01f_ffff],
      prefetch: [2 ** 41, 2 ** 41 + 2 * MIB - 1],
    });
    await using tight = await PciSystem.start({
      roots: [{ apertures: [{ kind: 'mem', base: 0xc000_0000, limit: 0xc00f_ffff }] }],
      devices: [
        { at: '00:01.0', bridge: { hotplug: true } },
        { at: '00:02.0', model: device({ 0: { kind: 'mem32', sizeBytes: MIB } }) },
      ],
    });
    expect(windows(tight, '0000:00:01.0').mem).toBeUndefined();
    expect(tight.device('0000:00:02.0').bar(0)!.address).toBe(0xc000_0000);
  });
});
