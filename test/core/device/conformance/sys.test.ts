import { describe, expect, test } from 'vitest';
import { Bus, type DeviceOptions, offline, online } from '../../../../core/device/index.js';
import { Errno } from '../../../../core/lib/errno.js';
import { ADD, BIND, FAIL, Fixture, M, P, type Step, UNB, errno, errnoLater, gate, sync } from './fixture.js';

/** A on d1 and B on e1, bound, unless `script` lets A's probe fail. */
function scene(...script: Step[]) {
  const fx = new Fixture();
  const a = fx.register('A', 'd', ...script);
  const b = fx.register('B', 'e');
  const d1 = fx.add('d1');
  const e1 = fx.add('e1');
  fx.take();
  const bind = (text: string) => errno(() => fx.files(a).write('bind', text));
  const unbind = (text: string) => errno(() => fx.files(a).write('unbind', text));
  const probe = (text: string) => errno(() => fx.tb.attributes.write('drivers_probe', text));
  return { fx, a, b, d1, e1, bind, unbind, probe };
}

/** As `scene`, with d1 unbound by hand. */
function unbound(...script: Step[]) {
  const all = scene(0, ...script);
  sync(all.fx.core.unbind(all.d1));
  all.fx.take();
  return all;
}

describe('bind, unbind and drivers_probe', () => {
  test('SYS-01: unbind takes the name with or without newline, and all characters', () => {
    const { fx, unbind } = scene();
    expect(unbind('d1\n')).toBe(3);
    expect(fx.take()).toEqual(UNB('d1', 'A'));
  });

  test('unbind of an unbound or unknown device is ENODEV', () => {
    const { fx, unbind } = unbound();
    expect([unbind('d1'), unbind('nope')]).toEqual(['-ENODEV', '-ENODEV']);
    expect(fx.take()).toEqual([]);
  });

  test('SYS-03: unbind from another driver is ENODEV, and the device stays bound', () => {
    const { fx, e1, unbind } = scene();
    expect(unbind('e1')).toBe('-ENODEV');
    expect([fx.take(), e1.bound]).toEqual([[], true]);
  });

  test('SYS-05: bind asks match and probes', () => {
    const { fx, bind } = unbound();
    expect(bind('d1')).toBe(2);
    expect(fx.take()).toEqual([M('d1', 'A'), ...BIND('d1', 'A')]);
  });

  test('bind of a bound device is EBUSY', () => {
    const { fx, bind } = scene();
    expect(bind('d1')).toBe('-EBUSY');
    expect(fx.take()).toEqual([M('d1', 'A')]);
  });

  test('bind of a device that does not match is ENODEV', () => {
    const { fx, e1, bind } = scene();
    sync(fx.core.unbind(e1));
    fx.take();
    expect(bind('e1')).toBe('-ENODEV');
    expect(fx.take()).toEqual([M('e1', 'A', 0)]);
  });

  test('SYS-08: bind of an unknown device is ENODEV', () => {
    const { fx, bind } = scene();
    expect([bind('nope'), bind('')]).toEqual(['-ENODEV', '-ENODEV']);
    expect(fx.take()).toEqual([]);
  });

  test('SYS-09: a probe that fails at bind gives its error to the writer; no other driver is tried, nothing is queued', () => {
    const { fx, bind } = unbound('EIO');
    expect(bind('d1')).toBe('-EIO');
    expect([fx.take(), fx.deferred()]).toEqual([[M('d1', 'A'), ...FAIL('d1', 'A', '-EIO')], []]);
  });

  test('SYS-10: a probe that refuses with ENODEV at bind gives ENODEV without an error in the log', () => {
    const { fx, bind } = unbound('ENODEV');
    expect(bind('d1')).toBe('-ENODEV');
    expect(fx.take()).toEqual([M('d1', 'A'), ...FAIL('d1', 'A', '-ENODEV')]);
  });

  test('a deferral at bind is EAGAIN with the reason, and is not queued', () => {
    const { fx, a, d1, bind } = unbound('EPROBE_DEFER');
    expect(bind('d1')).toBe('-EAGAIN');
    expect([fx.take(), fx.deferred()]).toEqual([[M('d1', 'A'), ...FAIL('d1', 'A', '-EPROBE_DEFER')], []]);
    expect(() => fx.core.bind(d1, a)).toThrow(/^EAGAIN: d1: /);
  });

  test('a bind while probing is blocked is EAGAIN, and is not queued', () => {
    const { fx, bind, probe } = unbound();
    sync(fx.core.blockProbing());
    expect([bind('d1'), fx.deferred()]).toEqual(['-EAGAIN', []]);
    expect([probe('d1'), fx.deferred()]).toEqual(['-EINVAL', ['d1']]);
  });

  test('drivers_probe binds an unbound device and does nothing to a bound one', () => {
    const { fx, probe } = unbound();
    expect(probe('d1\n')).toBe(3);
    expect(fx.take()).toEqual([M('d1', 'A'), M('d1', 'B', 0)].slice(0, 1).concat(BIND('d1', 'A')));
    expect(probe('d1')).toBe(2);
    expect(fx.take()).toEqual([]);
    expect(probe('nope')).toBe('-ENODEV');
  });

  test('SYS-12: drivers_probe succeeds although the probe failed, and goes on to the next driver', () => {
    const { fx, probe } = unbound('EIO');
    expect(probe('d1')).toBe(2);
    expect(fx.take()).toEqual([M('d1', 'A'), ...FAIL('d1', 'A', '-EIO'), M('d1', 'B', 0)]);
  });

  test('drivers_probe succeeds although the probe deferred, and the device is queued', () => {
    const { fx, probe } = unbound('EPROBE_DEFER');
    expect([probe('d1'), fx.deferred()]).toEqual([2, ['d1']]);
  });

  test('SYS-14: on a device with resources drivers_probe is EINVAL and bind is EBUSY', () => {
    const { fx, d1, bind, probe } = unbound();
    fx.act(d1, 'early');
    expect(errno(() => fx.core.attach(d1))).toBe('-EBUSY');
    fx.take();
    expect(probe('d1')).toBe('-EINVAL');
    expect(bind('d1')).toBe('-EBUSY');
    const once = [M('d1', 'A'), 'L:crit:resources_present'];
    expect(fx.take()).toEqual([...once, ...once]);
  });

  test('SYS-17: a driver that suppresses them has no bind and unbind files', () => {
    const fx = new Fixture();
    const a = fx.driver('A', 'd');
    a.suppressBindAttrs = true;
    sync(fx.core.registerDriver(fx.tb, a));
    expect(fx.files(a).paths()).toEqual(['uevent']);
    const b = fx.register('B', 'e');
    expect(fx.files(b).paths()).toEqual(['uevent', 'bind', 'unbind']);
  });

  test('SYS-44: a bind that runs when its driver is unregistered ends first, and is undone', async () => {
    const hold = gate();
    const { fx, a, d1 } = unbound(() => hold.wait);
    const write = fx.files(a).write('bind', 'd1');
    const gone = fx.core.unregisterDriver(fx.tb, a);
    hold.open();
    expect(await write).toBe(2);
    await gone;
    expect(fx.take()).toEqual([M('d1', 'A'), ...BIND('d1', 'A'), ...UNB('d1', 'A')]);
    expect([d1.bound, fx.tb.drivers.map((r) => r.name)]).toEqual([false, ['B']]);
  });

  test('SYS-44: a bind that waits for the device when its driver is unregistered is ENODEV', async () => {
    const hold = gate();
    const { fx, a, d1 } = scene();
    a.onRemove = () => hold.wait;
    const unbinding = fx.core.unbind(d1);
    const write = errnoLater(() => fx.files(a).write('bind', 'd1'));
    const gone = fx.core.unregisterDriver(fx.tb, a);
    hold.open();
    await unbinding;
    expect(await write).toBe('-ENODEV');
    await gone;
    expect([d1.driver, d1.busy]).toEqual([undefined, false]);
  });
});

