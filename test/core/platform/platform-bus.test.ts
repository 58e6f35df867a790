import { describe, expect, test } from 'vitest';
import type { PlatformResource } from '../../../core/hal/host.js';
import { reg32 } from '../../../core/hal/reg.js';
import { RegisterFile } from '../../../core/hal/register-file.js';
import type { Window } from '../../../core/hal/window.js';
import { Errno, defer } from '../../../core/lib/errno.js';
import { PlatformBus, PlatformDevice, type PlatformDriver, type PlatformOptions } from '../../../core/platform/index.js';
import { Fixture, type FixtureOptions, UNB, errno, gate, sync } from '../device/conformance/fixture.js';

const VALUE = reg32('VALUE', 0);

/** A system with a platform bus; its host has registers wherever they are mapped. */
class PlatformFixture extends Fixture {
  readonly mapped: string[] = [];
  readonly platform: PlatformBus;

  constructor(options: FixtureOptions & { readonly mapless?: boolean } = {}) {
    const { mapless = false, ...rest } = options;
    super({ skip: ['M'], ...rest });
    const map = (kind: string, address: number, sizeBytes: number): Window => {
      this.mapped.push(`${kind} ${address.toString(16)} ${sizeBytes}`);
      return new RegisterFile([VALUE], sizeBytes);
    };
    this.platform = new PlatformBus(this.core, mapless ? { name: 'bare' } : { name: 'fake', map });
  }

  dev(name: string, options: Omit<PlatformOptions, 'name'> = {}): PlatformDevice {
    return new PlatformDevice({ name, release: (dev) => this.tokens.push(`REL(${dev.name})`), ...options });
  }

  added(name: string, options: Omit<PlatformOptions, 'name'> = {}): PlatformDevice {
    const dev = this.dev(name, options);
    sync(this.platform.add(dev));
    return dev;
  }
}

const mem = (start: number, sizeBytes: number, name?: string): PlatformResource => ({
  kind: 'mem',
  start,
  sizeBytes,
  ...(name === undefined ? {} : { name }),
});

