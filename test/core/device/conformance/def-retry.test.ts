import { describe, expect, test } from 'vitest';
import type { Device } from '../../../../core/device/index.js';
import { defer } from '../../../../core/lib/errno.js';
import { BIND, DEFER, FAIL, Fixture, GONE, M, P, deferredFixture, errno, errnoLater, gate, sync } from './fixture.js';

describe('retries', () => {
  test('DEF-19: a deferral by way of the bind file is EAGAIN to the writer and queues nothing', () => {
    const fx = new Fixture();
    fx.tb.autoprobe = false;
    const drvA = fx.register('A', 'd', 'EPROBE_DEFER');
    fx.add('d1');
    expect(errno(() => fx.files(drvA).write('bind', 'd1'))).toBe('-EAGAIN');
    expect(fx.deferred()).toEqual([]);
  });

  test('DEF-20: a failed bind by hand leaves a waiting device on the list', () => {
    const fx = deferredFixture('EIO', 'EPROBE_DEFER');
    const drvA = fx.tb.findDriver('A')!;
    expect(errno(() => fx.core.bind(fx.d1, drvA))).toBe('-EIO');
    expect(fx.deferred()).toEqual(['d1']);
    expect(errno(() => fx.core.bind(fx.d1, drvA))).toBe('-EAGAIN');
    expect(fx.deferred()).toEqual(['d1']);
  });

  test('DEF-21: a bind in the middle of a scan retries what deferred before it, and then what deferred after it', async () => {
    const fx = new Fixture();
    for (const d of ['d1', 'd2', 'd3']) fx.add(d);
    const failed = new Set<string>();
    const first = (dev: Device): void => {
      if (dev.name === 'd2' || failed.has(dev.name)) return;
      failed.add(dev.name);
      throw defer();
    };
    let scanned: string[] = [];
    const trace = await fx.traceAll(() => {
      fx.register('A', 'd', first);
      scanned = fx.deferred();
    });
    expect(trace).toEqual([
      M('d1', 'A'),
      ...FAIL('d1', 'A', DEFER),
      M('d2', 'A'),
      ...BIND('d2', 'A'),
      M('d3', 'A'),
      ...FAIL('d3', 'A', DEFER),
      M('d1', 'A'),
      ...BIND('d1', 'A'),
      M('d3', 'A'),
      ...BIND('d3', 'A'),
    ]);
    // The worker has already run: it starts when the outermost operation is over.
    expect(scanned).toEqual([]);
  });

  test('DEF-22: a retry that fails hard is the last', async () => {
    const fx = deferredFixture('EIO');
    expect(await fx.traceAll(() => fx.core.trigger())).toEqual([M('d1', 'A'), ...FAIL('d1', 'A', '-EIO')]);
    expect(fx.deferred()).toEqual([]);
    expect(await fx.traceAll(() => fx.core.trigger())).toEqual([]);
  });

  test('DEF-23: an unbound device is not queued', async () => {
    const fx = new Fixture();
    const drvA = fx.register('A', 'd');
    fx.add('d1');
    sync(fx.files(drvA).write('unbind', 'd1'));
    expect(fx.deferred()).toEqual([]);
    expect(await fx.traceAll(() => fx.core.trigger())).toEqual([]);
  });

  test('DEF-24: a retry with autoprobe off loses the device', async () => {
    const fx = deferredFixture(0);
    sync(fx.tb.attributes.write('drivers_autoprobe', '0'));
    expect(await fx.traceAll(() => fx.core.trigger())).toEqual([]);
    expect(fx.deferred()).toEqual([]);
    sync(fx.tb.attributes.write('drivers_autoprobe', '1'));
    expect(await fx.traceAll(() => fx.core.trigger())).toEqual([]);
    expect(fx.d1.bound).toBe(false);
  });

  test('DEF-25: a device removed while its retry is queued is not retried', async () => {
    const fx = new Fixture();
    const drvA = fx.register('A', 'd', 'EPROBE_DEFER', (dev: Device) => {
      if (dev.name === 'd1') sync(fx.core.remove(d2));
    });
    fx.add('d1');
    drvA.probed = 0; // d2 defers as well
    const d2 = fx.add('d2');
    expect(fx.deferred()).toEqual(['d1', 'd2']);
    expect(await fx.traceAll(() => fx.core.trigger())).toEqual([
      M('d1', 'A'),
      'DC(d1)',
      'N:BIND(d1)',
      ...GONE('d2'),
      P('d1', 'A'),
      'N:BOUND(d1)',
      'U:bind(d1)',
    ]);
    expect(fx.deferred()).toEqual([]);
  });

  test('DEF-26: a bind elsewhere while a probe runs retries it at once when it then defers', async () => {
    const fx = new Fixture();
    fx.register('O', 'o');
    const hold = gate();
    const drvA = fx.driver('A', 'd', () => hold.wait, 0);
    drvA.probeType = 'prefer-asynchronous';
    const d1 = fx.add('d1');
    sync(fx.core.registerDriver(fx.tb, drvA));
    await Promise.resolve();
    fx.add('o1');
    hold.fail(defer());
    await fx.core.settle();
    expect(drvA.probed).toBe(2);
    expect(d1.bound).toBe(true);
    expect(fx.deferred()).toEqual([]);
  });

  test('DEF-27: a probe before the device is ready is a deferral that is not queued', () => {
    const fx = new Fixture();
    const drvA = fx.register('A', 'd');
    const seen: unknown[] = [];
    fx.tb.notifier.on((event, dev) => {
      if (event !== 'ADD') return;
      seen.push(
        errno(() => fx.core.attach(dev)),
        errno(() => fx.core.bind(dev, drvA)),
        fx.deferred(),
      );
    });
    const d1 = fx.add('d1');
    expect(seen).toEqual([DEFER, '-EAGAIN', []]);
    expect(d1.bound).toBe(true);
  });

  test('DEF-28: a device removed while its probe runs is dropped from the list when the probe defers', async () => {
    const fx = new Fixture();
    const hold = gate();
    const drvA = fx.driver('A', 'd', () => hold.wait);
    drvA.probeType = 'prefer-asynchronous';
    const d1 = fx.add('d1');
    sync(fx.core.registerDriver(fx.tb, drvA));
    await Promise.resolve();
    const removed = errnoLater(() => fx.core.remove(d1));
    hold.fail(defer());
    expect(await removed).toBe(undefined);
    await fx.core.settle();
    expect(fx.deferred()).toEqual([]);
    expect(await fx.traceAll(() => fx.core.trigger())).toEqual([]);
  });
});
