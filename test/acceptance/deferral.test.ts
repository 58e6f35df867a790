import { Errno, defer, type Device, deviceCreate } from 'backplane';
import { FakeHost } from 'backplane/testing';
import { describe, expect, test } from 'vitest';
import { ADD, BIND, FAIL, Fixture, GONE, code, driver, gate, turns } from './fixture.js';

/** A consumer that waits for a supplier's probe. */
function waiting(): { fx: Fixture; state: { ready: boolean } } {
  const fx = new Fixture();
  const state = { ready: false };
  fx.reg(
    driver('cons', 'c', {
      probe: () => {
        if (!state.ready) throw defer('no supplier');
      },
    }),
  );
  fx.reg(driver('sup', 's', { body: () => void (state.ready = true) }));
  return { fx, state };
}

describe('deferred probing', () => {
  test('DEF-11: a successful bind through the bind file leaves the list', async () => {
    const { fx, state } = waiting();
    fx.add('c1');
    expect(fx.core.deferred.text()).toBe('c1\tcons: no supplier\n');
    state.ready = true;
    await fx.write('cons', 'bind', 'c1');
    expect(fx.deferred).toEqual([]);
    expect(fx.core.deferred.text()).toBe('');
  });

  test('DEF-14: while blocked, bind is EAGAIN and not queued, drivers_probe is EINVAL and queued', async () => {
    const { fx, state } = waiting();
    fx.tb.autoprobe = false;
    state.ready = true;
    fx.add('c1');
    void fx.core.blockProbing();
    expect(await code(() => fx.write('cons', 'bind', 'c1'))).toBe('EAGAIN');
    expect(fx.deferred).toEqual([]);
    expect(await code(() => fx.tb.attributes.write('drivers_probe', 'c1'))).toBe('EINVAL');
    expect(fx.deferred).toEqual(['c1']);
    fx.tb.autoprobe = true;
    fx.core.unblockProbing();
    await fx.core.settle();
    expect(fx.tb.find('c1')!.bound).toBe(true);
  });

  test('DEF-15: drivers_probe of a device whose probe defers succeeds and queues it', async () => {
    const { fx } = waiting();
    fx.tb.autoprobe = false;
    fx.add('c1');
    fx.take();
    expect(await fx.tb.attributes.write('drivers_probe', 'c1')).toBe(2);
    expect(fx.take()).toEqual(['M(c1,cons)=1', ...FAIL('c1', 'cons', 'EPROBE_DEFER'), 'M(c1,sup)=0']);
    expect(fx.deferred).toEqual(['c1']);
  });

  test('DEF-16: a deferral goes on to the next matching driver', () => {
    const fx = new Fixture();
    fx.reg(driver('A', 'd', { results: ['EPROBE_DEFER'] }));
    fx.reg(driver('B', 'd'));
    fx.add('d1');
    expect(fx.take()).toEqual([...ADD('d1'), 'M(d1,A)=1', ...FAIL('d1', 'A', 'EPROBE_DEFER'), 'M(d1,B)=1', ...BIND('d1', 'B')]);
    expect(fx.deferred).toEqual([]);
  });

  test('DEF-17: a device is on the list once, at its place, however often it is deferred', async () => {
    const { fx } = waiting();
    const c1 = fx.add('c1');
    fx.add('c2');
    expect(await fx.core.attach(c1)).toBe(false);
    expect(fx.deferred).toEqual(['c1', 'c2']);
  });

  test('DEF-18: attach of a deferred device that binds removes it and retries the others', async () => {
    const { fx, state } = waiting();
    const c1 = fx.add('c1');
    const c2 = fx.add('c2');
    state.ready = true;
    expect(await fx.core.attach(c2)).toBe(true);
    await fx.core.settle();
    expect([c1.bound, fx.deferred.length]).toEqual([true, 0]);
  });

  test('DEF-20: a failed bind-file attempt leaves a device where it was on the list', async () => {
    const { fx } = waiting();
    fx.add('c1');
    fx.add('c2');
    expect(await code(() => fx.write('cons', 'bind', 'c1'))).toBe('EAGAIN');
    expect(fx.deferred).toEqual(['c1', 'c2']);
  });

  test('DEF-25: a driver registered later binds a deferred device at once, and its entry goes', async () => {
    const { fx } = waiting();
    fx.add('c1');
    fx.take();
    fx.reg(driver('other', 'c'));
    expect(fx.take()).toEqual(['M(c1,other)=1', ...BIND('c1', 'other')]);
    expect(fx.deferred).toEqual([]);
  });

  test('DEF-27: retries run after the outermost operation, and after the bind event of who triggered them', async () => {
    const { fx } = waiting();
    fx.add('c1');
    fx.take();
    fx.reg(driver('P', 'p', { body: (dev) => void fx.core.add(fx.dev('s1', { parent: dev })) }));
    const p1 = fx.add('p1');
    const tokens = fx.take(true);
    expect(tokens.slice(tokens.indexOf('U:bind(s1)'))).toEqual([
      'U:bind(s1)',
      'P(p1,P)=0',
      'N:BOUND(p1)',
      'U:bind(p1)',
      ...BIND('c1', 'cons'),
    ]);
    expect(p1.bound).toBe(true);
    await fx.core.settle();
  });

  test('DEF-28: a trigger without anybody waiting does nothing; a device that was never matched is never retried', async () => {
    const { fx } = waiting();
    fx.add('x1');
    fx.take();
    fx.core.trigger();
    await fx.core.settle();
    expect(fx.take()).toEqual([]);
    expect(fx.deferred).toEqual([]);
  });

  test('a chain of suppliers added in the wrong order comes up whole', async () => {
    const fx = new Fixture();
    const up = new Set<string>();
    fx.reg(
      driver('A', 'd', {
        probe: (dev: Device) => {
          const n = Number(dev.name.slice(1));
          if (n > 1 && !up.has(`d${n - 1}`)) throw defer(`wait for d${n - 1}`);
          up.add(dev.name);
        },
      }),
    );
    for (const n of [5, 4, 3, 2]) fx.add(`d${n}`);
    expect(fx.deferred).toEqual(['d5', 'd4', 'd3', 'd2']);
    fx.add('d1');
    await fx.core.settle();
    expect(fx.deferred).toEqual([]);
    expect([...up]).toEqual(['d1', 'd2', 'd3', 'd4', 'd5']);
  });

  test('a reason is replaced by the next, and cleared when there is none', async () => {
    const fx = new Fixture();
    const reasons = ['waiting for clk0', 'waiting for clk1', undefined];
    fx.reg(
      driver('A', 'd', {
        probe: (dev: Device) => {
          const reason = reasons.shift();
          if (reason === undefined) throw defer();
          throw dev.errProbe(defer(), reason);
        },
      }),
    );
    fx.add('d1');
    expect(fx.core.deferred.text()).toBe('d1\tA: waiting for clk0\n');
    fx.core.trigger();
    await fx.core.settle();
    expect(fx.core.deferred.text()).toBe('d1\tA: waiting for clk1\n');
    fx.core.trigger();
    await fx.core.settle();
    expect(fx.core.deferred.text()).toBe('d1\t\n');
  });

  test('errProbe logs an error, not ENOMEM, and gives it back', async () => {
    const fx = new Fixture();
    const codes = ['EIO', 'ENOMEM'] as const;
    for (const c of codes) {
      const error = new Errno(c, 'x');
      const dev = fx.add(`d-${c}`);
      expect(dev.errProbe(error, 'no clock')).toBe(error);
    }
    expect(fx.take().filter((t) => t.startsWith('L:'))).toEqual(['L:err:err_probe']);
  });

  test('removal while deferred, and while its retry waits for another, leaves nothing', async () => {
    const { fx } = waiting();
    const g = gate();
    const c1 = fx.add('c1');
    const c2 = fx.add('c2');
    void fx.core.remove(c1);
    expect(fx.deferred).toEqual(['c2']);
    fx.reg(driver('B', 'b', { probe: () => g.promise }));
    const added = fx.core.add(fx.dev('b1'));
    fx.take();
    void fx.core.remove(c2);
    expect(fx.take()).toEqual(GONE('c2'));
    g.open();
    await added;
    await fx.core.settle();
    expect(fx.deferred).toEqual([]);
  });

  test('before the initial phase ends nothing is retried; then everything is', async () => {
    const fx = new Fixture({}, { clock: new FakeHost().clock, initialPhase: true });
    let ready = false;
    fx.reg(
      driver('C', 'c', {
        probe: () => {
          if (!ready) throw defer('x');
        },
      }),
    );
    fx.reg(driver('S', 's', { body: () => void (ready = true) }));
    const c1 = fx.add('c1');
    fx.add('s1');
    await fx.core.settle();
    expect([c1.bound, fx.deferred]).toEqual([false, ['c1']]);
    fx.core.endInitialPhase();
    await fx.core.settle();
    expect([c1.bound, fx.deferred]).toEqual([true, []]);
  });

  test('the timeout warns once per device with its reason, and check_state changes', async () => {
    const host = new FakeHost();
    const { clock } = host;
    const fx = new Fixture({}, { clock, deferredTimeoutUs: 10_000_000 });
    fx.reg(
      driver('A', 'd', {
        probe: () => {
          throw defer('waiting for clk0');
        },
      }),
    );
    fx.reg(driver('B', 'e', { results: Array.from({ length: 5 }, () => 'EPROBE_DEFER' as const) }));
    const d1 = fx.add('d1');
    fx.add('e1');
    await clock.sleep(6_000_000);
    fx.reg(driver('C', 'zz'));
    await clock.sleep(6_000_000);
    expect(fx.core.deferred.checkState(d1).code).toBe('EPROBE_DEFER');
    fx.take();
    await clock.sleep(5_000_000);
    await fx.core.settle();
    const tokens = fx.take();
    expect(tokens.filter((t) => t.startsWith('P('))).toEqual(['P(d1,A)=EPROBE_DEFER', 'P(e1,B)=EPROBE_DEFER']);
    expect(tokens.slice(-2)).toEqual(['L:warn:deferred_pending', 'L:warn:deferred_pending']);
    expect(
      fx.core.log
        .records()
        .filter((r) => r.id === 'deferred_pending')
        .map((r) => r.text),
    ).toEqual([expect.stringContaining('waiting for clk0'), expect.stringContaining('reason unknown')]);
    expect(fx.core.deferred.checkState(d1).code).toBe('ETIMEDOUT');
    expect(fx.deferred).toEqual(['d1', 'e1']);
  });

  test('a class device without driver triggers nothing', async () => {
    const { fx } = waiting();
    fx.add('c1');
    fx.take();
    expect(await code(() => deviceCreate(fx.core, undefined, { name: 'x' }))).toBe('ENODEV');
    expect(fx.deferred).toEqual(['c1']);
    await turns();
    expect(fx.take()).toEqual([]);
  });

  test('a deferral never leaves the core through an attribute', async () => {
    const { fx } = waiting();
    fx.add('c1');
    const codes = [
      await code(() => fx.write('cons', 'bind', 'c1')),
      await code(() => fx.tb.attributes.write('drivers_probe', 'c1')),
    ];
    expect(codes).toEqual(['EAGAIN', 'ok']);
  });
});