describe('platform device', () => {
  test('SUB-13: is called by its name, its id, or the lowest free number', () => {
    const f = new PlatformFixture();
    expect(f.added('plname').name).toBe('plname');
    expect(f.added('plname', { id: 4 }).name).toBe('plname.4');
    const auto = f.added('plname', { id: 'auto' });
    expect([auto.name, auto.id]).toEqual(['plname.0.auto', 0]);
    expect(f.added('other', { id: 'auto' }).name).toBe('other.1.auto');
    sync(f.platform.remove(auto));
    expect(auto.id).toBeUndefined();
    expect(f.added('third', { id: 'auto' }).name).toBe('third.0.auto');
  });

  test('SUB-13, KU-23: a name that is taken is refused, and put releases the device', () => {
    const f = new PlatformFixture();
    const first = f.added('plname');
    const second = f.dev('plname');
    expect(errno(() => f.platform.add(second))).toBe('-EEXIST');
    expect(f.trace(() => second.put())).toEqual(['REL(plname)']);
    expect(f.platform.find('plname')).toBe(first);
  });

  test('KU-23: it is on the platform bus below the root device platform, without id', () => {
    const f = new PlatformFixture();
    const dev = f.added('test');
    expect([dev.bus, dev.id, dev.path]).toEqual([f.platform, undefined, '/devices/platform/test']);
    expect(f.platform.root.children).toEqual([dev]);
  });

  test('KU-23: adding it twice is refused, and its name and addresses stay its own', () => {
    const f = new PlatformFixture();
    const dev = f.added('test', { id: 'auto', resources: [mem(0x1000, 4)] });
    expect(errno(() => f.platform.add(dev))).toBe('-EINVAL');
    expect(f.violations).toEqual(['added-twice']);
    expect([dev.name, f.platform.mem.ownerAt(0x1000)]).toEqual(['test.0.auto', 'test.0.auto']);
  });

  test('without a name, or with an id that is no integer, it is not made', () => {
    const f = new PlatformFixture();
    expect(errno(() => void f.dev(''))).toBe('-EINVAL');
    for (const id of [-1, 0.5]) expect(errno(() => void f.dev('x', { id }))).toBe('-ERANGE');
  });

  test('KU-03, KU-04: actions of an unbound device run when it is removed, also one that holds a reference', () => {
    const f = new PlatformFixture();
    const dev = f.added('test').get();
    f.act(dev, 'x', () => dev.put());
    expect(f.trace(() => f.platform.remove(dev))).toEqual(['dm(x)', 'U:remove(test)', 'REL(test)']);
  });

  test('KU-05, KU-06: probe sees what its maker said, and actions added after it run when it is removed', () => {
    const f = new PlatformFixture();
    const seen: unknown[] = [];
    sync(f.platform.register({ name: 'test', probe: (dev) => void seen.push(dev.platformData) }));
    const dev = f.added('test', { platformData: 'board' }).get();
    expect(seen).toEqual(['board']);
    f.act(dev, 'x', () => dev.put());
    expect(f.trace(() => f.platform.remove(dev))).toEqual(['dm(x)', 'U:unbind(test)', 'U:remove(test)', 'REL(test)']);
  });

  test('SUB-17: a conflict gives back what was claimed, last first, and the number', () => {
    const f = new PlatformFixture();
    f.added('first', { resources: [mem(0x3000, 0x10)] });
    const released: number[] = [];
    const tree = f.platform.mem;
    const release = tree.release.bind(tree);
    tree.release = (claim) => {
      released.push(claim.start);
      release(claim);
    };
    const second = f.dev('second', { id: 'auto', resources: [mem(0x1000, 4), mem(0x2000, 4), mem(0x300c, 8), mem(0x4000, 4)] });
    f.take();
    expect(errno(() => f.platform.add(second))).toBe('-EBUSY');
    expect(f.take()).toEqual(['L:err:claim_failed']);
    expect(released).toEqual([0x2000, 0x1000]);
    expect(second.id).toBeUndefined();
    expect(f.added('third', { id: 'auto', resources: [mem(0x1000, 4)] }).id).toBe(0);
  });

  test('its addresses are its own until it is removed', () => {
    const f = new PlatformFixture();
    const dev = f.added('a', { resources: [mem(0x1000, 4), { kind: 'io', start: 0x60, sizeBytes: 8 }] });
    expect([f.platform.mem.ownerAt(0x1000), f.platform.io.ownerAt(0x60)]).toEqual(['a', 'a']);
    sync(f.platform.remove(dev));
    expect([f.platform.mem.ownerAt(0x1000), f.platform.io.ownerAt(0x60)]).toEqual([undefined, undefined]);
  });

  test('interrupts may be shared', () => {
    const f = new PlatformFixture();
    const irq: PlatformResource = { kind: 'irq', start: 7, sizeBytes: 1, name: 'tick' };
    f.added('a', { resources: [irq] });
    const b = f.added('b', { resources: [irq] });
    expect([b.irq(0), b.irq('tick')]).toEqual([7, 7]);
    expect(errno(() => b.irq(1))).toBe('-ENXIO');
  });

  test('resources are found by name, and by index among those of their kind', () => {
    const f = new PlatformFixture();
    const dev = f.dev('a', { resources: [{ kind: 'irq', start: 1, sizeBytes: 1 }, mem(0x1000, 4), mem(0x2000, 4, 'fifo')] });
    expect(dev.resource('mem', 1)).toBe(dev.resource('mem', 'fifo'));
    expect(dev.resource('mem', 2)).toBeUndefined();
    expect(dev.resource('io', 0)).toBeUndefined();
  });
});

describe('mapMem', () => {
  /** A device bound to a driver that does nothing. */
  function bound(options: { readonly mapless?: boolean } = {}): { f: PlatformFixture; dev: PlatformDevice } {
    const f = new PlatformFixture(options);
    sync(f.platform.register({ name: 'x', probe: () => undefined }));
    return { f, dev: f.added('x', { resources: [mem(0x1000, 0x20), mem(0x2000, 0x40, 'fifo')] }) };
  }

  test('gives the registers at the resource, for as long as the device is bound', () => {
    const { f, dev } = bound();
    const regs = dev.mapMem(0);
    expect(f.mapped).toEqual(['mem 1000 32']);
    regs.write(VALUE, 5);
    expect(regs.read(VALUE)).toBe(5);
    expect(dev.devres.entries().map((e) => e.label)).toEqual(['mem 0']);
    sync(f.core.unbind(dev));
    expect(() => regs.read(VALUE)).toThrow('ENODEV: x: mem 0 used after unbind');
    expect(f.violations).toEqual(['use-after-unbind']);
  });

  test('by name, and only once', () => {
    const { f, dev } = bound();
    dev.mapMem('fifo');
    expect(errno(() => void dev.mapMem(1))).toBe('-EBUSY');
    sync(f.core.unbind(dev));
    sync(f.core.attach(dev));
    dev.mapMem(1);
    expect(f.mapped).toEqual(['mem 2000 64', 'mem 2000 64']);
  });

  test('of a resource that it has not is refused', () => {
    const { dev } = bound();
    expect(errno(() => void dev.mapMem(2))).toBe('-EINVAL');
    expect(errno(() => void dev.mapIo(0))).toBe('-EINVAL');
  });

  test('needs a host that maps addresses', () => {
    const { dev } = bound({ mapless: true });
    expect(() => dev.mapMem(0)).toThrow('EOPNOTSUPP: x: mem 0: bare host maps no addresses');
  });
});

