import { describe, expect, test } from 'vitest';
import { defer } from '../../../../core/lib/errno.js';
import { ADD, BIND, DEFER, FAIL, Fixture, M, deferredFixture, errno, gate, sync } from './fixture.js';

describe('deferral by hand and blocked probing', () => {
  test('DEF-11: a device bound by hand leaves the list, whichever way', () => {
    for (const way of ['bind', 'attach', 'file'] as const) {
      const fx = deferredFixture(0);
      const drvA = fx.tb.findDriver('A')!;
      if (way === 'bind') sync(fx.core.bind(fx.d1, drvA));
      else if (way === 'attach') expect(fx.core.attach(fx.d1)).toBe(true);
      else void fx.files(drvA).write('bind', 'd1\n');
      expect(fx.d1.bound).toBe(true);
      expect(fx.core.deferred.text()).toBe('');
      expect(fx.trace(() => fx.core.trigger())).toEqual([]);
    }
  });

  test('DEF-12: blocked, a device that is added is queued without a probe; unblocking probes it', async () => {
    const fx = new Fixture();
    fx.register('A', 'd');
    sync(fx.core.blockProbing());
    expect(fx.trace(() => fx.add('d1'))).toEqual([...ADD('d1'), M('d1', 'A')]);
    expect(fx.deferred()).toEqual(['d1']);
    expect(await fx.traceAll(() => fx.core.unblockProbing())).toEqual([M('d1', 'A'), ...BIND('d1', 'A')]);
  });

  test('DEF-13: blocked, a driver that is registered queues its devices, and attach is a deferral', () => {
    const fx = new Fixture();
    const d1 = fx.add('d1');
    sync(fx.core.blockProbing());
    expect(fx.trace(() => fx.register('A', 'd'))).toEqual([M('d1', 'A')]);
    expect(fx.deferred()).toEqual(['d1']);
    expect(errno(() => fx.core.attach(d1))).toBe(DEFER);
    expect(fx.deferred()).toEqual(['d1']);
  });

  test('DEF-14: blocking waits for a probe that runs, and does not undo it', async () => {
    const fx = new Fixture();
    const hold = gate();
    const drvA = fx.driver('A', 'd', () => hold.wait);
    drvA.probeType = 'prefer-asynchronous';
    const d1 = fx.add('d1');
    sync(fx.core.registerDriver(fx.tb, drvA));
    await Promise.resolve();
    expect(drvA.probed).toBe(1);
    let blocked = false;
    const done = Promise.resolve(fx.core.blockProbing()).then(() => (blocked = true));
    await Promise.resolve();
    expect(blocked).toBe(false);
    hold.open();
    await done;
    expect(d1.bound).toBe(true);
  });

  test('DEF-14: an asynchronous probe that is queued when probing is blocked defers, and runs after unblock', async () => {
    const fx = new Fixture();
    const drvA = fx.driver('A', 'd');
    drvA.probeType = 'prefer-asynchronous';
    const d1 = fx.add('d1');
    sync(fx.core.registerDriver(fx.tb, drvA));
    await fx.core.blockProbing();
    expect(drvA.probed).toBe(0);
    expect(fx.deferred()).toEqual(['d1']);
    fx.core.unblockProbing();
    await fx.core.settle();
    expect(d1.bound).toBe(true);
    expect(fx.deferred()).toEqual([]);
  });

  test('DEF-14: blocking from inside a probe would wait for itself: it is refused and nothing is blocked', () => {
    const fx = new Fixture();
    let result: unknown;
    fx.register('A', 'd', () => {
      result = errno(() => fx.core.blockProbing());
    });
    fx.add('d1');
    expect(result).toBe('-EDEADLK');
    expect(fx.core.probingBlocked).toBe(false);
  });

  test('DEF-12: blocked, a bind by hand gives EAGAIN and queues nothing', () => {
    const fx = new Fixture();
    const drvA = fx.register('A', 'd');
    fx.tb.autoprobe = false;
    const d1 = fx.add('d1');
    sync(fx.core.blockProbing());
    expect(errno(() => fx.core.bind(d1, drvA))).toBe('-EAGAIN');
    expect(fx.deferred()).toEqual([]);
  });

  test('a match that cannot be decided yet is a deferral and ends the search', async () => {
    const fx = new Fixture();
    const drvA = fx.driver('A', 'd');
    let known = false;
    drvA.onMatch = () => {
      if (!known) throw defer();
      return true;
    };
    sync(fx.core.registerDriver(fx.tb, drvA));
    fx.register('B', 'd');
    expect(fx.trace(() => fx.add('d1'))).toEqual([...ADD('d1'), M('d1', 'A', DEFER)]);
    expect(fx.deferred()).toEqual(['d1']);
    known = true;
    expect(await fx.traceAll(() => fx.core.trigger())).toEqual([M('d1', 'A'), ...BIND('d1', 'A')]);
  });

  test('a device whose first driver defers still binds to a second one, and leaves the list', () => {
    const fx = new Fixture();
    fx.register('A', 'd', 'EPROBE_DEFER');
    fx.register('B', 'd');
    const trace = [...ADD('d1'), M('d1', 'A'), ...FAIL('d1', 'A', DEFER), M('d1', 'B'), ...BIND('d1', 'B')];
    expect(fx.trace(() => fx.add('d1'))).toEqual(trace);
    expect(fx.deferred()).toEqual([]);
  });

  test('a device is queued once, however often it defers', () => {
    const fx = new Fixture();
    fx.register('A', 'd', 'EPROBE_DEFER');
    fx.register('B', 'd', 'EPROBE_DEFER');
    const d1 = fx.add('d1');
    expect(fx.deferred()).toEqual(['d1']);
    expect(errno(() => fx.core.attach(d1))).toBe(false);
    expect(fx.deferred()).toEqual(['d1']);
  });
});
