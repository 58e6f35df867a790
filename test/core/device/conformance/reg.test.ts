import { describe, expect, test } from 'vitest';
import { Bus, Class, Device } from '../../../../core/device/index.js';
import { ADD, BIND, Fixture, GONE, M, UNB, errno, sync } from './fixture.js';

describe('registration', () => {
  test('REG-01: a device without name is refused with EINVAL, and put is all that is left to do', () => {
    const fx = new Fixture();
    const dev = new Device({ bus: fx.nb, release: () => fx.tokens.push('REL') });
    expect(errno(() => fx.core.add(dev))).toBe('-EINVAL');
    expect(dev.registered).toBe(false);
    expect(fx.take()).toEqual([]);
    expect(fx.trace(() => dev.put())).toEqual(['REL']);
  });

  test('REG-02: a second device of the same name and parent is refused with EEXIST', () => {
    const fx = new Fixture();
    const first = fx.add('dup');
    const second = fx.device('dup');
    fx.take();
    expect(errno(() => fx.core.add(second))).toBe('-EEXIST');
    expect(second.registered).toBe(false);
    expect(fx.take()).toEqual([]);
    expect(fx.trace(() => second.put())).toEqual(['REL(dup)']);
    expect(fx.trace(() => fx.core.remove(first))).toEqual(GONE('dup'));
  });

  test('REG-03, UBL-14: a name taken on the bus under another parent is refused with EEXIST; no event of an add is sent, nor of a remove', () => {
    const fx = new Fixture();
    const [pa, pb] = [fx.add('pa'), fx.add('pb')];
    const first = fx.add('same', { parent: pa });
    const second = fx.device('same', { parent: pb });
    fx.take();
    expect(errno(() => fx.core.add(second))).toBe('-EEXIST');
    expect(fx.take()).toEqual([]);
    expect([fx.tb.find('same'), pb.refs, pb.children]).toEqual([first, 1, []]);
  });

  test('REG-04: a bus that was never registered is an error of the log and EINVAL', () => {
    const fx = new Fixture();
    const dev = fx.device('d1', { bus: new Bus('nowhere') });
    expect(errno(() => fx.core.add(dev))).toBe('-EINVAL');
    expect(fx.take()).toEqual(['L:err:bus_unregistered']);
    expect(fx.trace(() => dev.put())).toEqual(['REL(d1)']);
  });

  test('REG-05: a bus names its unnamed devices by prefix and unsigned id', () => {
    const fx = new Fixture();
    const dev = new Device({ bus: fx.ob, id: 3, release: () => {} });
    const negative = new Device({ bus: fx.ob, id: -1, release: () => {} });
    sync(fx.core.add(dev));
    sync(fx.core.add(negative));
    expect([dev.name, negative.name]).toEqual(['obdev3', 'obdev4294967295']);
  });

  test('a slash in a name becomes an exclamation mark', () => {
    const fx = new Fixture();
    const dev = fx.add('a/b');
    expect([dev.name, dev.path, fx.tb.find('a!b')]).toEqual(['a!b', '/devices/a!b', dev]);
  });

  test('REG-08: with an extra reference a device outlives its removal, and what is acquired then goes with the last put', () => {
    const fx = new Fixture();
    const dev = fx.add('d1').get();
    expect(fx.trace(() => fx.core.remove(dev))).toEqual(['N:DEL(d1)', 'N:REMOVED(d1)', 'U:remove(d1)']);
    expect([dev.registered, dev.dead, errno(() => fx.core.attach(dev))]).toEqual([false, true, false]);
    fx.act(dev, 'late');
    expect(fx.trace(() => dev.put())).toEqual(['dm(late)', 'REL(d1)']);
  });

  test('REG-09, UBL-19: a device without any release is a broken rule', () => {
    const fx = new Fixture();
    const dev = new Device({ name: 'd1', bus: fx.tb });
    sync(fx.core.add(dev));
    expect(fx.trace(() => fx.core.remove(dev)).slice(-1)).toEqual(['WARN:device-without-release']);
    expect(fx.violations).toEqual(['device-without-release']);
  });

  test('REG-13: a driver registered after its devices probes them in the order they came', () => {
    const fx = new Fixture();
    for (const name of ['d1', 'd2', 'e1']) fx.add(name);
    expect(fx.trace(() => fx.register('A', 'd'))).toEqual([
      M('d1', 'A'),
      ...BIND('d1', 'A'),
      M('d2', 'A'),
      ...BIND('d2', 'A'),
      M('e1', 'A', 0),
    ]);
  });

  test('REG-14: unregistering a driver unbinds the newest binding first, and no other driver is asked', () => {
    const fx = new Fixture();
    for (const name of ['d1', 'd2', 'e1']) fx.add(name);
    const a = fx.register('A', 'd');
    fx.register('B', 'd');
    expect(fx.trace(() => fx.core.unregisterDriver(fx.tb, a))).toEqual([...UNB('d2', 'A'), ...UNB('d1', 'A')]);
    expect(fx.tb.devices.map((d) => [d.name, d.registered, d.driver])).toEqual([
      ['d1', true, undefined],
      ['d2', true, undefined],
      ['e1', true, undefined],
    ]);
  });

  test('REG-16: a child joins the list of its parent after its own first probe', () => {
    const fx = new Fixture();
    const par = fx.add('par');
    const seen: number[] = [];
    fx.register('A', 'kid', () => void seen.push(par.children.length));
    fx.add('kid1', { parent: par });
    fx.add('kid2', { parent: par });
    expect(seen).toEqual([0, 1]);
    expect(par.children.map((c) => c.name)).toEqual(['kid1', 'kid2']);
  });

  test('REG-17, UBL-19: children outlive a parent that is removed first, which is reported', () => {
    const fx = new Fixture();
    const par = fx.add('par');
    fx.register('A', 'kid', (dev) => {
      fx.act(dev, 'first');
      fx.act(dev, 'second');
    });
    const kid1 = fx.add('kid1', { parent: par });
    const kid2 = fx.add('kid2', { parent: par });
    const tokens = fx.trace(() => fx.core.remove(par));
    expect(tokens).toEqual(['N:DEL(par)', 'L:warn:orphans', 'N:REMOVED(par)', 'U:remove(par)']);
    expect(fx.violations).toEqual(['orphaned-children']);
    expect([kid1.registered, kid1.bound, kid1.path]).toEqual([true, true, '/par/kid1']);
    let path = '';
    fx.core.uevents.on((event) => (path = event.devpath));
    expect(fx.trace(() => fx.core.remove(kid1))).toEqual(GONE('kid1', ...UNB('kid1', 'A', 'second', 'first')));
    expect(path).toBe('/par/kid1');
    expect(fx.trace(() => fx.core.remove(kid2))).toEqual([
      'N:DEL(kid2)',
      ...UNB('kid2', 'A', 'second', 'first'),
      'N:REMOVED(kid2)',
      'U:remove(kid2)',
      'REL(par)',
      'REL(kid2)',
    ]);
  });

  test('REG-18: a child added outside the driver stays bound when its parent is unbound and removed', () => {
    const fx = new Fixture();
    fx.register('A', 'd');
    const k = fx.register('K', 'kid');
    const d1 = fx.add('d1');
    const kid1 = fx.add('kid1', { parent: d1 });
    expect(fx.trace(() => fx.core.unbind(d1))).toEqual(UNB('d1', 'A'));
    expect(kid1.bound).toBe(true);
    expect(fx.trace(() => fx.core.remove(d1))).toEqual(['N:DEL(d1)', 'L:warn:orphans', 'N:REMOVED(d1)', 'U:remove(d1)']);
    expect(kid1.bound).toBe(true);
    expect(fx.trace(() => fx.core.unregisterDriver(fx.tb, k))).toEqual(UNB('kid1', 'K'));
    expect(fx.trace(() => fx.core.remove(kid1))).toEqual([
      'N:DEL(kid1)',
      'N:REMOVED(kid1)',
      'U:remove(kid1)',
      'REL(d1)',
      'REL(kid1)',
    ]);
  });

  test('REG-20: a second driver of a name is refused with EBUSY and an error, and the first is unaffected', () => {
    const fx = new Fixture();
    const first = fx.register('A', 'd');
    expect(errno(() => fx.core.registerDriver(fx.tb, fx.driver('A', 'e')))).toBe('-EBUSY');
    expect(fx.take()).toEqual(['L:err:driver_exists']);
    expect(fx.tb.drivers).toEqual([first]);
    expect(fx.add('d1').driver).toBe(first);
  });

  test('a driver on a bus that was never registered is an error of the log and EINVAL', () => {
    const fx = new Fixture();
    expect(errno(() => fx.core.registerDriver(new Bus('nowhere'), fx.driver('A', 'd')))).toBe('-EINVAL');
    expect(fx.take()).toEqual(['L:err:bus_unregistered']);
  });

  test('REG-22: unregistering a driver that was never registered is a broken rule and has no effect', () => {
    const fx = new Fixture();
    const d1 = fx.add('d1');
    fx.register('A', 'd');
    fx.take();
    expect(errno(() => fx.core.unregisterDriver(fx.tb, fx.driver('A', 'd')))).toBe('-EINVAL');
    expect(fx.take()).toEqual(['WARN:driver-not-registered']);
    expect(d1.bound).toBe(true);
  });

  test('REG-23: a bus name registered twice is EEXIST, and the first bus goes on working', () => {
    const fx = new Fixture();
    expect(errno(() => fx.core.registerBus(new Bus('tb')))).toBe('-EEXIST');
    expect(errno(() => fx.core.registerBus(fx.tb))).toBe('-EEXIST');
    fx.register('A', 'd');
    expect(fx.add('d1').bound).toBe(true);
  });

  test('REG-24, UBL-03: a bus with devices or drivers cannot be unregistered', () => {
    const fx = new Fixture();
    const d1 = fx.add('d1');
    const a = fx.register('A', 'd');
    expect(errno(() => fx.core.unregisterBus(fx.tb))).toBe('-EBUSY');
    sync(fx.core.remove(d1));
    expect(errno(() => fx.core.unregisterBus(fx.tb))).toBe('-EBUSY');
    sync(fx.core.unregisterDriver(fx.tb, a));
    expect(errno(() => fx.core.unregisterBus(fx.tb))).toBeUndefined();
    expect([fx.tb.registered, fx.core.buses.has('tb')]).toEqual([false, false]);
    expect(errno(() => fx.core.unregisterBus(fx.tb))).toBe('-EINVAL');
  });

  test('REG-25, UBL-01: removing a device whose add failed is a broken rule; only put is legal', () => {
    const fx = new Fixture();
    fx.add('d1');
    const dev = fx.device('d1');
    expect(errno(() => fx.core.add(dev))).toBe('-EEXIST');
    fx.take();
    expect(errno(() => fx.core.remove(dev))).toBe('-EINVAL');
    expect(fx.take()).toEqual(['WARN:removed-twice']);
    expect(fx.trace(() => dev.put())).toEqual(['REL(d1)']);
  });

  test('REG-26: a device can be added only once, also after its removal', () => {
    const fx = new Fixture();
    const dev = fx.add('d1').get();
    fx.take();
    expect(errno(() => fx.core.add(dev))).toBe('-EINVAL');
    expect(dev.registered).toBe(true);
    sync(fx.core.remove(dev));
    expect(errno(() => fx.core.add(dev))).toBe('-EINVAL');
    expect(errno(() => fx.core.remove(dev))).toBe('-EINVAL');
    expect(fx.violations).toEqual(['added-twice', 'added-twice', 'removed-twice']);
  });

  test('REG-28: children are listed in the order they were added', () => {
    const fx = new Fixture();
    const par = fx.add('par');
    for (const name of ['k1', 'k2', 'k3']) fx.add(name, { parent: par });
    expect(par.children.map((c) => c.name)).toEqual(['k1', 'k2', 'k3']);
  });

  test('REG-30: a device with neither bus nor class sends no events', () => {
    const fx = new Fixture();
    const dev = fx.bare('lone');
    expect(fx.trace(() => fx.core.add(dev))).toEqual([]);
    expect(dev.registered).toBe(true);
    expect(fx.trace(() => fx.core.remove(dev))).toEqual(['REL(lone)']);
  });

  test('REG-31, UBL-14: a device on a bus and in a class is refused with EEXIST; no event is sent', () => {
    const fx = new Fixture();
    const cls = new Class('tcls');
    fx.core.registerClass(cls);
    const dev = fx.bare('d1', { bus: fx.tb, class: cls });
    expect(errno(() => fx.core.add(dev))).toBe('-EEXIST');
    expect([fx.take(), dev.registered, fx.tb.devices]).toEqual([[], false, []]);
    const other = fx.bare('d2', { class: cls });
    expect(errno(() => sync(fx.tb.add(other)))).toBe('-EEXIST');
  });

  test('REG-32, UBL-14: attributes that clash at add are EEXIST, and everything is rolled back without an event', () => {
    const fx = new Fixture();
    const par = fx.add('par');
    fx.take();
    const dev = fx.device('d1', { parent: par, groups: [{ attributes: [{ name: 'uevent' }] }] });
    expect(errno(() => fx.core.add(dev))).toBe('-EEXIST');
    expect([fx.take(), dev.registered, fx.tb.find('d1'), par.refs, dev.attributes.paths()]).toEqual([
      [],
      false,
      undefined,
      1,
      [],
    ]);
    expect(fx.trace(() => dev.put())).toEqual(['REL(d1)']);
    expect(fx.add('d1', { parent: par }).registered).toBe(true);
  });

  test('REG-33: late calls on a removed device that is still referenced do nothing or give ENODEV', () => {
    const fx = new Fixture();
    const z = fx.register('Z', 'z');
    const d1 = fx.add('d1').get();
    const events = d1.attributes.open('uevent');
    sync(fx.core.remove(d1));
    fx.take();
    expect(errno(() => fx.core.reprobe(d1))).toBe(false);
    expect(errno(() => fx.core.attach(d1))).toBe(false);
    expect(errno(() => fx.core.bind(d1, z))).toBe('-ENODEV');
    expect(errno(() => events.write('change'))).toBe('-ENODEV');
    expect(fx.trace(() => fx.register('A', 'd'))).toEqual([]);
    expect(fx.trace(() => d1.put())).toEqual(['REL(d1)']);
  });

  test('REG-34: an attribute added to a removed device is a broken rule, and a link to it as supplier is none', () => {
    const fx = new Fixture();
    const d1 = fx.add('d1').get();
    const d2 = fx.add('d2');
    void d1.attributes;
    sync(fx.core.remove(d1));
    fx.take();
    expect(errno(() => d1.attributes.add({ name: 'late' }))).toBe('-EINVAL');
    expect(fx.take()).toEqual(['WARN:attribute-without-device']);
    expect(fx.core.link(d2, d1)).toBeUndefined();
  });

  test('REG-35: a remove may unregister a sibling while the driver is unregistered', () => {
    const fx = new Fixture();
    const [d1] = [fx.add('d1'), fx.add('d2'), fx.add('d3')];
    const a = fx.register('A', 'd');
    a.onRemove = (dev) => (dev.name === 'd3' ? fx.core.remove(d1) : undefined);
    expect(fx.trace(() => fx.core.unregisterDriver(fx.tb, a))).toEqual([
      'N:UNBIND(d3)',
      'R(d3,A)',
      ...GONE('d1', ...UNB('d1', 'A')),
      'DX(d3)',
      'N:UNBOUND(d3)',
      'U:unbind(d3)',
      ...UNB('d2', 'A'),
    ]);
  });

  test('REG-36: a device added by a remove while the driver is unregistered is not matched with it', () => {
    const fx = new Fixture();
    fx.add('d1');
    const a = fx.register('A', 'd');
    a.onRemove = () => void fx.add('d9');
    expect(fx.trace(() => fx.core.unregisterDriver(fx.tb, a))).toEqual([
      'N:UNBIND(d1)',
      'R(d1,A)',
      ...ADD('d9'),
      'DX(d1)',
      'N:UNBOUND(d1)',
      'U:unbind(d1)',
    ]);
  });

  test('REG-39: a device is dead before the first notification of its removal', () => {
    const fx = new Fixture();
    const dev = fx.add('d1');
    fx.register('A', 'd');
    const seen: boolean[] = [];
    fx.tb.notifier.on((event) => {
      if (event === 'DEL') seen.push(dev.dead, dev.bound, dev.registered);
    });
    sync(fx.core.remove(dev));
    expect(seen).toEqual([true, true, true]);
  });
});
