import { describe, expect, test } from 'vitest';
import { defer } from '../../../../core/lib/errno.js';
import {
  ADD,
  BIND,
  FAIL,
  Fixture,
  GONE,
  M,
  P,
  UNB,
  asyncDriver,
  asyncProbing,
  errnoLater,
  gate,
  probing,
  sync,
  turns,
} from './fixture.js';

describe('which probes are asynchronous', () => {
  test('a driver that prefers it is probed by a job of its own, after the add has returned', async () => {
    const fx = new Fixture();
    sync(fx.core.registerDriver(fx.tb, asyncDriver(fx, 'A', 'd')));
    const d1 = fx.device('d1');
    expect(fx.trace(() => fx.core.add(d1))).toEqual([...ADD('d1'), M('d1', 'A')]);
    await fx.core.settle();
    expect(fx.take()).toEqual([M('d1', 'A'), ...BIND('d1', 'A')]);
  });

  test('by the driver path each device is a job, and the registration returns at once', async () => {
    const fx = new Fixture();
    fx.add('d1');
    fx.add('d2');
    const a = asyncDriver(fx, 'A', 'd');
    expect(fx.trace(() => fx.core.registerDriver(fx.tb, a))).toEqual([M('d1', 'A'), M('d2', 'A')]);
    await fx.core.settle();
    expect(fx.take()).toEqual([...BIND('d1', 'A'), ...BIND('d2', 'A')]);
  });

  test('the first pass probes the drivers that must be synchronous, the second those that need not', async () => {
    const fx = new Fixture();
    sync(fx.core.registerDriver(fx.tb, asyncDriver(fx, 'asyncA', 'd', 'EIO')));
    sync(fx.core.registerDriver(fx.tb, fx.driver('syncB', 'd', 'EIO')));
    sync(fx.core.registerDriver(fx.tb, asyncDriver(fx, 'asyncC', 'd')));
    const all = await fx.traceAll(() => fx.core.add(fx.device('d1')));
    expect(all).toEqual([
      ...ADD('d1'),
      M('d1', 'asyncA'),
      M('d1', 'syncB'),
      ...FAIL('d1', 'syncB', '-EIO'),
      M('d1', 'asyncC'),
      M('d1', 'asyncA'),
      ...FAIL('d1', 'asyncA', '-EIO'),
      M('d1', 'syncB'),
      M('d1', 'asyncC'),
      ...BIND('d1', 'asyncC'),
    ]);
  });

  test('a synchronous driver that binds leaves nothing to the second pass', async () => {
    const fx = new Fixture();
    sync(fx.core.registerDriver(fx.tb, asyncDriver(fx, 'asyncA', 'd')));
    fx.register('syncB', 'd');
    const all = await fx.traceAll(() => fx.core.add(fx.device('d1')));
    expect(all).toEqual([...ADD('d1'), M('d1', 'asyncA'), M('d1', 'syncB'), ...BIND('d1', 'syncB')]);
  });

  test('by hand every probe is synchronous', () => {
    const fx = new Fixture();
    fx.tb.autoprobe = false;
    const a = asyncDriver(fx, 'A', 'd');
    sync(fx.core.registerDriver(fx.tb, a));
    const d1 = fx.add('d1');
    const unbind = () => sync(fx.core.unbind(d1));
    for (const op of [
      () => fx.core.attach(d1),
      () => fx.files(a).write('bind', 'd1'),
      () => fx.tb.attributes.write('drivers_probe', 'd1'),
      () => fx.core.reprobe(d1),
      () => fx.core.rescan(fx.tb),
    ]) {
      expect(fx.trace(op)).toEqual([M('d1', 'A'), ...BIND('d1', 'A')]);
      unbind();
    }
  });

  test.each([
    [['A', 'C'], { A: true, B: false, C: false, D: true }],
    [['*', 'A'], { A: false, B: true, C: false, D: true }],
    [['a'], { A: false, B: false, C: false, D: true }],
  ])('ASY-06: with driver_async_probe=%s', (asyncProbe, expected) => {
    const fx = new Fixture({ asyncProbe });
    const [a, b, c, d] = ['A', 'B', 'C', 'D'].map((name) => fx.driver(name, 'd'));
    c!.probeType = 'force-synchronous';
    d!.probeType = 'prefer-asynchronous';
    expect({
      A: fx.core.allowsAsync(a!),
      B: fx.core.allowsAsync(b!),
      C: fx.core.allowsAsync(c!),
      D: fx.core.allowsAsync(d!),
    }).toEqual(expected);
  });

  test('a deferred retry of a driver that prefers it is a job of its own', async () => {
    const fx = new Fixture();
    sync(fx.core.registerDriver(fx.tb, asyncDriver(fx, 'A', 'd', 'EPROBE_DEFER', 0)));
    await fx.traceAll(() => fx.core.add(fx.device('d1')));
    expect(fx.deferred()).toEqual(['d1']);
    expect(await fx.traceAll(() => fx.core.trigger())).toEqual([M('d1', 'A'), M('d1', 'A'), ...BIND('d1', 'A')]);
  });

  test('ASY-28: one add is one initial probe: one job for the whole device, however many drivers are asynchronous', async () => {
    const fx = new Fixture();
    for (const name of ['A', 'B']) sync(fx.core.registerDriver(fx.tb, asyncDriver(fx, name, 'd', 'ENODEV')));
    const all = await fx.traceAll(() => fx.core.add(fx.device('d1')));
    expect(all.filter((t) => t.startsWith('P('))).toEqual([P('d1', 'A', '-ENODEV'), P('d1', 'B', '-ENODEV')]);
    expect(all.filter((t) => t === M('d1', 'A'))).toHaveLength(2);
  });
});

