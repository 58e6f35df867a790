import { describe, expect, test } from 'vitest';
import { Class, Device } from '../../../core/device/index.js';
import { Errno, defer } from '../../../core/lib/errno.js';
import { Fixture, GONE, errno, sync } from './conformance/fixture.js';

describe('the states of a device', () => {
  test('new, registered, bound, dead and released follow each other', () => {
    const fx = new Fixture();
    const seen: unknown[] = [];
    const look = (dev: Device) => seen.push([dev.phase, dev.registered, dev.bound, dev.dead]);
    const a = fx.register('A', 'd', (dev) => void look(dev));
    a.onRemove = (dev) => void look(dev);
    const dev = new Device({ name: 'd1', bus: fx.tb, release: (d) => void look(d) });
    look(dev);
    sync(fx.core.add(dev));
    look(dev);
    sync(fx.core.remove(dev));
    expect(seen).toEqual([
      ['new', false, false, false],
      ['registered', true, false, false],
      ['registered', true, true, false],
      ['registered', true, true, true],
      ['released', false, false, true],
    ]);
  });

  test('a device whose add failed is failed for good', () => {
    const fx = new Fixture();
    const dev = new Device({ bus: fx.tb, release: () => {} });
    expect(errno(() => fx.core.add(dev))).toBe('-EINVAL');
    expect([dev.phase, errno(() => fx.core.add(dev))]).toEqual(['failed', '-EINVAL']);
  });
});

describe('the path of a device', () => {
  test('leads through its parents, its class, or neither', () => {
    const fx = new Fixture();
    const cls = new Class('block');
    fx.core.registerClass(cls);
    const par = fx.add('par');
    const kid = fx.add('kid', { parent: par });
    const disk = fx.bare('sda', { class: cls, parent: kid });
    const part = fx.bare('sda1', { class: cls, parent: disk });
    const loop = fx.bare('loop0', { class: cls });
    for (const dev of [disk, part, loop]) sync(fx.core.add(dev));
    expect([kid, disk, part, loop].map((d) => d.path)).toEqual([
      '/devices/par/kid',
      '/devices/par/kid/block/sda',
      '/devices/par/kid/block/sda/sda1',
      '/devices/virtual/block/loop0',
    ]);
  });

  test('the directory of a class goes with its last member', () => {
    const fx = new Fixture();
    const cls = new Class('block');
    fx.core.registerClass(cls);
    const loops = ['loop0', 'loop1'].map((name) => fx.bare(name, { class: cls }));
    for (const dev of loops) sync(fx.core.add(dev));
    sync(fx.core.remove(loops[0]!));
    expect(fx.core.virtualDirs()).toEqual(['block']);
    sync(fx.core.remove(loops[1]!));
    expect(fx.core.virtualDirs()).toEqual([]);
  });
});

describe('release', () => {
  test.each([
    ['of the device', { release: true }, 'device'],
    ['of its type', { type: true }, 'type'],
    ['of its class', {}, 'class'],
  ])('%s is the one that runs', (_what, has, expected) => {
    const fx = new Fixture();
    const ran: string[] = [];
    const cls = new Class('c', { devRelease: () => void ran.push('class') });
    fx.core.registerClass(cls);
    const dev = new Device({
      name: 'd1',
      class: cls,
      ...('type' in has || 'release' in has ? { type: { name: 't', release: () => void ran.push('type') } } : {}),
      ...('release' in has ? { release: () => void ran.push('device') } : {}),
    });
    sync(fx.core.add(dev));
    sync(fx.core.remove(dev));
    expect(ran).toEqual([expected]);
  });

  test('waits for what is still held, also when that fails', async () => {
    const fx = new Fixture();
    const dev = fx.add('d1').get();
    sync(fx.core.remove(dev));
    fx.act(dev, 'late', async () => {
      await Promise.resolve();
      throw new Errno('EIO', 'stuck');
    });
    fx.take();
    dev.put();
    expect(fx.take()).toEqual(['dm(late)']);
    await fx.clock.settle();
    expect(fx.take()).toEqual(['L:err:release_failed', 'REL(d1)']);
  });
});