describe('drivers_autoprobe', () => {
  test('SYS-15: while it is 0 nothing is matched; the first character decides; a rescan binds', () => {
    const fx = new Fixture();
    const write = (text: string) => {
      sync(fx.tb.attributes.write('drivers_autoprobe', text));
      return fx.tb.attributes.read('drivers_autoprobe');
    };
    expect(write('0')).toBe('0\n');
    expect(
      fx.trace(() => {
        fx.register('A', 'd');
        fx.add('d1');
        fx.add('d2');
      }),
    ).toEqual([...ADD('d1'), ...ADD('d2')]);
    expect(fx.trace(() => fx.core.rescan(fx.tb))).toEqual([M('d1', 'A'), ...BIND('d1', 'A'), M('d2', 'A'), ...BIND('d2', 'A')]);
    expect([write('x'), write('01'), write('1\n'), write('0\n'), write('')]).toEqual(['1\n', '0\n', '1\n', '0\n', '1\n']);
  });

  test('SYS-16: turning it on rescans nothing', () => {
    const fx = new Fixture();
    fx.tb.autoprobe = false;
    fx.register('A', 'd');
    const d1 = fx.add('d1');
    expect(fx.trace(() => fx.tb.attributes.write('drivers_autoprobe', '1'))).toEqual([]);
    expect(d1.bound).toBe(false);
  });
});

