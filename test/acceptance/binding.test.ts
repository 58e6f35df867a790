import { Device, Errno, defer } from 'backplane';
import { describe, expect, test } from 'vitest';
import { ADD, BIND, FAIL, Fixture, GONE, UNB, code, driver } from './fixture.js';

describe('matching and probing', () => {
  test('BND-03: all matching drivers refuse: every one is asked, the device stays unbound, add succeeds', () => {
    const fx = new Fixture();
    fx.reg(driver('A', 'd', { results: ['ENODEV'] }));
    fx.reg(driver('B', 'd', { results: ['EIO'] }));
    const d1 = fx.add('d1');
    expect(fx.take()).toEqual([...ADD('d1'), 'M(d1,A)=1', ...FAIL('d1', 'A', 'ENODEV'), 'M(d1,B)=1', ...FAIL('d1', 'B', 'EIO')]);
    expect(d1.bound).toBe(false);
  });

  test('BND-04: a probe that throws no Errno counts as EIO and is reported', () => {
    const fx = new Fixture();
    fx.reg(
      driver('A', 'd', {
        probe: () => {
          throw new TypeError('x is not a function');
        },
      }),
    );
    fx.add('d1');
    expect(fx.take()).toEqual([...ADD('d1'), 'M(d1,A)=1', ...FAIL('d1', 'A', 'EIO')]);
    expect(fx.violations).toEqual(['not-an-errno']);
  });

  test('BND-06: after a failed probe the state is clean and attach tries again', async () => {
    const fx = new Fixture();
    fx.reg(driver('A', 'd', { results: ['EIO'] }));
    const d1 = fx.add('d1');
    expect([d1.driver, d1.state, d1.devres.size]).toEqual([undefined, undefined, 0]);
    fx.take();
    expect(await fx.core.attach(d1)).toBe(true);
    expect(fx.take()).toEqual(['M(d1,A)=1', ...BIND('d1', 'A')]);
    expect(await fx.core.attach(d1)).toBe(true);
    expect(fx.take()).toEqual([]);
  });

  test('BND-12: attach says what came of it: false when nothing matched or all refused, an error when the core stopped', async () => {
    const fx = new Fixture({
      dmaConfigure: (dev) => {
        if (dev.name === 'd9') throw new Errno('EIO', 'd9: no translation');
      },
    });
    fx.reg(driver('A', 'd', { results: ['ENODEV', 'EPROBE_DEFER'] }));
    const [d1, d9, e1] = [fx.add('d1'), fx.add('d9'), fx.add('e1')];
    expect(await fx.core.attach(e1)).toBe(false);
    expect(await code(() => fx.core.attach(d9))).toBe('EIO');
    expect(d9.driver).toBeUndefined();
    expect(await fx.core.attach(d1)).toBe(false);
    expect(fx.deferred).toEqual(['d1']);
  });

  test('BND-14: a match error on the driver path skips the device', () => {
    const fx = new Fixture({
      match: (dev) => {
        if (dev.name === 'd1') throw new Errno('EINVAL', 'd1: bad firmware');
        return true;
      },
    });
    fx.add('d1');
    fx.add('d2');
    fx.take();
    fx.reg(driver('A', 'd'));
    expect(fx.take()).toEqual(['M(d1,A)=EINVAL', 'M(d2,A)=1', ...BIND('d2', 'A')]);
    expect(fx.deferred).toEqual([]);
  });

  test('BND-18: a driver without probe binds, one without remove unbinds', () => {
    const fx = new Fixture();
    const a = fx.reg({ name: 'A' });
    const d1 = fx.add('d1');
    expect(fx.take()).toEqual([...ADD('d1'), 'M(d1,A)=1', ...BIND('d1', 'A')]);
    expect(d1.bound).toBe(true);
    void fx.core.unregisterDriver(fx.tb, a);
    expect(fx.take()).toEqual(['N:UNBIND(d1)', 'DX(d1)', 'N:UNBOUND(d1)', 'U:unbind(d1)']);
  });

  test('BND-19: what match returns is the id that probe gets, what probe returns the state that remove gets', () => {
    const fx = new Fixture({ match: (dev) => ({ entry: dev.name }) });
    const seen: unknown[] = [];
    fx.reg({
      name: 'A',
      probe: (dev, id) => {
        seen.push(id);
        return { of: dev.name };
      },
      remove: (_dev, state) => void seen.push(state),
    });
    const d1 = fx.add('d1');
    expect(d1.state).toEqual({ of: 'd1' });
    void fx.core.unbind(d1);
    expect(seen).toEqual([{ entry: 'd1' }, { of: 'd1' }]);
    expect(d1.state).toBeUndefined();
  });

  test('BND-24: unbind twice is one unbind', () => {
    const fx = new Fixture();
    fx.reg(driver('A', 'd'));
    const d1 = fx.add('d1');
    fx.take();
    void fx.core.unbind(d1);
    void fx.core.unbind(d1);
    expect(fx.take()).toEqual(UNB('d1', 'A'));
  });

  test('BND-26: rescan probes the unbound devices alone, in order', () => {
    const fx = new Fixture();
    fx.reg(driver('A', 'd'));
    const [d1, d2, d3] = [fx.add('d1'), fx.add('d2'), fx.add('d3')];
    void fx.core.unbind(d3);
    void fx.core.unbind(d1);
    fx.take();
    void fx.core.rescan(fx.tb);
    expect(fx.take()).toEqual(['M(d1,A)=1', ...BIND('d1', 'A'), 'M(d3,A)=1', ...BIND('d3', 'A')]);
    expect(d2.bound).toBe(true);
  });

  test('BND-31: a child added by the driver is bound in its probe, and gone before remove', () => {
    const fx = new Fixture();
    fx.reg(driver('K', 'kid'));
    let inRemove: string[] = [];
    fx.reg(
      driver('A', 'd', {
        probe: (dev) => fx.core.addChild(dev, fx.dev('kidz', { parent: dev })),
        remove: (dev) => {
          inRemove = dev.children.map((c) => c.name);
        },
      }),
    );
    const d1 = fx.add('d1');
    expect(fx.take(true)).toEqual([
      ...ADD('d1'),
      'DC(d1)',
      'N:BIND(d1)',
      ...ADD('kidz'),
      ...BIND('kidz', 'K'),
      'P(d1,A)=0',
      'N:BOUND(d1)',
      'U:bind(d1)',
    ]);
    void fx.core.unbind(d1);
    expect(fx.take(true)).toEqual([
      'N:UNBIND(d1)',
      ...GONE('kidz', ...UNB('kidz', 'K')),
      'R(d1,A)',
      'DX(d1)',
      'N:UNBOUND(d1)',
      'U:unbind(d1)',
    ]);
    expect(inRemove).toEqual([]);
  });

  test('BND-32: children of a failing probe go, last first, before NOT_BOUND', () => {
    const fx = new Fixture();
    fx.reg(
      driver('A', 'd', {
        body: (dev) => {
          void fx.core.addChild(dev, fx.dev('k1', { parent: dev }));
          void fx.core.addChild(dev, fx.dev('k2', { parent: dev }));
        },
        results: ['EIO'],
      }),
    );
    fx.add('d1');
    expect(fx.take(true)).toEqual([
      ...ADD('d1'),
      'DC(d1)',
      'N:BIND(d1)',
      ...ADD('k1'),
      ...ADD('k2'),
      'P(d1,A)=EIO',
      'L:err:probe_failed',
      ...GONE('k2'),
      ...GONE('k1'),
      'N:NOT_BOUND(d1)',
      'DX(d1)',
    ]);
  });

  test('BND-42: in test-remove mode a failure of the first probe is a plain failure', () => {
    const fx = new Fixture({}, { clock: new Fixture().core.clock, testRemove: true });
    fx.reg(driver('A', 'd', { results: ['EIO'] }));
    fx.add('d1');
    expect(fx.take()).toEqual([...ADD('d1'), 'M(d1,A)=1', ...FAIL('d1', 'A', 'EIO')]);
  });

  test('BND-44: driver attributes are there exactly while bound, and not yet at BIND', () => {
    const fx = new Fixture();
    const seen: string[] = [];
    fx.reg(
      driver('A', 'd', {
        devGroups: [{ name: 'g', attributes: [{ name: 'foo', show: () => 'x\n' }] }],
        remove: (dev) => void seen.push(`remove ${dev.attributes.has('g/foo')}`),
      }),
    );
    fx.tb.notifier.on((event, dev) => {
      if (event.includes('BIND') || event.includes('BOUND')) seen.push(`${event} ${dev.attributes.has('g/foo')}`);
    });
    const d1 = fx.add('d1');
    expect(d1.attributes.read('g/foo')).toBe('x\n');
    void fx.core.unbind(d1);
    expect(seen).toEqual(['BIND false', 'BOUND true', 'UNBIND true', 'remove false', 'UNBOUND false']);
  });

  test('the order of a failing probe: NOT_BOUND with the driver still set, dma cleanup, ledger last first, then driver gone', () => {
    const fx = new Fixture();
    const log: string[] = [];
    fx.tb.notifier.on((event, dev) => {
      if (event === 'NOT_BOUND') log.push(`NOT_BOUND ${dev.driver?.name} ${dev.bound}`);
    });
    fx.reg(
      driver('A', 'd', {
        body: (dev) => {
          dev.devres.defer('first', () => void log.push(`first ${dev.driver?.name}`));
          dev.devres.defer('second', () => void log.push('second'));
        },
        results: ['EIO'],
      }),
    );
    const d1 = fx.add('d1');
    expect(log).toEqual(['NOT_BOUND A false', 'second', 'first A']);
    expect(d1.driver).toBeUndefined();
  });

  test('the preset driver is not probed; one that is not registered leaves the device unbound', async () => {
    const fx = new Fixture();
    const a = fx.reg(driver('A', 'zzz'));
    const d1 = fx.add('d1', { driver: a });
    expect(fx.take()).toEqual([...ADD('d1'), 'N:BIND(d1)', 'N:BOUND(d1)', 'U:bind(d1)']);
    const d2 = fx.add('d2', { driver: driver('B', '') });
    expect(d2.bound).toBe(false);
    expect(d1.bound).toBe(true);
  });

  test('a bus probe wins over that of the driver, and the registration is warned about', () => {
    const log: string[] = [];
    const fx = new Fixture({ probe: () => void log.push('bus probe'), remove: () => void log.push('bus remove') });
    fx.reg(driver('A', 'd', { body: () => void log.push('driver probe') }));
    const d1 = fx.add('d1');
    void fx.core.unbind(d1);
    expect(log).toEqual(['bus probe', 'bus remove']);
    expect(fx.take()[0]).toBe('L:warn:bus_methods');
  });

  test('a match deferral stops the search and is retried', async () => {
    let ready = false;
    const fx = new Fixture({
      match: () => {
        if (!ready) throw defer('no firmware yet');
        return true;
      },
    });
    fx.reg(driver('A', 'd'));
    fx.reg(driver('B', 'd'));
    const d1 = fx.add('d1');
    expect(fx.take()).toEqual([...ADD('d1'), 'M(d1,A)=EPROBE_DEFER']);
    expect(fx.deferred).toEqual(['d1']);
    expect(await code(() => fx.core.attach(d1))).toBe('EPROBE_DEFER');
    ready = true;
    fx.take();
    fx.core.trigger();
    await fx.core.settle();
    expect(fx.take()).toEqual(['M(d1,A)=1', ...BIND('d1', 'A')]);
    expect(fx.deferred).toEqual([]);
  });

  test('a failing release does not stop the others, and the error of unbind names it', async () => {
    const fx = new Fixture();
    const log: string[] = [];
    fx.reg(
      driver('A', 'd', {
        body: (dev) => {
          dev.devres.defer('a', () => void log.push('a'));
          dev.devres.defer('b', () => {
            throw new Errno('EIO', 'd1: b stuck');
          });
          dev.devres.defer('c', () => void log.push('c'));
        },
      }),
    );
    const d1 = fx.add('d1');
    expect(await code(() => fx.core.unbind(d1))).toBe('EIO');
    expect(log).toEqual(['c', 'a']);
    expect([d1.bound, d1.devres.size]).toEqual([false, 0]);
  });

  test('1000 cycles of unbind and bind are the same tokens and leave nothing', async () => {
    const fx = new Fixture();
    fx.reg(driver('A', 'd', { body: (dev) => void dev.devres.defer('x', () => {}) }));
    const d1 = fx.add('d1');
    fx.take();
    void fx.write('A', 'unbind', 'd1');
    void fx.write('A', 'bind', 'd1');
    const first = fx.take();
    for (let i = 0; i < 1000; i++) {
      await fx.write('A', 'unbind', 'd1');
      await fx.write('A', 'bind', 'd1');
      expect(fx.take()).toEqual(first);
    }
    expect(d1.devres.size).toBe(1);
    expect(d1.refs).toBe(1);
  });

  test('a kept upper handle: an operation on a bus of another system is refused', async () => {
    const fx = new Fixture();
    const other = new Fixture();
    expect(await code(() => fx.core.add(new Device({ bus: other.tb, name: 'd1' })))).toBe('EINVAL');
    expect(await code(() => fx.core.registerBus(other.tb))).toBe('EEXIST');
  });
});
