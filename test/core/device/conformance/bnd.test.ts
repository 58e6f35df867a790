import { describe, expect, test } from 'vitest';
import { Bus, type Device } from '../../../../core/device/index.js';
import { Errno, defer } from '../../../../core/lib/errno.js';
import { ADD, BIND, FAIL, Fixture, GONE, M, P, UNB, errno, sync } from './fixture.js';

const withResources =
  (fx: Fixture, ...labels: string[]) =>
  (dev: Device) => {
    for (const label of labels) fx.act(dev, label);
  };

describe('matching and probing', () => {
  test('BND-01: the first driver fails, the next one is tried, the one after is never asked', () => {
    const fx = new Fixture();
    fx.register('A', 'd', 'EIO');
    const b = fx.register('B', 'd');
    fx.register('C', 'd');
    const d1 = fx.device('d1');
    expect(fx.trace(() => fx.core.add(d1))).toEqual([
      ...ADD('d1'),
      M('d1', 'A'),
      ...FAIL('d1', 'A', '-EIO'),
      M('d1', 'B'),
      ...BIND('d1', 'B'),
    ]);
    expect(d1.driver).toBe(b);
  });

  test.each(['ENODEV', 'ENXIO'] as const)('BND-02: %s from probe goes on to the next driver and logs no error', (code) => {
    const fx = new Fixture();
    fx.register('A', 'd', code);
    fx.register('B', 'd');
    expect(fx.trace(() => fx.add('d1'))).toEqual([
      ...ADD('d1'),
      M('d1', 'A'),
      ...FAIL('d1', 'A', `-${code}`),
      M('d1', 'B'),
      ...BIND('d1', 'B'),
    ]);
    expect(fx.core.log.records().some((r) => r.level === 'debug' && r.id === 'probe_rejected')).toBe(true);
  });

  test('a probe that throws something other than an Errno fails like EIO', () => {
    const fx = new Fixture();
    fx.register('A', 'd', () => {
      throw new TypeError('x is not a function');
    });
    const d1 = fx.device('d1');
    expect(fx.trace(() => fx.core.add(d1))).toEqual([...ADD('d1'), M('d1', 'A'), ...FAIL('d1', 'A', '-EIO')]);
    expect(fx.core.log.records().at(-1)?.text).toContain('TypeError: x is not a function');
  });

  test('BND-05: a failing probe leaves neither resources nor state nor driver behind', () => {
    const fx = new Fixture();
    fx.register('A', 'd', (dev) => {
      withResources(fx, 'first', 'second')(dev);
      throw new Errno('EIO', 'no');
    });
    const d1 = fx.device('d1');
    expect(fx.trace(() => fx.core.add(d1))).toEqual([...ADD('d1'), M('d1', 'A'), ...FAIL('d1', 'A', '-EIO', 'second', 'first')]);
    expect([d1.driver, d1.state, d1.devres.size, d1.bound]).toEqual([undefined, undefined, 0, false]);
  });

  test('BND-07, UBL-07: resources from before probe stop the search with EBUSY and a critical message', () => {
    const fx = new Fixture();
    fx.register('A', 'd');
    fx.register('B', 'd');
    const d1 = fx.device('d1');
    fx.act(d1, 'early');
    expect(fx.trace(() => fx.core.add(d1))).toEqual([...ADD('d1'), M('d1', 'A'), 'L:crit:resources_present']);
    expect(errno(() => fx.core.attach(d1))).toBe('-EBUSY');
    expect(fx.trace(() => fx.core.remove(d1))).toEqual(GONE('d1', 'dm(early)'));
  });

  test('BND-08: resources from before probe leave the links as they were, so that the supplier can be unbound', () => {
    const fx = new Fixture();
    fx.register('S', 's');
    fx.register('A', 'd');
    const s1 = fx.add('s1');
    const d1 = fx.device('d1');
    const link = fx.core.link(d1, s1);
    fx.act(d1, 'early');
    fx.trace(() => fx.core.add(d1));
    expect([d1.linkStatus, link?.state]).toEqual(['no-driver', 'available']);
    expect(fx.trace(() => fx.core.unbind(s1))).toEqual(UNB('s1', 'S'));
  });

  test('BND-09: attributes of the driver that clash unbind the device again and stop the search', () => {
    const fx = new Fixture();
    const foo = [{ attributes: [{ name: 'foo', show: () => 'x\n' }] }];
    const a = fx.driver('A', 'd', (dev) => {
      withResources(fx, 'first', 'second')(dev);
      return 'state';
    });
    let state: unknown;
    a.devGroups = foo;
    a.onRemove = (_dev, s) => void (state = s);
    sync(fx.core.registerDriver(fx.tb, a));
    fx.register('B', 'd');
    const d1 = fx.device('d1', { groups: foo });
    expect(fx.trace(() => fx.core.add(d1))).toEqual([
      ...ADD('d1'),
      M('d1', 'A'),
      'DC(d1)',
      'N:BIND(d1)',
      P('d1', 'A'),
      'L:err:groups',
      'R(d1,A)',
      'N:NOT_BOUND(d1)',
      'DX(d1)',
      'dm(second)',
      'dm(first)',
    ]);
    expect([state, d1.bound, d1.attributes.has('foo')]).toEqual(['state', false, true]);
  });

  test('BND-10: an error of dma_configure stops the search, before anything is announced', () => {
    const fx = new Fixture();
    const a = fx.register('A', 'd');
    fx.register('B', 'd');
    fx.onDma = () => {
      throw new Errno('EIO', 'no DMA');
    };
    const d1 = fx.device('d1');
    expect(fx.trace(() => fx.core.add(d1))).toEqual([...ADD('d1'), M('d1', 'A'), 'DC(d1)']);
    expect(errno(() => fx.core.attach(d1))).toBe('-EIO');
    expect(d1.linkStatus).toBe('no-driver');
    expect(errno(() => fx.files(a).write('bind', 'd1'))).toBe('-EIO');
    expect(errno(() => fx.tb.attributes.write('drivers_probe', 'd1'))).toBe('-EINVAL');
  });

  test('BND-11: a deferral by dma_configure is queued and retried', async () => {
    const fx = new Fixture();
    fx.register('A', 'd');
    fx.onDma = () => {
      throw defer('no IOMMU yet');
    };
    const d1 = fx.add('d1');
    expect(errno(() => fx.core.attach(d1))).toBe('-EPROBE_DEFER');
    expect(fx.deferred()).toEqual(['d1']);
    fx.onDma = undefined;
    expect(await fx.traceAll(() => fx.core.trigger())).toEqual([M('d1', 'A'), ...BIND('d1', 'A')]);
  });

  test('BND-13: an error of match stops the search by device', () => {
    const fx = new Fixture();
    fx.register('A', 'd').onMatch = () => {
      throw new Errno('EINVAL', 'bad table');
    };
    fx.register('B', 'd');
    const d1 = fx.device('d1');
    expect(fx.trace(() => fx.core.add(d1))).toEqual([...ADD('d1'), M('d1', 'A', '-EINVAL')]);
    expect(errno(() => fx.core.attach(d1))).toBe('-EINVAL');
    expect(fx.deferred()).toEqual([]);
  });

  test('an error of match on the driver path passes that device by and goes on', () => {
    const fx = new Fixture();
    fx.add('d1');
    fx.add('d2');
    const a = fx.driver('A', 'd');
    a.onMatch = (dev) => {
      if (dev.name === 'd1') throw new Errno('EINVAL', 'bad table');
      return true;
    };
    expect(fx.trace(() => fx.core.registerDriver(fx.tb, a))).toEqual([M('d1', 'A', '-EINVAL'), M('d2', 'A'), ...BIND('d2', 'A')]);
  });

  test('BND-15: a match that defers stops the search by device and queues the device', async () => {
    const fx = new Fixture();
    let known = false;
    fx.register('A', 'd').onMatch = () => {
      if (!known) throw defer();
      return true;
    };
    fx.register('B', 'd');
    expect(fx.trace(() => fx.add('d1'))).toEqual([...ADD('d1'), M('d1', 'A', '-EPROBE_DEFER')]);
    expect(fx.deferred()).toEqual(['d1']);
    known = true;
    expect(await fx.traceAll(() => fx.core.trigger())).toEqual([M('d1', 'A'), ...BIND('d1', 'A')]);
  });

  test('BND-16: a match that defers on the driver path queues the device', () => {
    const fx = new Fixture();
    fx.add('d1');
    const a = fx.driver('A', 'd');
    a.onMatch = () => {
      throw defer();
    };
    expect(fx.trace(() => fx.core.registerDriver(fx.tb, a))).toEqual([M('d1', 'A', '-EPROBE_DEFER')]);
    expect(fx.deferred()).toEqual(['d1']);
  });

  test('BND-17: on a bus without match every driver matches every device', () => {
    const fx = new Fixture();
    sync(fx.core.registerDriver(fx.nb, fx.driver('nbA', 'x')));
    const dev = fx.device('whatever', { bus: fx.nb });
    expect(fx.trace(() => fx.core.add(dev))).toEqual([M('whatever', 'nbA'), P('whatever', 'nbA')]);
  });

  test('BND-20: a preset driver is bound without match, dma_configure and probe, and removed with both undone', () => {
    const fx = new Fixture();
    const a = fx.register('A', 'z');
    const dev = fx.device('d1', { driver: a });
    expect(fx.trace(() => fx.core.add(dev))).toEqual([...ADD('d1'), 'N:BIND(d1)', 'N:BOUND(d1)', 'U:bind(d1)']);
    expect(fx.trace(() => fx.core.remove(dev))).toEqual(GONE('d1', ...UNB('d1', 'A')));
  });

  test('BND-21: a new driver does not take a bound device; after unbind nobody is tried until asked', () => {
    const fx = new Fixture();
    const a = fx.register('A', 'd');
    const d1 = fx.add('d1');
    expect(fx.trace(() => fx.register('B', 'd'))).toEqual([M('d1', 'B')]);
    expect(fx.trace(() => fx.core.unregisterDriver(fx.tb, a))).toEqual(UNB('d1', 'A'));
    expect(d1.driver).toBeUndefined();
    expect(fx.trace(() => fx.core.attach(d1))).toEqual([M('d1', 'B'), ...BIND('d1', 'B')]);
  });

  test('BND-22: where bus and driver have a probe, the bus has its way and the log a warning', () => {
    const fx = new Fixture();
    const calls: string[] = [];
    const bus = new Bus('pb', {
      probe: (dev) => void calls.push(`bus probe ${dev.name}`),
      remove: (dev) => void calls.push(`bus remove ${dev.name}`),
    });
    fx.core.registerBus(bus);
    const a = fx.driver('A', 'd', () => calls.push('driver probe'));
    expect(fx.trace(() => fx.core.registerDriver(bus, a))).toEqual(['L:warn:bus_methods']);
    const dev = fx.device('d1', { bus });
    sync(fx.core.add(dev));
    sync(fx.core.remove(dev));
    expect(calls).toEqual(['bus probe d1', 'bus remove d1']);
  });

  test('BND-23: attributes of a driver that clash unbind its devices and refuse the driver with EEXIST', () => {
    const fx = new Fixture();
    fx.add('d1');
    const a = fx.driver('A', 'd');
    a.groups = [{ attributes: [{ name: 'bind' }] }];
    fx.take();
    expect(errno(() => fx.core.registerDriver(fx.tb, a))).toBe('-EEXIST');
    expect(fx.take()).toEqual([M('d1', 'A'), ...BIND('d1', 'A'), ...UNB('d1', 'A')]);
    expect(fx.tb.drivers).toEqual([]);
    fx.register('A', 'd');
  });

  test('BND-25: a device added by a probe is bound inside it, and asked once more by the scan that goes on', () => {
    const fx = new Fixture();
    fx.add('d1');
    fx.add('d2');
    const a = fx.driver('A', 'd', (dev) => void (dev.name === 'd1' && fx.add('d9')));
    expect(fx.trace(() => fx.core.registerDriver(fx.tb, a))).toEqual([
      M('d1', 'A'),
      'DC(d1)',
      'N:BIND(d1)',
      ...ADD('d9'),
      M('d9', 'A'),
      ...BIND('d9', 'A'),
      P('d1', 'A'),
      'N:BOUND(d1)',
      'U:bind(d1)',
      M('d2', 'A'),
      ...BIND('d2', 'A'),
      M('d9', 'A'),
    ]);
    expect(fx.trace(() => fx.core.unregisterDriver(fx.tb, a))).toEqual([...UNB('d2', 'A'), ...UNB('d1', 'A'), ...UNB('d9', 'A')]);
  });

  test('BND-27: a probe before the device is ready is deferred and not queued', () => {
    const fx = new Fixture();
    fx.register('A', 'd');
    const d1 = fx.device('d1');
    const seen: unknown[] = [];
    fx.tb.notifier.on((event) => {
      if (event === 'ADD')
        seen.push(
          errno(() => fx.core.attach(d1)),
          fx.deferred(),
        );
    });
    expect(fx.trace(() => fx.core.add(d1))).toEqual(['N:ADD(d1)', M('d1', 'A'), 'U:add(d1)', M('d1', 'A'), ...BIND('d1', 'A')]);
    expect(seen).toEqual(['-EPROBE_DEFER', []]);
  });

  test('BND-28: a bind by the core does not ask match; bound twice is EBUSY; unbound twice is nothing', () => {
    const fx = new Fixture();
    const a = fx.register('A', 'z');
    const d1 = fx.add('d1');
    expect(fx.trace(() => fx.core.bind(d1, a))).toEqual(BIND('d1', 'A'));
    expect(errno(() => fx.core.bind(d1, a))).toBe('-EBUSY');
    expect(fx.trace(() => fx.core.unbind(d1, a))).toEqual(UNB('d1', 'A'));
    expect(fx.trace(() => fx.core.unbind(d1, a))).toEqual([]);
  });

  test('BND-38: a rescan stops at the first device that the core refuses', () => {
    const fx = new Fixture();
    fx.tb.autoprobe = false;
    fx.register('A', 'd');
    const d1 = fx.add('d1');
    const d2 = fx.add('d2');
    fx.act(d1, 'early');
    fx.take();
    expect(errno(() => fx.core.rescan(fx.tb))).toBe('-EBUSY');
    expect(fx.take()).toEqual([M('d1', 'A'), 'L:crit:resources_present']);
    expect(d2.bound).toBe(false);
  });

  test('BND-39: probing is per bus, deferral is not: a bind on another bus retries', async () => {
    const fx = new Fixture();
    fx.register('A', 'd', 'EPROBE_DEFER', 0);
    fx.add('d1');
    sync(fx.core.registerDriver(fx.nb, fx.driver('nbA', 'x')));
    expect(await fx.traceAll(() => fx.core.add(fx.device('n1', { bus: fx.nb })))).toEqual([
      M('n1', 'nbA'),
      P('n1', 'nbA'),
      M('d1', 'A'),
      ...BIND('d1', 'A'),
    ]);
  });

  test('BND-40: in test-remove mode each bind probes, removes and probes again', () => {
    const fx = new Fixture({ testRemove: true });
    const a = fx.driver('A', 'd', withResources(fx, 'first', 'second'));
    a.devGroups = [{ attributes: [{ name: 'foo' }] }];
    sync(fx.core.registerDriver(fx.tb, a));
    const d1 = fx.device('d1');
    expect(fx.trace(() => fx.core.add(d1))).toEqual([
      ...ADD('d1'),
      M('d1', 'A'),
      'DC(d1)',
      'N:BIND(d1)',
      P('d1', 'A'),
      'R(d1,A)',
      'DX(d1)',
      'dm(second)',
      'dm(first)',
      ...BIND('d1', 'A'),
    ]);
    expect(d1.attributes.has('foo')).toBe(true);
  });

  test('BND-41: in test-remove mode a second probe that fails leaves the device unbound', () => {
    const fx = new Fixture({ testRemove: true });
    fx.register('A', 'd', 0, 'EIO');
    const d1 = fx.device('d1');
    expect(fx.trace(() => fx.core.add(d1))).toEqual([
      ...ADD('d1'),
      M('d1', 'A'),
      'DC(d1)',
      'N:BIND(d1)',
      P('d1', 'A'),
      'R(d1,A)',
      'DX(d1)',
      ...FAIL('d1', 'A', '-EIO'),
    ]);
    expect(d1.bound).toBe(false);
  });
});