describe('driver_override', () => {
  function bus() {
    const fx = new Fixture();
    const ovA = fx.driver('ovA', 'obdev');
    const ovB = fx.driver('ovB', 'zzz');
    sync(fx.core.registerDriver(fx.ob, ovA));
    sync(fx.core.registerDriver(fx.ob, ovB));
    const make = (id: number) => {
      const dev = fx.device('', { bus: fx.ob, id });
      return dev;
    };
    const obdev7 = make(7);
    sync(fx.core.add(obdev7));
    fx.take();
    const set = (text: string) => sync(obdev7.attributes.write('driver_override', text));
    const get = () => obdev7.attributes.read('driver_override');
    return { fx, ovA, ovB, obdev7, make, set, get };
  }

  test('it reads (null) when unset, and setting it unbinds nobody', () => {
    const { fx, ovA, obdev7, set, get } = bus();
    expect(get()).toBe('(null)\n');
    expect(set('ovB\n')).toBe(4);
    expect([get(), obdev7.driver, fx.take()]).toEqual(['ovB\n', ovA, []]);
  });

  test('with it set the driver that matches otherwise does not', () => {
    const { fx, ovA, set } = bus();
    set('ovB');
    sync(fx.files(ovA, fx.ob).write('unbind', 'obdev7'));
    expect(errno(() => fx.files(ovA, fx.ob).write('bind', 'obdev7'))).toBe('-ENODEV');
  });

  test('SYS-21: the named driver is bound although its own match says no', () => {
    const { fx, ovA, ovB, obdev7, set } = bus();
    set('ovB');
    expect(fx.trace(() => fx.files(ovA, fx.ob).write('unbind', 'obdev7'))).toEqual(['R(obdev7,ovA)']);
    expect(fx.trace(() => fx.ob.attributes.write('drivers_probe', 'obdev7'))).toEqual([
      M('obdev7', 'ovA', 0),
      M('obdev7', 'ovB'),
      P('obdev7', 'ovB'),
    ]);
    expect(obdev7.driver).toBe(ovB);
    sync(fx.core.unbind(obdev7));
    expect(obdev7.driverOverride).toBe('ovB');
  });

  test.each(['', '\n'])('writing %j clears it', (text) => {
    const { set, get } = bus();
    set('ovB');
    expect(set(text)).toBe(text.length);
    expect(get()).toBe('(null)\n');
  });

  test('SYS-24: naming a driver that does not exist leaves the device unbound', () => {
    const { fx, obdev7, set } = bus();
    sync(fx.core.unbind(obdev7));
    set('nosuch');
    fx.take();
    expect(errno(() => fx.ob.attributes.write('drivers_probe', 'obdev7'))).toBe(6);
    expect(fx.take()).toEqual([M('obdev7', 'ovA', 0), M('obdev7', 'ovB', 0)]);
    expect(obdev7.bound).toBe(false);
  });

  test('SYS-25: it ends at the first newline', () => {
    const { set, get } = bus();
    expect(set('abc\ndef')).toBe(7);
    expect(get()).toBe('abc\n');
  });

  test('it takes fewer than 4095 characters', () => {
    const { obdev7, set } = bus();
    expect(set('x'.repeat(4094))).toBe(4094);
    expect(errno(() => obdev7.attributes.write('driver_override', 'y'.repeat(4095)))).toBe('-EINVAL');
    expect(obdev7.driverOverride).toBe('x'.repeat(4094));
  });

  test('SYS-27: set before the add it decides the first probe', () => {
    const { fx, make } = bus();
    const obdev8 = make(8);
    obdev8.driverOverride = 'ovB';
    expect(fx.trace(() => fx.core.add(obdev8))).toEqual([M('obdev8', 'ovA', 0), M('obdev8', 'ovB'), P('obdev8', 'ovB')]);
  });

  test('SYS-28: a bus without it has no such file, and pays no attention to it', () => {
    const fx = new Fixture();
    fx.register('A', 'd');
    const d1 = fx.device('d1');
    d1.driverOverride = 'nosuch';
    sync(fx.core.add(d1));
    expect([d1.attributes.has('driver_override'), d1.bound]).toEqual([false, true]);
  });
});

