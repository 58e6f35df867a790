import { describe, expect, test } from 'vitest';
import type { Device } from '../../../../core/device/index.js';
import { Errno, defer } from '../../../../core/lib/errno.js';
import { ADD, BIND, DEFER, FAIL, Fixture, GONE, M, P, UNB, sync } from './fixture.js';

/** cons("c") defers until sup("s") has been probed. */
function supplierFixture(): Fixture {
  const fx = new Fixture();
  let ready = false;
  fx.register('cons', 'c', () => {
    if (!ready) throw defer();
  });
  fx.register('sup', 's', () => {
    ready = true;
  });
  return fx;
}

describe('deferred probing', () => {
  test('DEF-01: devices wait in order for a supplier, and bind in that order when it comes', async () => {
    const fx = supplierFixture();
    for (const c of ['c1', 'c2', 'c3']) {
      const refused = [M(c, 'cons'), ...FAIL(c, 'cons', DEFER), M(c, 'sup', 0)];
      expect(await fx.traceAll(() => fx.add(c))).toEqual([...ADD(c), ...refused]);
    }
    expect(fx.deferred()).toEqual(['c1', 'c2', 'c3']);
    expect(await fx.traceAll(() => fx.add('s1'))).toEqual([
      ...ADD('s1'),
      M('s1', 'cons', 0),
      M('s1', 'sup'),
      ...BIND('s1', 'sup'),
      ...['c1', 'c2', 'c3'].flatMap((c) => [M(c, 'cons'), ...BIND(c, 'cons')]),
    ]);
    expect(fx.deferred()).toEqual([]);
  });

  test('DEF-01: the retries of an operation that does not wait are over when it returns', () => {
    const fx = supplierFixture();
    const c1 = fx.add('c1');
    fx.add('s1');
    expect(c1.bound).toBe(true);
  });

  test('DEF-02: consumers without a link stay bound when the supplier goes', async () => {
    const fx = supplierFixture();
    const c1 = fx.add('c1');
    const s1 = fx.add('s1');
    expect(await fx.traceAll(() => fx.core.remove(s1))).toEqual(GONE('s1', ...UNB('s1', 'sup')));
    expect(c1.bound).toBe(true);
  });

  test('DEF-03: a device removed while it waits is forgotten', async () => {
    const fx = supplierFixture();
    const c1 = fx.add('c1');
    expect(await fx.traceAll(() => fx.core.remove(c1))).toEqual(GONE('c1'));
    expect(fx.deferred()).toEqual([]);
    expect(await fx.traceAll(() => fx.add('s1'))).toEqual([
      ...ADD('s1'),
      M('s1', 'cons', 0),
      M('s1', 'sup'),
      ...BIND('s1', 'sup'),
    ]);
  });

  test('DEF-04, 05, 06: any bind retries all; without their driver they drop off; a driver that comes back finds them', async () => {
    const fx = supplierFixture();
    const cons = fx.tb.findDriver('cons')!;
    fx.add('c1');
    fx.add('c2');
    fx.register('other', 'o');
    const retried = ['c1', 'c2'].flatMap((c) => [M(c, 'cons'), ...FAIL(c, 'cons', DEFER), M(c, 'sup', 0), M(c, 'other', 0)]);
    expect(await fx.traceAll(() => fx.add('o1'))).toEqual([
      ...ADD('o1'),
      M('o1', 'cons', 0),
      M('o1', 'sup', 0),
      M('o1', 'other'),
      ...BIND('o1', 'other'),
      ...retried,
    ]);
    expect(fx.deferred()).toEqual(['c1', 'c2']);

    expect(fx.trace(() => fx.core.unregisterDriver(fx.tb, cons))).toEqual([]);
    expect(fx.deferred()).toEqual(['c1', 'c2']);
    const unmatched = ['c1', 'c2'].flatMap((c) => [M(c, 'sup', 0), M(c, 'other', 0)]);
    expect(await fx.traceAll(() => fx.core.trigger())).toEqual(unmatched);
    expect(fx.deferred()).toEqual([]);

    const again = [
      M('c1', 'cons'),
      ...FAIL('c1', 'cons', DEFER),
      M('c2', 'cons'),
      ...FAIL('c2', 'cons', DEFER),
      M('o1', 'cons', 0),
    ];
    expect(await fx.traceAll(() => fx.core.registerDriver(fx.tb, cons))).toEqual(again);
    expect(fx.deferred()).toEqual(['c1', 'c2']);
  });

  test('DEF-07: the report shows the latest reason, and none when there is none', () => {
    const fx = new Fixture();
    const wait = (what?: string) => () => {
      throw defer(what === undefined ? undefined : `waiting for ${what}`);
    };
    fx.register('drvA', 'd', wait('clk0'), wait('clk1'), wait(), 0);
    fx.add('d1');
    expect(fx.core.deferred.text()).toBe('d1\tdrvA: waiting for clk0\n');
    fx.core.trigger();
    expect(fx.core.deferred.text()).toBe('d1\tdrvA: waiting for clk1\n');
    fx.core.trigger();
    expect(fx.core.deferred.text()).toBe('d1\t\n');
    fx.core.trigger();
    expect(fx.core.deferred.text()).toBe('');
  });

  test('DEF-08: the core names the missing supplier, with the bus in front', () => {
    const fx = new Fixture();
    fx.register('condrv', 'con');
    const sup = fx.add('sup1');
    const con = fx.device('con1');
    fx.core.link(con, sup);
    sync(fx.core.add(con));
    expect(fx.core.deferred.text()).toBe('con1\ttb: supplier sup1 not ready\n');
  });

  test('DEF-09: errProbe logs an error, is silent on ENOMEM, keeps the reason of a deferral, and gives the error back', () => {
    const fx = new Fixture();
    const error = (code: 'EIO' | 'ENOMEM' | 'EPROBE_DEFER') => (dev: Device) => {
      const made = new Errno(code, 'd: x');
      const back = dev.errProbe(made, 'no clk0');
      expect(back).toBe(made);
      throw back;
    };
    fx.register('A', 'd', error('EIO'), error('ENOMEM'), error('EPROBE_DEFER'));
    const logs = (name: string): string[] => fx.trace(() => fx.add(name)).filter((t) => t.startsWith('L:'));
    expect(logs('d1')).toEqual(['L:err:err_probe', 'L:err:probe_failed']);
    expect(logs('d2')).toEqual(['L:err:probe_failed']);
    expect(logs('d3')).toEqual([]);
    expect(fx.core.deferred.text()).toBe('d3\tA: no clk0\n');
  });

  test('DEF-10: a probe that binds a child and defers is retried at once, until it succeeds', async () => {
    const fx = new Fixture();
    let round = 0;
    fx.register('K', 'kid');
    const drvA = fx.register('A', 'd', () => {
      if (++round > 3) return;
      const kid = fx.add(`kid${round}`);
      sync(fx.core.remove(kid));
      throw defer();
    });
    const kid = (n: number): string[] => [
      ...ADD(`kid${n}`),
      M(`kid${n}`, 'K'),
      ...BIND(`kid${n}`, 'K'),
      ...GONE(`kid${n}`, ...UNB(`kid${n}`, 'K')),
    ];
    const failed = (n: number): string[] => [
      M('d1', 'K', 0),
      M('d1', 'A'),
      'DC(d1)',
      'N:BIND(d1)',
      ...kid(n),
      P('d1', 'A', DEFER),
      'N:NOT_BOUND(d1)',
      'DX(d1)',
    ];
    const trace = await fx.traceAll(() => fx.add('d1'));
    expect(trace).toEqual([
      ...ADD('d1'),
      ...failed(1),
      ...failed(2),
      ...failed(3),
      M('d1', 'K', 0),
      M('d1', 'A'),
      ...BIND('d1', 'A'),
    ]);
    expect(drvA.probed).toBe(4);
    expect(fx.violations).toEqual([]);
  });

  test('DEF-10: a probe that retriggers itself for ever is reported once and left to the next bind elsewhere', async () => {
    const fx = new Fixture({ skip: ['M', 'N', 'U', 'DC', 'DX', 'L'] });
    fx.register('K', 'kid');
    fx.register('O', 'o');
    const drvA = fx.register('A', 'd', () => {
      sync(fx.core.remove(fx.add('kid')));
      throw defer('never');
    });
    const d1 = fx.add('d1');
    await fx.core.settle();
    expect(drvA.probed).toBe(1000);
    expect(fx.violations).toEqual(['deferral-loop']);
    expect(fx.core.deferred.text()).toBe('d1\tA: never\n');
    fx.add('o1');
    await fx.core.settle();
    expect(drvA.probed).toBe(1001);
    expect(fx.violations).toEqual(['deferral-loop']);
    drvA.script[0] = 0;
    fx.core.trigger();
    expect(d1.bound).toBe(true);
    expect(fx.deferred()).toEqual([]);
  });
});