describe('platform driver', () => {
  test('SUB-14: an id table is all that counts, and its entry is handed to probe', () => {
    const f = new PlatformFixture();
    const seen: unknown[] = [];
    const ids = [{ name: 'plx' }, { name: 'ply', data: 2 }];
    sync(f.platform.register({ name: 'plids', ids, probe: (_dev, id) => void seen.push(id) }));
    const ply = f.added('ply', { id: 1 });
    expect(ply.bound).toBe(true);
    expect(seen).toEqual([ids[1]]);
    expect(f.added('plids', { id: 1 }).bound).toBe(false);
    expect(ply.attributes.read('modalias')).toBe('platform:ply\n');
  });

  test('without table it matches devices of its own name', () => {
    const f = new PlatformFixture();
    sync(f.platform.register({ name: 'pl', probe: () => undefined }));
    expect([f.added('pl', { id: 3 }).bound, f.added('pl2').bound]).toEqual([true, false]);
  });

  test('an override counts before table and name', () => {
    const f = new PlatformFixture();
    sync(f.platform.register({ name: 'pl', probe: () => undefined }));
    sync(f.platform.register({ name: 'vfio', ids: [], probe: () => undefined }));
    const dev = f.added('pl');
    sync(f.core.unbind(dev));
    sync(dev.attributes.write('driver_override', 'vfio'));
    sync(f.core.attach(dev));
    expect(dev.driver?.name).toBe('vfio');
  });

  test('KU-21: it survives its device and is probed for the next', () => {
    const f = new PlatformFixture({ skip: ['M', 'U'] });
    const driver: PlatformDriver = {
      name: 'test',
      probe: (dev) => void f.act(dev, 'x'),
      remove: () => undefined,
    };
    sync(f.platform.register(driver));
    for (let i = 0; i < 2; i++) {
      const dev = f.dev('test');
      expect(f.trace(() => f.platform.add(dev))).toEqual(['P(test,test)=0']);
      expect(f.trace(() => f.platform.remove(dev))).toEqual(['R(test,test)', 'dm(x)', 'REL(test)']);
    }
  });

  test('KU-16, KU-18: slow asynchronous probes hold up neither registration nor synchronous ones', async () => {
    const f = new PlatformFixture();
    const slow = (name: string, probeType: 'prefer-asynchronous' | 'force-synchronous'): PlatformDriver => ({
      name,
      probeType,
      probe: () => f.clock.sleep(5_000_000),
    });
    await f.platform.register(slow('a', 'prefer-asynchronous'));
    const devices = [0, 1, 2, 3].map((id) => f.added('a', { id }));
    expect(f.clock.now()).toBe(0);
    await f.platform.register(slow('b', 'force-synchronous'));
    const adding = f.platform.add(f.dev('b'));
    expect(adding).toBeInstanceOf(Promise);
    await f.clock.settle(5_000_000);
    await adding;
    expect(devices.every((d) => d.bound)).toBe(true);
    expect(f.clock.now()).toBe(5_000_000);
  });
});