describe('files of a device', () => {
  test('SYS-29: a bound device is found from its bus, its parent and its driver, and from none of them after its removal', () => {
    const fx = new Fixture();
    const a = fx.register('A', 'd');
    const par = fx.add('par');
    const d1 = fx.add('d1', { parent: par });
    expect([d1.path, fx.tb.find('d1'), fx.tb.devicesOf(a), par.children]).toEqual(['/devices/par/d1', d1, [d1], [d1]]);
    sync(fx.core.remove(d1));
    expect([fx.tb.find('d1'), fx.tb.devicesOf(a), par.children, d1.driver]).toEqual([undefined, [], [], undefined]);
  });

  test('SYS-30: a file that is open when its device is removed gives ENODEV', () => {
    const fx = new Fixture();
    const dev = fx.add('d1', { groups: [{ name: 'g', attributes: [{ name: 'x', show: () => '1\n', store: () => {} }] }] });
    const open = dev.attributes.open('g/x');
    expect([open.read(), sync(open.write('2'))]).toEqual(['1\n', 1]);
    sync(fx.core.remove(dev));
    expect([errno(() => open.read()), errno(() => open.write('2'))]).toEqual(['-ENODEV', '-ENODEV']);
  });

  test('SYS-31: reading uevent shows what an event would carry, and sends none', () => {
    const { fx, d1 } = scene();
    fx.onUevent = (_dev, env) => void env.set('MODALIAS', 'tb:d');
    expect(d1.attributes.read('uevent')).toBe('DRIVER=A\nMODALIAS=tb:d\n');
    expect(fx.take()).toEqual([]);
  });

  test('SYS-36: an attribute without show is EIO to read; twice is EEXIST; removed it is ENOENT', () => {
    const fx = new Fixture();
    const dev = fx.add('d1');
    const written: string[] = [];
    const attribute = { name: 'x', mode: 0o644, store: (_: unknown, text: string) => void written.push(text) };
    dev.attributes.add(attribute);
    expect(errno(() => dev.attributes.read('x'))).toBe('-EIO');
    expect(errno(() => dev.attributes.write('x', 'abc'))).toBe(3);
    expect(errno(() => dev.attributes.add(attribute))).toBe('-EEXIST');
    expect(dev.attributes.remove('x')).toBe(true);
    expect(errno(() => dev.attributes.open('x'))).toBe('-ENOENT');
    expect(written).toEqual(['abc']);
  });

  test('attributes asked for before the add are there after it, with those of the groups', () => {
    const fx = new Fixture();
    const dev = fx.device('d1', { groups: [{ attributes: [{ name: 'own' }] }] });
    expect(dev.attributes.paths()).toEqual([]);
    sync(fx.core.add(dev));
    expect(dev.attributes.paths()).toEqual(['uevent', 'own']);
  });

  test('the attributes of a driver are there while the device is bound', () => {
    const fx = new Fixture();
    const a = fx.driver('A', 'd');
    a.devGroups = [{ name: 'drv', attributes: [{ name: 'x', show: () => '1\n' }] }];
    sync(fx.core.registerDriver(fx.tb, a));
    const d1 = fx.add('d1');
    expect(d1.attributes.read('drv/x')).toBe('1\n');
    sync(fx.core.unbind(d1));
    expect(d1.attributes.has('drv/x')).toBe(false);
    sync(fx.core.attach(d1));
    expect(d1.attributes.has('drv/x')).toBe(true);
  });
});

describe('online', () => {
  test('SYS-39: a parent goes offline after its children; done twice is no event; the bus may refuse', () => {
    const fx = new Fixture();
    let refuse = false;
    const bus = new Bus('cpu', {
      online: () => {},
      offline: () => {
        if (refuse) throw new Errno('EIO', 'no');
      },
    });
    fx.core.registerBus(bus);
    const add = (name: string, options: DeviceOptions = {}) => fx.add(name, { bus, ...options });
    const par = add('par');
    const kid = add('kid', { parent: par });
    fx.take();
    expect(errno(() => offline(par))).toBe('-EBUSY');
    expect([offline(kid), offline(kid)]).toEqual([true, false]);
    expect([kid.attributes.read('online'), par.attributes.read('online')]).toEqual(['0\n', '1\n']);
    expect(sync(par.attributes.write('online', '0'))).toBe(1);
    expect([online(par), online(par)]).toEqual([true, false]);
    expect(fx.take()).toEqual(['U:offline(kid)', 'U:offline(par)', 'U:online(par)']);
    refuse = true;
    expect(errno(() => offline(par))).toBe('-EIO');
    par.offlineDisabled = true;
    expect(errno(() => offline(par))).toBe('-EPERM');
    expect(errno(() => par.attributes.write('online', '2'))).toBe('-EINVAL');
    expect([fx.take(), par.offline]).toEqual([[], false]);
  });
});
