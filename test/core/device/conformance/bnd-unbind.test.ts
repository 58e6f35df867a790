import { describe, expect, test } from 'vitest';
import type { Device } from '../../../../core/device/index.js';
import { Errno } from '../../../../core/lib/errno.js';
import { ADD, BIND, Fixture, GONE, M, P, UNB, errno, sync } from './fixture.js';

describe('unbinding', () => {
  const look = (fx: Fixture, dev: Device) => ({
    dead: dev.dead,
    registered: dev.registered,
    bound: dev.bound,
    driver: dev.driver?.name,
    onBus: fx.tb.find(dev.name) === dev,
    own: dev.attributes.has('own'),
    foo: dev.attributes.has('foo'),
    uevent: dev.attributes.has('uevent'),
    child: dev.parent?.children.includes(dev),
  });
  const group = (name: string) => [{ attributes: [{ name }] }];
  function scene() {
    const fx = new Fixture();
    const seen: { action?: unknown; remove?: unknown; unbound?: unknown } = {};
    const a = fx.driver('A', 'd', (dev) => {
      fx.act(dev, 'x', () => void (seen.action = { driver: dev.driver?.name, bound: dev.bound, state: dev.state }));
      return 'state';
    });
    a.devGroups = group('foo');
    a.onRemove = (dev) => void (seen.remove = look(fx, dev));
    sync(fx.core.registerDriver(fx.tb, a));
    const d1 = fx.add('d1', { parent: fx.add('par'), groups: group('own') });
    fx.tb.notifier.on((event, dev) => {
      if (event === 'UNBOUND') seen.unbound = { driver: dev.driver, bound: dev.bound };
    });
    return { fx, d1, seen };
  }

  test('BND-29: at an unbind, remove sees a live device that is bound, without the files of its driver', () => {
    const { fx, d1, seen } = scene();
    sync(fx.core.unbind(d1));
    expect(seen.remove).toEqual({
      dead: false,
      registered: true,
      bound: true,
      driver: 'A',
      onBus: true,
      own: true,
      foo: false,
      uevent: true,
      child: true,
    });
    expect(seen.action).toEqual({ driver: 'A', bound: true, state: 'state' });
    expect(seen.unbound).toEqual({ driver: undefined, bound: false });
  });

  test('BND-30: at a removal, remove sees a dead device that is bound, off its bus and without files', () => {
    const { fx, d1, seen } = scene();
    sync(fx.core.remove(d1));
    expect(seen.remove).toEqual({
      dead: true,
      registered: true,
      bound: true,
      driver: 'A',
      onBus: false,
      own: false,
      foo: false,
      uevent: false,
      child: false,
    });
    expect(seen.action).toEqual({ driver: 'A', bound: true, state: 'state' });
  });

  test('what probe returned is handed to remove, and is gone after it', () => {
    const fx = new Fixture();
    const a = fx.register('A', 'd', () => ({ n: 1 }));
    const seen: unknown[] = [];
    a.onRemove = (_dev, state) => void seen.push(state);
    const d1 = fx.add('d1');
    sync(fx.core.unbind(d1));
    expect([seen, d1.state]).toEqual([[{ n: 1 }], undefined]);
  });

  test('a remove and a release that throw do not stop the unbind, and no error is lost', () => {
    const fx = new Fixture();
    const a = fx.register('A', 'd', (dev) => {
      fx.act(dev, 'first');
      dev.devres.defer('bad', () => {
        throw new Errno('EBUSY', 'bad');
      });
    });
    const d1 = fx.add('d1');
    a.onRemove = () => {
      throw new Errno('EIO', 'd1: stuck');
    };
    fx.take();
    let thrown: unknown;
    try {
      sync(fx.core.unbind(d1));
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(AggregateError);
    expect((thrown as AggregateError).errors.map((e: unknown) => Errno.codeOf(e))).toEqual(['EIO', 'EBUSY']);
    expect(fx.take()).toEqual([
      'N:UNBIND(d1)',
      'R(d1,A)',
      'L:err:remove_failed',
      'DX(d1)',
      'L:err:release_failed',
      'dm(first)',
      'N:UNBOUND(d1)',
      'U:unbind(d1)',
    ]);
    expect(fx.core.log.records().map(({ text }) => text)).toContain('release of bad failed: EBUSY: bad');
    expect(d1.bound).toBe(false);
  });
});

describe('children', () => {
  /** A on d1 adds kidz as a child of its own; K binds that. */
  function scene(then?: () => void) {
    const fx = new Fixture({ skip: ['M'] });
    fx.register('K', 'kid');
    const a = fx.driver('A', 'd', (dev) => {
      fx.act(dev, 'parent-res');
      sync(fx.core.addChild(dev, fx.device('kidz', { parent: dev })));
      then?.();
    });
    sync(fx.core.registerDriver(fx.tb, a));
    return { fx, a };
  }

  test('BND-33: a child added in probe and removed in remove lives as long as the binding', () => {
    const fx = new Fixture({ skip: ['M'] });
    fx.register('K', 'kid');
    let kid: Device | undefined;
    const a = fx.register('A', 'd', (dev) => {
      fx.act(dev, 'parent-res');
      kid = fx.add('kidz', { parent: dev });
    });
    a.onRemove = () => fx.core.remove(kid!);
    const d1 = fx.device('d1');
    expect(fx.trace(() => fx.core.add(d1))).toEqual([
      ...ADD('d1'),
      'DC(d1)',
      'N:BIND(d1)',
      ...ADD('kidz'),
      ...BIND('kidz', 'K'),
      P('d1', 'A'),
      'N:BOUND(d1)',
      'U:bind(d1)',
    ]);
    expect(fx.trace(() => fx.core.unbind(d1))).toEqual([
      'N:UNBIND(d1)',
      'R(d1,A)',
      ...GONE('kidz', ...UNB('kidz', 'K')),
      'DX(d1)',
      'dm(parent-res)',
      'N:UNBOUND(d1)',
      'U:unbind(d1)',
    ]);
  });

  test('BND-34 (deviation: children first): what a driver added under its device is gone before its remove runs', () => {
    const { fx } = scene();
    const d1 = fx.add('d1');
    expect(fx.trace(() => fx.core.unbind(d1))).toEqual([
      'N:UNBIND(d1)',
      ...GONE('kidz', ...UNB('kidz', 'K')),
      'R(d1,A)',
      'DX(d1)',
      'dm(parent-res)',
      'N:UNBOUND(d1)',
      'U:unbind(d1)',
    ]);
    expect(errno(() => fx.core.attach(d1))).toBe(true);
    expect(fx.tb.find('kidz')?.bound).toBe(true);
    expect(fx.violations).toEqual([]);
  });

  test('BND-34: a child added outside the driver is not removed with it, and the next one of its name is EEXIST', () => {
    const fx = new Fixture({ skip: ['M'] });
    fx.register('K', 'kid');
    const results: unknown[] = [];
    fx.register('A', 'd', (dev) => void results.push(errno(() => fx.core.add(fx.device('kidz', { parent: dev })))));
    const d1 = fx.add('d1');
    expect(fx.trace(() => fx.core.unbind(d1))).toEqual(UNB('d1', 'A'));
    expect(fx.tb.find('kidz')?.bound).toBe(true);
    expect(errno(() => fx.core.attach(d1))).toBe(true);
    expect(results).toEqual([undefined, '-EEXIST']);
  });

  test('BND-35: a probe that takes its child back itself fails cleanly', () => {
    const fx = new Fixture({ skip: ['M'] });
    fx.register('K', 'kid');
    fx.register('A', 'd', (dev) => {
      sync(fx.core.remove(fx.add('kidz', { parent: dev })));
      throw new Errno('EIO', 'no');
    });
    expect(fx.trace(() => fx.add('d1'))).toEqual([
      ...ADD('d1'),
      'DC(d1)',
      'N:BIND(d1)',
      ...ADD('kidz'),
      ...BIND('kidz', 'K'),
      ...GONE('kidz', ...UNB('kidz', 'K')),
      P('d1', 'A', '-EIO'),
      'L:err:probe_failed',
      'N:NOT_BOUND(d1)',
      'DX(d1)',
    ]);
  });

  test('BND-35 (deviation: children first): the child of a probe that fails is removed by the core', () => {
    const { fx } = scene(() => {
      throw new Errno('EIO', 'no');
    });
    expect(fx.trace(() => fx.add('d1'))).toEqual([
      ...ADD('d1'),
      'DC(d1)',
      'N:BIND(d1)',
      ...ADD('kidz'),
      ...BIND('kidz', 'K'),
      P('d1', 'A', '-EIO'),
      'L:err:probe_failed',
      ...GONE('kidz', ...UNB('kidz', 'K')),
      'N:NOT_BOUND(d1)',
      'DX(d1)',
      'dm(parent-res)',
    ]);
  });

  test('a child can be added only while a driver is there to own it', () => {
    const { fx, a } = scene();
    const d1 = fx.add('d1');
    a.onRemove = (dev) => {
      expect(errno(() => fx.core.addChild(dev, fx.device('late', { parent: dev })))).toBe('-ENODEV');
    };
    fx.trace(() => fx.core.unbind(d1));
    expect(errno(() => fx.core.addChild(d1, fx.device('later', { parent: d1 })))).toBe('-ENODEV');
    expect(fx.take()).toEqual(['REL(later)']);
    expect(d1.children).toEqual([]);
  });

  test('a child that was added before is refused and stays where it is', () => {
    const { fx } = scene();
    const d1 = fx.add('d1');
    const other = fx.add('other');
    expect(errno(() => fx.core.addChild(d1, other))).toBe('-EINVAL');
    expect([other.registered, other.refs]).toEqual([true, 1]);
  });
});

describe('drivers that register and unregister drivers', () => {
  test('BND-36: a probe may unregister another driver', () => {
    const fx = new Fixture({ skip: ['M'] });
    const b = fx.register('B', 'e');
    fx.add('e1');
    fx.register('A', 'd', () => sync(fx.core.unregisterDriver(fx.tb, b)));
    expect(fx.trace(() => fx.add('d1'))).toEqual([
      ...ADD('d1'),
      'DC(d1)',
      'N:BIND(d1)',
      ...UNB('e1', 'B'),
      P('d1', 'A'),
      'N:BOUND(d1)',
      'U:bind(d1)',
    ]);
  });

  test('BND-37: the running search asks a driver that the probe registered', () => {
    const fx = new Fixture();
    fx.add('k1');
    fx.register('A', 'd', () => {
      fx.register('K', 'k');
      throw new Errno('EIO', 'no');
    });
    expect(fx.trace(() => fx.add('d1'))).toEqual([
      ...ADD('d1'),
      M('d1', 'A'),
      'DC(d1)',
      'N:BIND(d1)',
      M('k1', 'K'),
      ...BIND('k1', 'K'),
      M('d1', 'K', 0),
      P('d1', 'A', '-EIO'),
      'L:err:probe_failed',
      'N:NOT_BOUND(d1)',
      'DX(d1)',
      M('d1', 'K', 0),
    ]);
  });

  test('BND-37, UBL-05: registering from probe a driver that matches the probing device is EDEADLK and is undone', () => {
    const fx = new Fixture();
    const results: unknown[] = [];
    fx.add('c1');
    fx.register('A', 'd', () => void results.push(errno(() => fx.core.registerDriver(fx.tb, fx.driver('B', '')))));
    const d1 = fx.add('d1');
    expect(results).toEqual(['-EDEADLK']);
    expect([d1.driver?.name, fx.tb.find('c1')?.driver, fx.tb.findDriver('B')]).toEqual(['A', undefined, undefined]);
  });
});
