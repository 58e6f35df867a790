import { describe, expect, test } from 'vitest';
import { Bus, DL_STATELESS } from '../../../core/device/index.js';
import { Errno, defer } from '../../../core/lib/errno.js';
import { ADD, BIND, Fixture, M, UNB, errno, sync } from './conformance/fixture.js';

describe('binding', () => {
  test('what refuses a public operation has a stack that leads to the caller', () => {
    const fx = new Fixture();
    const a = fx.register('A', 'd');
    const d1 = fx.add('d1');
    const stackOf = (op: () => unknown): string => {
      try {
        op();
      } catch (error) {
        return (error as Error).stack ?? '';
      }
      return 'nothing thrown';
    };
    expect(stackOf(() => fx.core.bind(d1, a))).toContain('bind.test.ts');
    sync(fx.core.unbind(d1));
    fx.act(d1, 'early');
    expect(stackOf(() => fx.core.attach(d1))).toContain('bind.test.ts');
    expect(stackOf(() => fx.core.reprobe(d1))).toContain('bind.test.ts');
    expect(stackOf(() => fx.core.rescan(fx.tb))).toContain('bind.test.ts');
  });

  test('reprobe unbinds a bound device and looks for a driver again', () => {
    const fx = new Fixture();
    fx.register('A', 'd');
    const d1 = fx.add('d1');
    expect(fx.trace(() => fx.core.reprobe(d1))).toEqual([...UNB('d1', 'A'), M('d1', 'A'), ...BIND('d1', 'A')]);
  });

  test('a reprobe whose remove fails binds all the same, and then throws what remove threw', () => {
    const fx = new Fixture();
    const a = fx.register('A', 'd');
    const d1 = fx.add('d1');
    a.onRemove = () => {
      throw new Errno('EIO', 'd1: stuck');
    };
    expect(errno(() => fx.core.reprobe(d1))).toBe('-EIO');
    expect(d1.bound).toBe(true);
  });

  test('a preset driver that is not registered is an error of the log, not of the add', () => {
    const fx = new Fixture();
    const dev = fx.device('d1', { driver: fx.driver('A', 'z') });
    expect(fx.trace(() => fx.core.add(dev))).toEqual([...ADD('d1'), 'L:err:no_such_driver']);
    expect([dev.registered, dev.driver]).toEqual([true, undefined]);
  });

  test('a match that defers a bind by hand is ENODEV and queues nothing', () => {
    const fx = new Fixture();
    const a = fx.register('A', 'z');
    fx.add('d1');
    a.onMatch = () => {
      throw defer();
    };
    expect(errno(() => fx.files(a).write('bind', 'd1'))).toBe('-ENODEV');
    expect(fx.deferred()).toEqual([]);
  });
});

describe('what has no say in a binding', () => {
  test('a notifier that throws is reported, and everybody else is told', () => {
    const fx = new Fixture();
    const told: string[] = [];
    fx.tb.notifier.on(() => {
      throw new Error('listener');
    });
    fx.tb.notifier.on((event) => void told.push(event));
    fx.register('A', 'd');
    const d1 = fx.add('d1');
    expect(d1.bound).toBe(true);
    sync(fx.core.remove(d1));
    expect(told).toEqual(['ADD', 'BIND', 'BOUND', 'DEL', 'UNBIND', 'UNBOUND', 'REMOVED']);
    expect(fx.violations).toEqual(told.map(() => 'callback-threw'));
  });

  test('a listener of events that throws is reported, and the device is bound', () => {
    const fx = new Fixture();
    fx.core.uevents.on(() => {
      throw new Error('listener');
    });
    fx.register('A', 'd');
    expect(fx.add('d1').bound).toBe(true);
    expect(new Set(fx.violations)).toEqual(new Set(['callback-threw']));
  });

  test('a dma_cleanup that throws is an error of the unbind, which is completed', () => {
    const fx = new Fixture();
    const bus = new Bus('bad', {
      dmaConfigure: () => {},
      dmaCleanup: () => {
        throw new Errno('EIO', 'stuck');
      },
    });
    fx.core.registerBus(bus);
    sync(fx.core.registerDriver(bus, fx.driver('A', 'd', 'EIO', 0)));
    const dev = fx.device('d1', { bus });
    sync(fx.core.add(dev));
    expect([dev.driver, dev.busy]).toEqual([undefined, false]);
    expect(errno(() => fx.core.attach(dev))).toBe(true);
    expect(errno(() => fx.core.unbind(dev))).toBe('-EIO');
    expect([dev.bound, dev.driver, dev.busy]).toEqual([false, undefined, false]);
  });

  test('what shows and hides a published object may throw: the device is bound and unbound all the same', () => {
    const fx = new Fixture();
    const bad = (): never => {
      throw new Error('edge');
    };
    fx.register('A', 'd', (dev) => void (dev.edges = [{ appear: bad, vanish: bad }]));
    const d1 = fx.add('d1');
    expect(d1.bound).toBe(true);
    sync(fx.core.unbind(d1));
    expect(d1.bound).toBe(false);
    expect(fx.violations).toEqual(['callback-threw', 'callback-threw']);
  });

  test('a stateless link does not keep a device from being bound', () => {
    const fx = new Fixture();
    fx.register('A', 'd');
    const s1 = fx.add('s1');
    const d1 = fx.device('d1');
    expect(fx.core.link(d1, s1, DL_STATELESS)).toBeDefined();
    sync(fx.core.add(d1));
    expect(d1.bound).toBe(true);
  });
});

describe('a bus whose devices are probed under the lock of their parent', () => {
  function scene() {
    const fx = new Fixture();
    const bus = new Bus('usb', { needParentLock: true });
    fx.core.registerBus(bus);
    return { fx, bus };
  }

  test('a probe may add, and its unbind removes, children on such a bus', () => {
    const { fx, bus } = scene();
    sync(fx.core.registerDriver(bus, fx.driver('K', '')));
    fx.register('A', 'd', (dev) => sync(fx.core.addChild(dev, fx.device('kid', { bus, parent: dev }))));
    const d1 = fx.add('d1');
    const kid = bus.find('kid');
    expect(kid?.bound).toBe(true);
    sync(fx.core.unbind(d1));
    expect([kid?.registered, d1.busy]).toEqual([false, false]);
  });

  test('a probe of a child that would wait for its parent is refused', () => {
    const { fx, bus } = scene();
    const results: unknown[] = [];
    const par = fx.add('par');
    sync(
      fx.core.registerDriver(
        bus,
        fx.driver('K', '', () => void results.push(errno(() => fx.core.unbind(par)))),
      ),
    );
    bus.autoprobe = false;
    const kid = fx.device('kid', { bus, parent: par });
    sync(fx.core.add(kid));
    expect(errno(() => fx.core.attach(kid))).toBe(true);
    expect(results).toEqual(['-EDEADLK']);
    expect(par.busy).toBe(false);
  });
});