describe('registerOnce', () => {
  const refuses = {
    probe: (): never => {
      throw new Errno('ENODEV', 'not mine');
    },
  };

  test('a driver that binds something stays, without bind files, and probes no more', () => {
    const f = new PlatformFixture();
    const driver: PlatformDriver = { name: 'once', probe: () => undefined };
    const dev = f.added('once', { id: 1 });
    sync(f.platform.registerOnce(driver));
    expect(dev.bound).toBe(true);
    const files = f.files(driver, f.core.buses.get('platform'));
    expect([files.has('bind'), files.has('unbind')]).toEqual([false, false]);
    expect(f.added('once', { id: 2 }).bound).toBe(false);
    sync(f.core.unbind(dev));
    expect(errno(() => f.core.bind(dev, driver))).toBe('-ENXIO');
  });

  test('a driver that binds nothing is not registered', () => {
    const f = new PlatformFixture();
    f.added('once');
    expect(errno(() => f.platform.registerOnce({ name: 'once', ...refuses }))).toBe('-ENODEV');
    expect(f.platform.drivers).toEqual([]);
  });

  test('SUB-16: a deferral counts as ENXIO, with a warning', () => {
    const f = new PlatformFixture({ skip: ['M', 'U'] });
    f.added('once');
    const driver: PlatformDriver = {
      name: 'once',
      probe: () => {
        throw defer('no clock');
      },
    };
    f.take();
    expect(errno(() => f.platform.registerOnce(driver))).toBe('-ENODEV');
    expect(f.take()).toEqual(['L:warn:once_deferred', 'P(once,once)=-ENXIO']);
    expect(f.deferred()).toEqual([]);
  });

  test('an asynchronous driver is refused', () => {
    const f = new PlatformFixture();
    const driver: PlatformDriver = { name: 'once', probeType: 'prefer-asynchronous', probe: () => undefined };
    expect(errno(() => f.platform.registerOnce(driver))).toBe('-EINVAL');
    expect(f.take()).toEqual(['L:err:once_async']);
  });

  test('a probe that waits is waited for', async () => {
    const f = new PlatformFixture();
    const slow = gate();
    const dev = f.added('once');
    const registering = f.platform.registerOnce({ name: 'once', probe: () => slow.wait });
    slow.open();
    await registering;
    expect(dev.bound).toBe(true);
  });

  test('it can be registered again, once or for good', () => {
    const f = new PlatformFixture();
    const driver: PlatformDriver = { name: 'once', probe: () => undefined };
    const dev = f.added('once');
    for (let i = 0; i < 2; i++) {
      sync(f.platform.registerOnce(driver));
      expect(dev.bound).toBe(true);
      sync(f.platform.unregister(driver));
    }
    sync(f.platform.register(driver));
    expect(dev.bound).toBe(true);
  });
});

describe('platform bus', () => {
  test('a managed child is gone before the remove of its parent, with its addresses', () => {
    const f = new PlatformFixture({ skip: ['M', 'U'] });
    sync(f.platform.register({ name: 'kid', remove: () => undefined }));
    f.register('A', 'par', (par) => {
      sync(f.platform.addChild(par, { name: 'kid', id: 'auto', resources: [mem(0x1000, 4)] }));
    });
    const par = f.add('par');
    expect(f.platform.mem.ownerAt(0x1000)).toBe('kid.0.auto');
    expect(f.trace(() => f.core.unbind(par))).toEqual([
      'N:UNBIND(par)',
      'R(kid.0.auto,kid)',
      ...UNB('par', 'A')
        .slice(1)
        .filter((t) => !t.startsWith('U:')),
    ]);
    expect(f.platform.mem.ownerAt(0x1000)).toBeUndefined();
  });

  test('a managed child that cannot be added leaves nothing', () => {
    const f = new PlatformFixture();
    f.register('A', 'par');
    const par = f.add('par');
    f.added('x', { resources: [mem(0x1000, 4)] });
    const released: string[] = [];
    const child = (name: string, start: number) =>
      errno(() => f.platform.addChild(par, { name, resources: [mem(start, 4)], release: () => void released.push(name) }));
    expect(child('y', 0x1000)).toBe('-EBUSY');
    expect(child('x', 0x2000)).toBe('-EEXIST');
    expect(released).toEqual(['y', 'x']);
    expect(f.platform.mem.ownerAt(0x2000)).toBeUndefined();
  });

  test('its events carry MODALIAS', () => {
    const f = new PlatformFixture();
    const seen: (string | undefined)[] = [];
    f.core.uevents.on(({ env }) => seen.push(env.get('MODALIAS')));
    f.added('x', { id: 1 });
    expect(seen).toEqual(['platform:x']);
  });

  test('closes when it is empty, and leaves nothing', () => {
    const f = new PlatformFixture();
    const dev = f.added('x');
    expect(errno(() => f.platform.close())).toBe('-EBUSY');
    sync(f.platform.remove(dev));
    f.platform.close();
    expect([f.core.buses.has('platform'), f.core.order.size]).toEqual([false, 0]);
  });
});