describe('errProbe', () => {
  const logged = (error: Errno) => {
    const fx = new Fixture();
    fx.register('A', 'd', (dev) => {
      throw dev.errProbe(error, 'no clk0');
    });
    const dev = fx.add('d1');
    const levels = fx.core.log.records().filter((r) => r.text.startsWith('no clk0'));
    return { fx, dev, levels: levels.map((r) => r.level) };
  };

  test('keeps a deferral as the reason and does not log an error', () => {
    const { fx, levels } = logged(defer());
    expect(levels).toEqual(['debug']);
    expect(fx.core.deferred.text()).toBe('d1\tA: no clk0\n');
  });

  test('logs an error once, and ENOMEM not at all', () => {
    expect(logged(new Errno('EIO', 'x')).levels).toEqual(['err']);
    expect(logged(new Errno('ENOMEM', 'x')).levels).toEqual([]);
  });
});

describe('classes', () => {
  test('an interface hears of devices that are there and of those that come and go', () => {
    const fx = new Fixture();
    const cls = new Class('net', { devRelease: () => {} });
    fx.core.registerClass(cls);
    const [a, b] = [new Device({ name: 'a', class: cls }), new Device({ name: 'b', class: cls })];
    const heard: string[] = [];
    sync(fx.core.add(a));
    fx.core.registerInterface(cls, {
      addDev: (dev) => void heard.push(`+${dev.name}`),
      removeDev: (dev) => void heard.push(`-${dev.name}`),
    });
    sync(fx.core.add(b));
    sync(fx.core.remove(a));
    expect(heard).toEqual(['+a', '+b', '-a']);
  });

  test('an interface that throws is reported, and the device is added and removed all the same', () => {
    const fx = new Fixture();
    const cls = new Class('net', { devRelease: () => {} });
    fx.core.registerClass(cls);
    const bad = (): never => {
      throw new Error('no');
    };
    fx.core.registerInterface(cls, { addDev: bad, removeDev: bad });
    const dev = new Device({ name: 'a', class: cls });
    sync(fx.core.add(dev));
    expect(dev.registered).toBe(true);
    sync(fx.core.remove(dev));
    expect([dev.registered, cls.devices.size, fx.violations]).toEqual([false, 0, ['callback-threw', 'callback-threw']]);
  });
});

describe('references', () => {
  test('UBL-08: a device that is never added is released once, by its last put', () => {
    const fx = new Fixture();
    const dev = fx.device('d1').get();
    dev.put();
    expect(fx.take()).toEqual([]);
    expect(fx.trace(() => dev.put())).toEqual(['REL(d1)']);
    expect(errno(() => dev.put())).toBe('-EINVAL');
    expect(errno(() => dev.get())).toBe('-EINVAL');
    expect(fx.take()).toEqual([]);
  });

  test('the last reference of a registered device cannot be given up', () => {
    const fx = new Fixture();
    const dev = fx.add('d1');
    fx.take();
    expect(errno(() => dev.put())).toBe('-EINVAL');
    expect(fx.take()).toEqual(['WARN:put-twice']);
    expect(fx.trace(() => fx.core.remove(dev))).toEqual(GONE('d1'));
  });

  test('a parent is held by its children, and released when the last of them is deleted', () => {
    const fx = new Fixture();
    const par = fx.add('par');
    const kid = fx.add('kid', { parent: par });
    expect(par.refs).toBe(2);
    sync(fx.core.remove(kid));
    expect(par.refs).toBe(1);
    expect(fx.trace(() => fx.core.remove(par))).toEqual(GONE('par'));
  });

  test('delete leaves the reference of the creator alone', () => {
    const fx = new Fixture();
    const dev = fx.add('d1');
    expect(fx.trace(() => fx.core.delete(dev))).toEqual(GONE('d1').slice(0, -1));
    expect(fx.trace(() => dev.put())).toEqual(['REL(d1)']);
  });

  test('a child of a device that is not registered is refused with ENODEV', () => {
    const fx = new Fixture();
    expect(errno(() => fx.core.add(fx.device('kid', { parent: fx.device('par') })))).toBe('-ENODEV');
    const par = fx.add('par').get();
    sync(fx.core.remove(par));
    expect(errno(() => fx.core.add(fx.device('kid', { parent: par })))).toBe('-ENODEV');
  });

  test('a release that throws is reported and stops nothing', () => {
    const fx = new Fixture();
    const par = fx.device('par', {
      release: () => {
        throw new Error('no');
      },
    });
    sync(fx.core.add(par));
    const kid = fx.add('kid', { parent: par });
    sync(fx.core.remove(par));
    expect(fx.trace(() => fx.core.remove(kid)).slice(-2)).toEqual(['L:err:callback_threw', 'REL(kid)']);
    expect(fx.violations).toEqual(['orphaned-children', 'callback-threw']);
  });
});
