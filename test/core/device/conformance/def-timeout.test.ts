import { describe, expect, test } from 'vitest';
import type { Device } from '../../../../core/device/index.js';
import { defer } from '../../../../core/lib/errno.js';
import { DEFER, FAIL, Fixture, M, P, deferredFixture, gate } from './fixture.js';

const warnings = (fx: Fixture, id: string): string[] =>
  fx.core.log
    .records()
    .filter((r) => r.level === 'warn' && r.id === id)
    .map((r) => `${r.who}: ${r.text}`);

describe('initial phase, timeout and order', () => {
  test('DEF-29: the timeout is restarted by drivers, then retries all, warns of what is left, and gives optional suppliers up', () => {
    const fx = new Fixture({ deferredTimeoutUs: 10_000_000 });
    fx.register('A', 'd', () => {
      throw defer('waiting for clk0');
    });
    fx.register('E', 'e', 'EPROBE_DEFER');
    const d1 = fx.add('d1');
    fx.add('e1');
    fx.clock.elapse(6_000_000);
    fx.register('late', 'zz');
    fx.clock.elapse(6_000_000);
    expect(fx.core.deferred.checkState(d1).code).toBe('EPROBE_DEFER');
    expect(warnings(fx, 'deferred_pending')).toEqual([]);
    fx.take();
    fx.clock.elapse(4_000_000);
    expect(fx.take().filter((t) => t.startsWith('P(') || t.startsWith('L:'))).toEqual([
      P('d1', 'A', DEFER),
      P('e1', 'E', DEFER),
      'L:warn:deferred_pending',
      'L:warn:deferred_pending',
    ]);
    expect(warnings(fx, 'deferred_pending')).toEqual([
      'd1: deferred probe pending: A: waiting for clk0',
      'e1: deferred probe pending: (reason unknown)',
    ]);
    expect(fx.core.deferred.timeoutUs).toBe(0);
    expect(fx.core.deferred.checkState(d1).code).toBe('ETIMEDOUT');
    expect(warnings(fx, 'deferred_timeout')).toHaveLength(1);
    expect(fx.deferred()).toEqual(['d1', 'e1']);
    expect(fx.clock.pending).toBe(0);
  });

  test('DEF-30: deferral works after the timeout', () => {
    const fx = new Fixture({ deferredTimeoutUs: 10 });
    fx.clock.elapse(10);
    fx.register('A', 'd', 'EPROBE_DEFER', 0);
    const d1 = fx.add('d1');
    expect(fx.deferred()).toEqual(['d1']);
    fx.core.trigger();
    expect(d1.bound).toBe(true);
  });

  test('DEF-31: what an optional supplier comes to', () => {
    const codeOf = (options: { modules?: boolean; deferredTimeoutUs?: number; initialPhase?: boolean }, end = false): string => {
      const fx = new Fixture(options);
      if (end) fx.core.endInitialPhase();
      return fx.core.deferred.checkState(fx.add('d1')).code;
    };
    expect(codeOf({ modules: false })).toBe('ENODEV');
    expect(codeOf({ deferredTimeoutUs: 0 })).toBe('ETIMEDOUT');
    expect(codeOf({})).toBe('EPROBE_DEFER');
    expect(codeOf({ modules: false, initialPhase: true })).toBe('EPROBE_DEFER');
    expect(codeOf({ modules: false, initialPhase: true }, true)).toBe('ENODEV');
    expect(codeOf({ deferredTimeoutUs: 0, initialPhase: true })).toBe('EPROBE_DEFER');
    expect(codeOf({ deferredTimeoutUs: 0, initialPhase: true }, true)).toBe('ETIMEDOUT');
  });

  test('DEF-32: a retried device is moved behind the others in the order of sleep and shutdown', () => {
    const fx = new Fixture();
    let ready = false;
    fx.register('Q', 'q', () => {
      if (!ready) throw defer();
    });
    fx.register('Pp', 'p', () => {
      ready = true;
    });
    fx.add('q1');
    fx.add('p1');
    expect([...fx.core.order].map((d) => d.name)).toEqual(['p1', 'q1']);
  });

  test('DEF-33: the reason is cleared before each retry', () => {
    const fx = deferredFixture(
      () => {
        expect(fx.d1.deferredReason).toBeUndefined();
        throw defer('second');
      },
      (dev: Device) => {
        expect(dev.deferredReason).toBeUndefined();
        throw defer();
      },
    );
    fx.core.trigger();
    expect(fx.core.deferred.text()).toBe('d1\tA: second\n');
    fx.core.trigger();
    expect(fx.core.deferred.text()).toBe('d1\t\n');
  });

  test('DEF-35: triggers before the end of the initial phase do nothing; at its end everything is retried, twice', async () => {
    const fx = new Fixture({ initialPhase: true });
    const drvA = fx.register('A', 'd', 'EPROBE_DEFER');
    fx.register('O', 'o');
    fx.add('d1');
    fx.add('o1');
    fx.core.trigger();
    await fx.core.settle();
    expect(drvA.probed).toBe(1);
    const retry = [M('d1', 'A'), ...FAIL('d1', 'A', DEFER), M('d1', 'O', 0)];
    expect(await fx.traceAll(() => fx.core.endInitialPhase())).toEqual([...retry, ...retry]);
    expect(fx.deferred()).toEqual(['d1']);
    expect(await fx.traceAll(() => fx.core.endInitialPhase())).toEqual([]);
  });

  test('DEF-35: no timeout runs during the initial phase; its end starts it', () => {
    const fx = new Fixture({ initialPhase: true, deferredTimeoutUs: 100 });
    fx.register('A', 'd', 'EPROBE_DEFER');
    fx.add('d1');
    fx.clock.elapse(1000);
    expect(warnings(fx, 'deferred_pending')).toEqual([]);
    fx.core.endInitialPhase();
    fx.clock.elapse(99);
    expect(warnings(fx, 'deferred_pending')).toEqual([]);
    fx.clock.elapse(1);
    expect(warnings(fx, 'deferred_pending')).toHaveLength(1);
  });

  test('a retry that waits holds back the ones behind it, and settle waits for them all', async () => {
    const fx = new Fixture({ skip: ['M', 'N', 'U', 'DC', 'DX'] });
    const hold = gate();
    const drvA = fx.register('A', 'd', 'EPROBE_DEFER', 'EPROBE_DEFER', () => hold.wait, 0);
    fx.add('d1');
    fx.add('d2');
    fx.take();
    fx.core.trigger();
    await Promise.resolve();
    expect(drvA.probed).toBe(3);
    expect(fx.core.idle).toBe(false);
    hold.open();
    await fx.core.settle();
    expect(fx.take()).toEqual([P('d1', 'A'), P('d2', 'A')]);
  });
});
