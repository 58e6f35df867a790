import { type Device, type Devres, DevresEntry, Errno } from 'backplane';
import { describe, expect, test } from 'vitest';
import { Fixture, GONE, code, driver } from './fixture.js';

function ledger(): { fx: Fixture; r1: Device; devres: Devres; log: string[]; act: (x: string) => ReturnType<Devres['defer']> } {
  const fx = new Fixture();
  const r1 = fx.add('r1');
  const log: string[] = [];
  return { fx, r1, devres: r1.devres, log, act: (x) => r1.devres.defer(x, () => void log.push(x)) };
}

describe('managed resources', () => {
  test('RES-01: release_all runs last first and counts', async () => {
    const { devres, log, act } = ledger();
    for (const x of ['A', 'B', 'C']) act(x);
    expect(await devres.releaseAll()).toBe(3);
    expect(log).toEqual(['C', 'B', 'A']);
    expect(await devres.releaseAll()).toBe(0);
  });

  test('RES-06: groups nest: releasing the outer takes the inner along', async () => {
    const { devres, log, act } = ledger();
    act('A');
    const outer = devres.group('outer');
    act('B');
    const inner = devres.group('inner');
    act('C');
    inner.close();
    act('D');
    outer.close();
    act('E');
    expect(await outer.release()).toBe(3);
    expect(log).toEqual(['D', 'C', 'B']);
    expect(inner.live).toBe(false);
    expect(await devres.releaseAll()).toBe(2);
  });

  test('RES-07: releasing the inner group leaves the outer', async () => {
    const { devres, log, act } = ledger();
    const outer = devres.group('outer');
    act('A');
    const inner = devres.group('inner');
    act('B');
    inner.close();
    act('C');
    outer.close();
    expect(await inner.release()).toBe(1);
    expect(await outer.release()).toBe(2);
    expect(log).toEqual(['B', 'C', 'A']);
  });

  test('RES-09: an empty group is released with 0, and its marks do not count', async () => {
    const { devres, act } = ledger();
    act('A');
    const empty = devres.group('g');
    empty.close();
    expect(await empty.release()).toBe(0);
    expect([devres.size, await devres.releaseAll()]).toEqual([1, 1]);
  });

  test('RES-13: a group that is gone cannot be closed or kept; that is reported', async () => {
    const { fx, devres, act } = ledger();
    act('A');
    const g = devres.group('g');
    g.keep();
    expect(await code(() => g.close())).toBe('EINVAL');
    expect(await code(() => g.keep())).toBe('EINVAL');
    expect(await code(() => g.release())).toBe('EINVAL');
    expect(fx.violations).toEqual(['unknown-group', 'unknown-group', 'unknown-group']);
  });

  test('RES-19: an early release leaves the ledger; a second is reported and does nothing', async () => {
    const { fx, devres, log, act } = ledger();
    act('A');
    const b = act('B');
    act('C');
    await b.release();
    expect([b.held, devres.size]).toEqual([false, 2]);
    expect(await code(() => b.release())).toBe('EINVAL');
    expect(fx.violations).toEqual(['double-release']);
    await devres.releaseAll();
    expect(log).toEqual(['B', 'C', 'A']);
  });

  test('RES-20: forget hands the resource to the caller', async () => {
    const { devres, log, act } = ledger();
    const a = act('A');
    act('B');
    expect([a.forget(), a.forget()]).toEqual([true, false]);
    await devres.releaseAll();
    expect(log).toEqual(['B']);
  });

  test('RES-24: an unregister releases what an unbound device still has, after DEL and before REMOVED', () => {
    const { fx, r1, log, act } = ledger();
    act('A');
    fx.tb.notifier.on((event) => void log.push(event));
    fx.take();
    void fx.core.remove(r1);
    expect(fx.take()).toEqual(GONE('r1'));
    expect(log).toEqual(['DEL', 'A', 'REMOVED']);
  });

  test('RES-30: the fault point: what cannot be recorded is undone at once', async () => {
    const { fx, devres, log } = ledger();
    fx.core.devresHooks = {
      acquiring: (_ledger, label) => {
        throw new Errno('ENOMEM', `${label}: injected`);
      },
    };
    expect(await code(() => devres.defer('A', () => void log.push('A')))).toBe('ENOMEM');
    expect(
      await code(() =>
        devres.acquire(
          'B',
          () => log.push('get B'),
          () => void log.push('B'),
        ),
      ),
    ).toBe('ENOMEM');
    expect([log, devres.size]).toEqual([['A'], 0]);
  });

  test('a disposed handle or group releases; a kept group does not', async () => {
    const { devres, log, act } = ledger();
    {
      using _a = act('A');
      using g = devres.group('g');
      act('B');
      g.close();
    }
    expect(log).toEqual(['B', 'A']);
    {
      using g = devres.group('g');
      act('C');
      g.keep();
    }
    expect([log, devres.size]).toEqual([['B', 'A'], 1]);
    await devres.releaseAll();
  });

  test('an asynchronous release is awaited before the next', async () => {
    const { devres, log } = ledger();
    devres.defer('A', () => void log.push('A'));
    devres.defer('B', async () => {
      log.push('B begins');
      await Promise.resolve();
      log.push('B ends');
    });
    await devres.releaseAll();
    expect(log).toEqual(['B begins', 'B ends', 'A']);
  });

  test('all releases run and all errors are kept', async () => {
    const { devres, log, act } = ledger();
    act('A');
    for (const x of ['x', 'y'])
      devres.defer(x, () => {
        throw new Errno('EIO', x);
      });
    const error = await Promise.resolve()
      .then(() => devres.releaseAll())
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(AggregateError);
    expect((error as AggregateError).errors.map((e) => (e as Errno).text)).toEqual(['y', 'x']);
    expect(log).toEqual(['A']);
  });

  test('what is acquired while everything is released is swept by the unbind', () => {
    const fx = new Fixture();
    const log: string[] = [];
    fx.reg(
      driver('A', 'd', {
        body: (dev) => void dev.devres.defer('X', () => void dev.devres.defer('late', () => void log.push('late'))),
      }),
    );
    const d1 = fx.add('d1');
    void fx.core.unbind(d1);
    expect([log, d1.devres.size]).toEqual([['late'], 0]);
  });

  test('a managed resource of an unbound device is warned about and blocks its next probe with its label', async () => {
    const { fx, r1, act } = ledger();
    fx.take();
    act('outside');
    expect(fx.take()).toEqual(['L:warn:acquired_unbound']);
    fx.reg(driver('A', 'r'));
    expect(r1.bound).toBe(false);
    const error = await Promise.resolve()
      .then(() => fx.core.attach(r1))
      .catch((e: unknown) => e as Errno);
    expect([(error as Errno).code, (error as Errno).message]).toEqual(['EBUSY', expect.stringContaining('outside')]);
  });

  test('KU-34: add 1, 2, 1, 2; remove a 1; release a 2: the rest runs 2, 1', async () => {
    const { devres, log } = ledger();
    const one = (): void => void log.push('1');
    const two = (): void => void log.push('2');
    for (const fn of [one, two, one, two]) devres.defer('x', fn);
    expect(devres.remove(devres.find(one)!)).toBe(true);
    await devres.releaseEntry(devres.find(two)!);
    expect(log.splice(0)).toEqual(['2']);
    await devres.releaseAll();
    expect(log).toEqual(['2', '1']);
  });

  test('entries can be made and added by hand, once', async () => {
    const { fx, devres, log } = ledger();
    const entry = new DevresEntry('e', () => void log.push('e'), 7);
    devres.add(entry);
    expect(await code(() => devres.add(entry))).toBe('EEXIST');
    expect(fx.violations).toEqual(['devres-added-twice']);
    await devres.releaseAll();
    expect(log).toEqual(['e']);
  });
});