describe('a removal while a probe is queued or runs', () => {
  test('ASY-08: a device removed before its queued probe starts is not probed, and released after the job', async () => {
    const fx = new Fixture();
    sync(fx.core.registerDriver(fx.tb, asyncDriver(fx, 'A', 'd')));
    const d1 = fx.add('d1');
    expect(fx.trace(() => fx.core.remove(d1))).toEqual(['N:DEL(d1)', 'N:REMOVED(d1)', 'U:remove(d1)']);
    await fx.core.settle();
    expect(fx.take()).toEqual(['REL(d1)']);
  });

  test('ASY-12: the same when the driver came after the device', async () => {
    const fx = new Fixture();
    const d1 = fx.add('d1');
    sync(fx.core.registerDriver(fx.tb, asyncDriver(fx, 'A', 'd')));
    fx.trace(() => fx.core.remove(d1));
    await fx.core.settle();
    expect(fx.take()).toEqual(['REL(d1)']);
  });

  test('ASY-09: a removal waits for the probe that runs, and unbinds what it bound', async () => {
    const { fx, d1, hold } = await asyncProbing();
    const gone = fx.core.remove(d1);
    await turns();
    expect([fx.take(), d1.dead]).toEqual([[], false]);
    hold.open();
    await gone;
    await fx.core.settle();
    expect(fx.take()).toEqual([P('d1', 'A'), 'N:BOUND(d1)', 'U:bind(d1)', ...GONE('d1', ...UNB('d1', 'A'))]);
  });

  test('ASY-10: a probe that defers while its device waits to be removed is forgotten', async () => {
    const { fx, d1, hold } = await asyncProbing();
    const gone = fx.core.remove(d1);
    hold.fail(defer());
    await gone;
    await fx.core.settle();
    expect(fx.take()).toEqual([P('d1', 'A', '-EPROBE_DEFER'), 'N:NOT_BOUND(d1)', 'DX(d1)', ...GONE('d1')]);
    expect(fx.deferred()).toEqual([]);
  });

  test('a second removal that overlaps the first is refused and corrupts nothing', async () => {
    const { fx, d1, hold, added } = probing();
    const first = fx.core.remove(d1);
    const second = errnoLater(() => fx.core.remove(d1));
    hold.open();
    await added;
    await first;
    expect(await second).toBe('-EINVAL');
    expect(fx.violations).toEqual(['removed-twice']);
    expect(fx.take().filter((t) => /REL|REMOVED|R\(/.test(t))).toEqual(['R(d1,A)', 'N:REMOVED(d1)', 'REL(d1)']);
    expect([d1.refs, d1.busy]).toEqual([0, false]);
  });

  test('a removal while an asynchronous remove runs waits for it and then removes the device', async () => {
    const hold = gate();
    const fx = new Fixture();
    const a = fx.register('A', 'd');
    a.onRemove = () => hold.wait;
    const d1 = fx.add('d1');
    fx.take();
    const unbound = fx.core.unbind(d1);
    const gone = fx.core.remove(d1);
    hold.open();
    await unbound;
    await gone;
    expect(fx.take()).toEqual([...UNB('d1', 'A'), ...GONE('d1')]);
  });
});

describe('a driver unregistered while its probe is queued or runs', () => {
  test('ASY-11: it waits for the asynchronous probe that runs, and undoes it', async () => {
    const { fx, a, hold } = await asyncProbing();
    const gone = fx.core.unregisterDriver(fx.tb, a);
    hold.open();
    await gone;
    expect(fx.take()).toEqual([P('d1', 'A'), 'N:BOUND(d1)', 'U:bind(d1)', ...UNB('d1', 'A')]);
  });

  test('ASY-13: a probe queued by the registration runs first, and is undone', async () => {
    const fx = new Fixture();
    const d1 = fx.add('d1');
    const a = asyncDriver(fx, 'A', 'd');
    sync(fx.core.registerDriver(fx.tb, a));
    expect(await fx.traceAll(() => fx.core.unregisterDriver(fx.tb, a))).toEqual([...BIND('d1', 'A'), ...UNB('d1', 'A')]);
    expect(d1.driver).toBeUndefined();
  });

  test('ASY-13: a probe queued by the add does not happen', async () => {
    const fx = new Fixture();
    const a = asyncDriver(fx, 'A', 'd');
    sync(fx.core.registerDriver(fx.tb, a));
    fx.add('d1');
    expect(await fx.traceAll(() => fx.core.unregisterDriver(fx.tb, a))).toEqual([]);
  });

  test('ASY-19: it waits for the synchronous probe of an add that is under way', async () => {
    const { fx, a, hold, added } = probing();
    const gone = fx.core.unregisterDriver(fx.tb, a);
    await turns();
    expect(fx.take()).toEqual([]);
    hold.open();
    await added;
    await gone;
    expect(fx.take()).toEqual([P('d1', 'A'), 'N:BOUND(d1)', 'U:bind(d1)', ...UNB('d1', 'A')]);
  });

  test('unregistered while its registration still scans, a driver leaves nothing behind', async () => {
    const hold = gate();
    const fx = new Fixture();
    const [d1, d2] = [fx.add('d1'), fx.add('d2')];
    const a = fx.driver('A', 'd', () => hold.wait, 0);
    const registered = fx.core.registerDriver(fx.tb, a);
    const gone = fx.core.unregisterDriver(fx.tb, a);
    fx.take();
    hold.open();
    await registered;
    await gone;
    expect(fx.take()).toEqual([P('d1', 'A'), 'N:BOUND(d1)', 'U:bind(d1)', ...UNB('d1', 'A')]);
    expect([d1.driver, d2.driver, fx.tb.findDriver('A')]).toEqual([undefined, undefined, undefined]);
    expect(fx.register('A', 'd').name).toBe('A');
  });
});
