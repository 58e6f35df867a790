import { describe, expect, test } from 'vitest';
import { Bus, Device, DeviceCore, type Violation } from '../../../core/device/index.js';
import { Dma, type DmaBuffer } from '../../../core/iommu/index.js';
import { Machine } from '../../../hw/sim/index.js';

/** A device bound to a driver whose probe is `take`. */
async function bound(take: (dma: Dma, dev: Device) => unknown) {
  const machine = new Machine({ memoryBytes: 2 ** 33 });
  const core = new DeviceCore({ clock: machine.clock });
  const violations: Violation[] = [];
  core.violations.on((violation) => violations.push(violation));
  const dma = new Dma(core, machine);
  const bus = new Bus('test');
  core.registerBus(bus);
  await bus.register({ name: 'driver', probe: (dev) => take(dma, dev) });
  const dev = new Device({ name: 'dev0', release: () => {} });
  await bus.add(dev);
  return { machine, core, dma, dev, violations, state: dev.state as DmaBuffer };
}

describe('Dma.alloc', () => {
  test('gives zeroed memory that the device sees at the same address', async () => {
    const { state, machine, dev } = await bound((dma, d) => dma.alloc(d, 8192));
    expect([state.read32(0), state.read32(8188), state.sizeBytes, state.address % 4096]).toEqual([0, 0, 8192, 0]);
    state.write32(4, 0x89ab_cdef);
    expect(machine.dma.read32(state.address + 4)).toBe(0x89ab_cdef);
    machine.dma.write32(state.address + 8, 7);
    expect(state.read32(8)).toBe(7);
    expect(dev.devres.entries().map((e) => e.label)).toEqual(['dma 8192 bytes']);
  });

  test('aligns as asked', async () => {
    const { state } = await bound((dma, dev) => [dma.alloc(dev, 4096), dma.alloc(dev, 4096, { alignBytes: 2 ** 20 })][1]);
    expect(state.address % 2 ** 20).toBe(0);
  });

  test('stays within the 32 bits that a device has unless it says otherwise', async () => {
    const { machine, state } = await bound((dma, dev) => {
      dma.setMask(dev, 28);
      return dma.alloc(dev, 4096, { alignBytes: 2 ** 12 });
    });
    expect(state.address + 4095).toBeLessThan(2 ** 28);
    expect(machine.dma.allocatedBytes).toBe(4096);
    const huge = await bound((dma, dev) => dma.alloc(dev, 2 ** 32));
    expect(huge.dev.bound).toBe(false);
    expect(String(huge.dev.probeError)).toMatch(/ENOMEM/);
  });

  test('is freed at unbind, and when it is disposed of', async () => {
    const { core, dev, machine, state } = await bound((dma, d) => {
      const early = dma.alloc(d, 4096);
      early[Symbol.dispose]();
      early[Symbol.dispose]();
      expect(() => early.read32(0)).toThrow('ENODEV');
      return dma.alloc(d, 4096);
    });
    expect(machine.dma.allocatedBytes).toBe(4096);
    await core.unbind(dev);
    expect(machine.dma.allocatedBytes).toBe(0);
    expect(() => state.read32(0)).toThrow('ENODEV');
  });

  test('a probe that fails leaves nothing allocated', async () => {
    const { dev, machine } = await bound((dma, d) => {
      dma.alloc(d, 4096);
      throw new Error('no');
    });
    expect([dev.bound, dev.devres.size, machine.dma.allocatedBytes]).toEqual([false, 0, 0]);
  });

  test.each([0, -1, 1.5, Number.NaN, 2 ** 53])('refuses a size of %d', async (sizeBytes) => {
    const { dma, dev } = await bound(() => undefined);
    expect(() => dma.alloc(dev, sizeBytes)).toThrow('EINVAL: dev0: dma of');
  });

  test('refuses an alignment that is no power of two', async () => {
    const { dma, dev } = await bound(() => undefined);
    expect(() => dma.alloc(dev, 1, { alignBytes: 3 })).toThrow('EINVAL: dev0: dma aligned to 3 bytes');
  });
});

describe('Dma.setMask', () => {
  test('takes bits or a mask, and lasts until unbind', async () => {
    const { core, dev, dma } = await bound((d, device) => d.setMask(device, 0x0fff_ffff));
    expect(dma.mask(dev)).toBe(0x0fff_ffff);
    dma.setMask(dev, 40);
    expect(dma.mask(dev)).toBe(2 ** 40 - 1);
    dma.setMask(dev, 64);
    expect(dma.mask(dev)).toBe(Number.MAX_SAFE_INTEGER);
    await core.unbind(dev);
    expect(dma.mask(dev)).toBe(0xffff_ffff);
  });

  test('refuses what no memory is within, and what is no mask of ones', async () => {
    const { dma, dev } = await bound(() => undefined);
    expect(() => dma.setMask(dev, 23)).toThrow('EIO: dev0: dma mask of 23 bits');
    expect(() => dma.setMask(dev, 0xffff)).toThrow('EIO: dev0: dma mask of 16 bits');
    expect(() => dma.setMask(dev, 0xfff0_ffff)).toThrow('EINVAL: dev0: dma mask 0xfff0ffff: is no mask of ones');
    for (const mask of [0, -1, 0.5]) expect(() => dma.setMask(dev, mask)).toThrow('EINVAL');
    expect([dma.mask(dev), dev.devres.size]).toEqual([0xffff_ffff, 0]);
  });
});

describe('DmaBuffer', () => {
  test('copies bytes in and out, and fills', async () => {
    const { state } = await bound((dma, dev) => dma.alloc(dev, 10_000));
    state.write(3, Uint8Array.of(1, 2, 3));
    const out = new Uint8Array(5);
    state.read(2, out);
    expect([...out]).toEqual([0, 1, 2, 3, 0]);
    state.fill(0xa5);
    state.fill(0, 4096, 1);
    const all = new Uint8Array(10_000);
    state.read(0, all);
    expect([all[0], all[4095], all[4096], all[4097], all[9999]]).toEqual([0xa5, 0xa5, 0, 0xa5, 0xa5]);
  });

  test('refuses what is outside it', async () => {
    const { state } = await bound((dma, dev) => dma.alloc(dev, 16));
    expect(() => state.read32(16)).toThrow('ERANGE: dev0: dma: 4 bytes at offset 16 of a buffer of 16 bytes');
    expect(() => state.write32(-4, 0)).toThrow('ERANGE');
    expect(() => state.read(10, new Uint8Array(7))).toThrow('ERANGE');
    expect(() => state.write(16, Uint8Array.of(1))).toThrow('ERANGE');
    expect(() => state.fill(0, 8, 9)).toThrow('ERANGE');
    expect(() => state.read32(2)).toThrow('EINVAL');
  });

  test('every use after unbind throws and is reported', async () => {
    const { core, dev, state, violations } = await bound((dma, d) => dma.alloc(d, 16));
    const what = `dev0: dma 0x${state.address.toString(16)}, 16 bytes, used after unbind`;
    await core.unbind(dev);
    const uses = [
      () => state.read32(0),
      () => state.write32(0, 1),
      () => state.read(0, new Uint8Array(1)),
      () => state.write(0, new Uint8Array(1)),
      () => state.fill(0),
    ];
    for (const use of uses) expect(use).toThrow(`ENODEV: ${what}`);
    expect(violations).toEqual(uses.map(() => ({ rule: 'use-after-unbind', dev: 'dev0', text: what })));
  });
});
