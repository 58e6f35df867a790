import { describe, expect, test } from 'vitest';
import { Bus, Class, Device } from '../../../core/device/index.js';
import { Fixture, errno, sync } from './conformance/fixture.js';

describe('a bus', () => {
  test('lists devices and drivers in the order they came, and finds them by name', () => {
    const fx = new Fixture();
    const [d2, d1] = [fx.add('d2'), fx.add('d1')];
    const [b, a] = [fx.register('B', 'x'), fx.register('A', 'd')];
    expect([fx.tb.devices, fx.tb.drivers]).toEqual([
      [d2, d1],
      [b, a],
    ]);
    expect([fx.tb.find('d1'), fx.tb.find('nope'), fx.tb.findDriver('A'), fx.tb.findDriver('nope')]).toEqual([
      d1,
      undefined,
      a,
      undefined,
    ]);
    expect([fx.tb.devicesOf(a), fx.tb.devicesOf(b)]).toEqual([[d2, d1], []]);
  });

  test('finds nothing for a driver object that only has the name of one', () => {
    const fx = new Fixture();
    fx.register('A', 'd');
    fx.add('d1');
    expect(fx.tb.devicesOf(fx.driver('A', 'd'))).toEqual([]);
  });

  test('add takes a device without bus, and refuses one of another', () => {
    const fx = new Fixture();
    const dev = fx.bare('d1');
    sync(fx.tb.add(dev));
    expect([dev.bus, dev.registered]).toEqual([fx.tb, true]);
    expect(errno(() => sync(fx.tb.add(fx.device('n1', { bus: fx.nb }))))).toBe('-EINVAL');
  });

  test('add leaves a device alone that is in the tree already', () => {
    const fx = new Fixture();
    const dev = fx.bare('d1');
    sync(fx.core.add(dev));
    expect(errno(() => sync(fx.tb.add(dev)))).toBe('-EINVAL');
    expect([dev.bus, fx.tb.devices, dev.registered]).toEqual([undefined, [], true]);
  });

  test('add refuses a device that is in a class with EEXIST', () => {
    const fx = new Fixture();
    const cls = new Class('net');
    fx.core.registerClass(cls);
    const dev = fx.bare('d1', { class: cls });
    expect(errno(() => sync(fx.tb.add(dev)))).toBe('-EEXIST');
    expect([dev.registered, fx.tb.devices]).toEqual([false, []]);
  });

  test('remove refuses a device of another bus, which stays', () => {
    const fx = new Fixture();
    const dev = fx.add('n1', { bus: fx.nb });
    expect(errno(() => sync(fx.tb.remove(dev)))).toBe('-EINVAL');
    expect(errno(() => sync(fx.tb.remove(fx.bare('lone'))))).toBe('-EINVAL');
    sync(fx.nb.remove(dev));
    expect(dev.registered).toBe(false);
  });

  test('without a system nothing can be done with it', () => {
    const bus = new Bus('lonely');
    const driver = new Fixture().driver('A', 'd');
    for (const op of [() => bus.add(new Device({ name: 'd1' })), () => bus.register(driver), () => bus.unregister(driver)]) {
      expect(errno(() => sync(op()))).toBe('-EINVAL');
    }
  });

  test('belongs to one system at a time', () => {
    const [one, two] = [new Fixture(), new Fixture()];
    const bus = new Bus('shared');
    one.core.registerBus(bus);
    expect(errno(() => two.core.registerBus(bus))).toBe('-EBUSY');
    one.core.unregisterBus(bus);
    two.core.registerBus(bus);
    expect(bus.core).toBe(two.core);
  });

  test('whose own attributes clash is not registered, and leaves nothing behind', () => {
    const fx = new Fixture();
    const bus = new Bus('clash', { busGroups: [{ attributes: [{ name: 'uevent' }] }] });
    expect(errno(() => fx.core.registerBus(bus))).toBe('-EEXIST');
    expect([bus.registered, bus.attributes.paths(), fx.core.buses.has('clash')]).toEqual([false, [], false]);
  });

  test('with a root device its devices without parent hang below that', () => {
    const fx = new Fixture();
    const rootDevice = fx.bare('platform');
    sync(fx.core.add(rootDevice));
    const bus = new Bus('plat', { rootDevice });
    fx.core.registerBus(bus);
    const dev = fx.add('serial', { bus });
    expect([dev.path, dev.parent]).toEqual(['/devices/platform/serial', undefined]);
  });

  test('gives its devices the attributes that it has for all of them', () => {
    const fx = new Fixture();
    const bus = new Bus('attr', {
      devGroups: [{ attributes: [{ name: 'x', show: () => '1\n' }] }],
      busGroups: [{ attributes: [{ name: 'y', show: () => '2\n' }] }],
      drvGroups: [{ attributes: [{ name: 'z', show: () => '3\n' }] }],
    });
    fx.core.registerBus(bus);
    const a = fx.driver('A', 'd');
    sync(fx.core.registerDriver(bus, a));
    const dev = fx.add('d1', { bus });
    expect([dev.attributes.read('x'), bus.attributes.read('y'), fx.files(a, bus).read('z')]).toEqual(['1\n', '2\n', '3\n']);
  });

  test('what match returns is what probe gets as id', () => {
    const fx = new Fixture();
    const entry = { vendor: 1 };
    const bus = new Bus('ids', { match: (dev) => (dev.name === 'd1' ? entry : undefined) });
    fx.core.registerBus(bus);
    const ids: unknown[] = [];
    const driver = { name: 'A', probe: (_dev: Device, id: unknown) => void ids.push(id) };
    sync(fx.core.registerDriver(bus, driver));
    const d2 = fx.add('d2', { bus });
    fx.add('d1', { bus });
    sync(fx.core.bind(d2, driver));
    expect(ids).toEqual([entry, true]);
  });

  test('a driver that its bus does not accept is not registered', () => {
    const fx = new Fixture();
    const bus = new Bus('picky', {
      checkDriver: () => {
        throw new TypeError('no ids');
      },
    });
    fx.core.registerBus(bus);
    expect(() => fx.core.registerDriver(bus, fx.driver('A', 'd'))).toThrow('no ids');
    expect(bus.drivers).toEqual([]);
  });
});
