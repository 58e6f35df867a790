import { Errno, Kernel, PlatformDevice, type PlatformDriver, SoftwareNode, defer, u16, u64, u8 } from 'backplane';
import { FakeHost } from 'backplane/testing';
import { describe, expect, test } from 'vitest';
import { code } from './fixture.js';

describe('platform bus', () => {
  const pdrv = (name: string, more: Partial<PlatformDriver> = {}): PlatformDriver => ({ name, probe: () => {}, ...more });

  test('SUB-15: a one-shot driver that binds nothing is ENODEV and gone; one that binds probes no more', async () => {
    const kernel = new Kernel(new FakeHost());
    expect(await code(() => kernel.platform.registerOnce(pdrv('once')))).toBe('ENODEV');
    expect(kernel.platform.findDriver('once')).toBeUndefined();
    expect(await code(() => kernel.platform.registerOnce(pdrv('once', { probeType: 'prefer-asynchronous' })))).toBe('EINVAL');
    const one = new PlatformDevice({ name: 'once', id: 1 });
    void kernel.platform.add(one);
    const once = pdrv('once');
    expect(await code(() => kernel.platform.registerOnce(once))).toBe('ok');
    expect(one.bound).toBe(true);
    expect(kernel.platform.attributesOf(once).paths()).toEqual(['uevent']);
    const two = new PlatformDevice({ name: 'once', id: 2 });
    void kernel.platform.add(two);
    expect(two.bound).toBe(false);
    expect(await code(() => kernel.core.bind(two, once))).toBe('ENXIO');
  });

  test('SUB-19: an override counts before the id table and the name', async () => {
    const kernel = new Kernel(new FakeHost());
    const dev = new PlatformDevice({ name: 'a', id: 1 });
    dev.driverOverride = 'z';
    void kernel.platform.register(pdrv('a'));
    void kernel.platform.add(dev);
    expect(dev.bound).toBe(false);
    void kernel.platform.register(pdrv('z', { ids: [{ name: 'q' }] }));
    expect(dev.driver?.name).toBe('z');
  });

  test('KU-05: data given before add is there in probe', () => {
    const kernel = new Kernel(new FakeHost());
    let seen: unknown;
    void kernel.platform.register(pdrv('test', { probe: (dev) => void (seen = dev.platformData) }));
    void kernel.platform.add(new PlatformDevice({ name: 'test', platformData: 'cookie' }));
    expect(seen).toBe('cookie');
  });

  test('resources: a conflict is EBUSY and gives back what was claimed before; a removal frees them', async () => {
    const kernel = new Kernel(new FakeHost());
    const mem = (start: number): { kind: 'mem'; start: number; sizeBytes: number } => ({ kind: 'mem', start, sizeBytes: 0x1000 });
    const a = new PlatformDevice({ name: 'a', resources: [mem(0x1000)] });
    void kernel.platform.add(a);
    const b = new PlatformDevice({ name: 'b', id: 'auto', resources: [mem(0x3000), mem(0x1800)] });
    expect(await code(() => kernel.platform.add(b))).toBe('EBUSY');
    expect(b.id).toBeUndefined();
    b.put();
    expect(await code(() => kernel.platform.add(new PlatformDevice({ name: 'c', resources: [mem(0x3000)] })))).toBe('ok');
    void kernel.platform.remove(a);
    expect(await code(() => kernel.platform.add(new PlatformDevice({ name: 'd', resources: [mem(0x1800)] })))).toBe('ok');
  });
});

describe('properties', () => {
  test('KU-09 to KU-13: numbers, strings and flags', async () => {
    const node = new SoftwareNode('n', {
      a8: u8(16, 15, 0, 0, 0, 0, 0, 0, 0, 0),
      a16: u16(16, 15, 0, 0, 0, 0, 0, 0, 0, 0),
      a64: u64(16, 15, 0, 0, 0, 0, 0, 0, 0, 0),
      str: 'single',
      strs: ['string-a', 'string-b'],
      flag: true,
    });
    for (const [name, bytes] of [
      ['a8', 1],
      ['a16', 2],
      ['a64', 8],
    ] as const) {
      expect([node.integer(name, bytes), node.integers(name, bytes, 2), node.count(name, bytes)]).toEqual([16, [16, 15], 10]);
      expect(await code(() => node.integers(name, bytes, 17))).toBe('EOVERFLOW');
    }
    expect([node.count('a64', 2), node.count('a16', 8)]).toEqual([40, 2]);
    expect([node.strings('str'), node.strings('strs')]).toEqual([['single'], ['string-a', 'string-b']]);
    expect([node.has('flag'), node.has('missing')]).toEqual([true, false]);
    expect(await code(() => node.integer('missing', 1))).toBe('EINVAL');
    expect(await code(() => node.strings('missing'))).toBe('EINVAL');
  });
});

describe('faux devices', () => {
  test('a faux device that defers or fails is not there, and nobody retries it', async () => {
    const kernel = new Kernel(new FakeHost());
    expect(
      await code(() =>
        kernel.faux.create('f', {
          probe: () => {
            throw defer('x');
          },
        }),
      ),
    ).toBe('EAGAIN');
    expect(
      await code(() =>
        kernel.faux.create('f', {
          probe: () => {
            throw new Errno('EIO', 'f: x');
          },
        }),
      ),
    ).toBe('EIO');
    expect([kernel.core.deferred.report(), kernel.faux.devices]).toEqual([[], []]);
    const made = await kernel.faux.create('f');
    expect(await code(() => kernel.faux.create('f'))).toBe('EEXIST');
    expect([made.path, made.bound, made.driver?.name]).toEqual(['/devices/faux/f', true, 'faux_driver']);
    await kernel.faux.destroy(made);
    expect(made.registered).toBe(false);
  });
});
