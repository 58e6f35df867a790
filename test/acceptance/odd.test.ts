import { AuxName, Bus, Device, Errno, Kernel, PlatformDevice, defer } from 'backplane';
import { FakeHost } from 'backplane/testing';
import { describe, expect, test } from 'vitest';
import { ADD, BIND, Fixture, GONE, UNB, code, driver, gate, turns } from './fixture.js';

describe('what must not happen, and does', () => {
  test('BND-37: registering a driver that matches the probing device is EDEADLK, and the driver is not there', async () => {
    const fx = new Fixture();
    const codes: string[] = [];
    const k = driver('K', 'd');
    fx.add('d0');
    fx.reg(
      driver('A', 'd1', {
        probe: async () => {
          codes.push(await code(() => fx.core.registerDriver(fx.tb, k)));
        },
      }),
    );
    await fx.core.add(fx.dev('d1'));
    expect([codes, fx.tb.findDriver('K'), fx.tb.find('d0')!.bound, fx.tb.find('d1')!.bound]).toEqual([
      ['EDEADLK'],
      undefined,
      false,
      true,
    ]);
    expect(await code(() => fx.core.registerDriver(fx.tb, k))).toBe('ok');
    expect(fx.tb.find('d0')!.bound).toBe(true);
  });

  test('a removal from the ADD notifier leaves a device that is gone, and says so in order', () => {
    const fx = new Fixture();
    fx.reg(driver('A', 'd'));
    fx.tb.notifier.on((event, dev) => {
      if (event === 'ADD') void fx.core.remove(dev);
    });
    const d1 = fx.add('d1');
    expect([d1.phase, fx.tb.devices, fx.deferred]).toEqual(['released', [], []]);
    expect(fx.take().filter((t) => t.startsWith('P(') || t.startsWith('U:'))).toEqual(['U:remove(d1)']);
  });

  test('a removal from the ADD event: the device is not probed', () => {
    const fx = new Fixture();
    fx.reg(driver('A', 'd'));
    fx.core.uevents.on((e) => {
      if (e.action === 'add' && e.device !== undefined) void fx.core.remove(e.device);
    });
    const par = fx.add('par');
    expect(par.phase).toBe('released');
    fx.take();
    fx.add('d1');
    expect(fx.take()).toEqual([...ADD('d1'), ...GONE('d1')]);
  });

  test('remove and dma cleanup that throw do not stop the unbind; both errors are kept', async () => {
    const fx = new Fixture({
      dmaCleanup: () => {
        throw new Errno('EIO', 'dma');
      },
    });
    fx.reg(
      driver('A', 'd', {
        remove: () => {
          throw new Errno('EBUSY', 'remove');
        },
      }),
    );
    const d1 = fx.add('d1');
    const error = await Promise.resolve()
      .then(() => fx.core.unbind(d1))
      .catch((e: unknown) => e);
    expect((error as AggregateError).errors.map((e) => (e as Errno).code)).toEqual(['EBUSY', 'EIO']);
    expect([d1.bound, d1.driver]).toEqual([false, undefined]);
  });

  test('shutdown waits for a probe that runs', async () => {
    const fx = new Fixture();
    const g = gate();
    const log: string[] = [];
    fx.reg(
      driver('A', 'd', {
        probe: async () => {
          await g.promise;
          log.push('probed');
        },
        shutdown: () => void log.push('shutdown'),
      }),
    );
    const added = fx.core.add(fx.dev('d1'));
    const down = fx.core.shutdown();
    await turns();
    g.open();
    await added;
    await down;
    expect(log).toEqual(['probed', 'shutdown']);
  });

  test('a kernel that stops while a probe runs, a device waits, and a retry is due leaves nothing', async () => {
    const kernel = new Kernel(new FakeHost());
    await kernel.start();
    const violations: string[] = [];
    kernel.core.violations.on(({ rule }) => void violations.push(rule));
    const g = gate();
    void kernel.platform.register({ name: 'slow', probeType: 'prefer-asynchronous', probe: () => g.promise });
    void kernel.platform.register({
      name: 'never',
      probe: () => {
        throw defer('x');
      },
    });
    void kernel.platform.add(new PlatformDevice({ name: 'slow' }));
    void kernel.platform.add(new PlatformDevice({ name: 'never' }));
    const stopped = kernel.stop();
    await turns();
    g.open();
    await stopped;
    expect([kernel.core.order.size, kernel.core.deferred.report(), violations]).toEqual([0, [], []]);
  });

  test('children of children go deepest first, and a link between siblings goes with its consumer', async () => {
    const kernel = new Kernel(new FakeHost());
    await kernel.start();
    const log: string[] = [];
    const A = new AuxName('m.a');
    const B = new AuxName('m.b');
    kernel.core.tracer = ({ kind, who }) => {
      if (kind === 'remove') log.push(who);
    };
    void kernel.auxiliary.register({ name: 'b', ids: [B], probe: () => {}, remove: () => {} });
    void kernel.auxiliary.register({
      name: 'a',
      ids: [A],
      probe: (dev) => void kernel.auxiliary.add(dev, B, {}),
      remove: () => {},
    });
    void kernel.platform.register({
      name: 'top',
      probe: (dev) => {
        const first = kernel.auxiliary.add(dev, A, {}) as Device;
        const second = kernel.auxiliary.add(dev, A, {}) as Device;
        kernel.core.link(first, second);
      },
      remove: () => {},
    });
    const top = new PlatformDevice({ name: 'top' });
    await kernel.platform.add(top);
    await kernel.core.unbind(top);
    expect(log).toEqual(['m.b.0', 'm.a.0', 'm.b.1', 'm.a.1', 'top']);
    await kernel.stop();
  });

  test('a supplier that is a child of the same driver may go before its consumer was told: still in order', async () => {
    const fx = new Fixture();
    fx.reg(driver('K', 'k'));
    const kids: Device[] = [];
    fx.reg(
      driver('A', 'd', {
        body: (dev) => {
          for (const n of ['k1', 'k2']) {
            const kid = fx.dev(n, { parent: dev });
            kids.push(kid);
            void fx.core.addChild(dev, kid);
          }
          fx.core.link(kids[0]!, kids[1]!);
        },
      }),
    );
    const d1 = fx.add('d1');
    fx.take();
    await fx.core.unbind(d1);
    expect(fx.take(true).filter((t) => t.startsWith('R('))).toEqual(['R(k1,K)', 'R(k2,K)', 'R(d1,A)']);
    expect(fx.violations).toEqual([]);
  });

  test('test-remove mode with a child: it comes, goes and comes again', () => {
    const fx = new Fixture({}, { clock: new FakeHost().clock, testRemove: true });
    fx.reg(driver('A', 'd', { body: (dev) => void fx.core.addChild(dev, fx.dev('x', { parent: dev })) }));
    const d1 = fx.add('d1');
    expect([d1.bound, d1.children.map((c) => c.name), fx.violations]).toEqual([true, ['x'], []]);
    void fx.core.remove(d1);
    expect(fx.take(true).slice(-3)).toEqual(['N:REMOVED(d1)', 'U:remove(d1)', 'REL(d1)']);
  });

  test('a match that gives a promise is a mistake that is told, and no match', () => {
    const fx = new Fixture({ match: async () => false });
    fx.reg(driver('A', 'd'));
    expect(fx.add('d1').bound).toBe(false);
    expect(fx.violations).toHaveLength(1);
  });

  test('a bus driver path ends when the driver is unregistered in the middle of its own scan', async () => {
    const fx = new Fixture();
    fx.add('d1');
    fx.add('d2');
    const g = gate();
    const a = driver('A', 'd', { probe: (dev: Device) => (dev.name === 'd1' ? g.promise : undefined) });
    const registered = fx.core.registerDriver(fx.tb, a);
    const gone = fx.core.unregisterDriver(fx.tb, a);
    await turns();
    fx.take();
    g.open();
    expect([await code(() => registered), await code(() => gone)]).toEqual(['ok', 'ok']);
    expect(fx.take(true)).toEqual(['P(d1,A)=0', 'N:BOUND(d1)', 'U:bind(d1)', ...UNB('d1', 'A')]);
    expect(fx.tb.findDriver('A')).toBeUndefined();
  });

  test('two systems share nothing', async () => {
    const [a, b] = [new Fixture(), new Fixture()];
    a.reg(driver('A', 'd', { results: ['EPROBE_DEFER'] }));
    a.add('d1');
    b.reg(driver('B', 'd'));
    b.add('d1');
    await b.core.settle();
    expect([a.deferred, b.deferred]).toEqual([['d1'], []]);
    const bus = new Bus('own');
    a.core.registerBus(bus);
    expect(await code(() => b.core.registerBus(bus))).toBe('EBUSY');
    a.core.trigger();
    await a.core.settle();
    expect(a.take().slice(-5)).toEqual(BIND('d1', 'A'));
  });
});
