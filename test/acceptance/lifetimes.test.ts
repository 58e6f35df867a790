import type { Device } from 'backplane';
import { describe, expect, test } from 'vitest';
import { ADD, BIND, Fixture, GONE, UNB, code, driver, gate, turns } from './fixture.js';

describe('removal while something runs', () => {
  test('ASY-09: removal waits for the probe, and unbinds what it bound', async () => {
    const fx = new Fixture();
    const g = gate();
    fx.reg(driver('A', 'd', { probe: () => g.promise }));
    const d1 = fx.dev('d1');
    const added = fx.core.add(d1);
    const removed = fx.core.remove(d1);
    await turns();
    expect([d1.dead, fx.take()]).toEqual([false, [...ADD('d1'), 'M(d1,A)=1', 'DC(d1)', 'N:BIND(d1)']]);
    g.open();
    await added;
    await removed;
    expect(fx.take()).toEqual(['P(d1,A)=0', 'N:BOUND(d1)', 'U:bind(d1)', ...GONE('d1', ...UNB('d1', 'A'))]);
  });

  test('removal of a parent while a child is being added: the child is not lost', async () => {
    const fx = new Fixture();
    const g = gate();
    const par = fx.add('par');
    fx.reg(driver('K', 'kid', { probe: () => g.promise }));
    const kid = fx.dev('kid', { parent: par });
    const added = fx.core.add(kid);
    await fx.core.remove(par);
    g.open();
    await added;
    expect([kid.registered, kid.bound, par.phase]).toEqual([true, true, 'removed']);
    await fx.core.remove(kid);
    expect(par.phase).toBe('released');
  });

  test('a child that its own remover takes while the parent is being unbound goes once', async () => {
    const fx = new Fixture();
    const g = gate();
    const log: string[] = [];
    fx.reg(
      driver('K', 'kid', {
        remove: async (dev: Device) => {
          log.push(`remove ${dev.name}`);
          await g.promise;
        },
      }),
    );
    let kid!: Device;
    fx.reg(
      driver('A', 'd', {
        body: (dev) => {
          kid = fx.dev('kid', { parent: dev });
          void fx.core.addChild(dev, kid);
        },
        remove: () => void log.push('remove d1'),
      }),
    );
    const d1 = fx.add('d1');
    const byHand = fx.core.remove(kid);
    const unbound = fx.core.unbind(d1);
    await turns();
    expect(log).toEqual(['remove kid']);
    g.open();
    expect(await code(() => byHand)).toBe('ok');
    expect(await code(() => unbound)).toBe('ok');
    expect(log).toEqual(['remove kid', 'remove d1']);
    expect(fx.violations).toEqual([]);
  });

  test('a child that is removed by hand while it probes, and by the unbind of its parent, goes once', async () => {
    const fx = new Fixture();
    const g = gate();
    fx.reg(driver('K', 'kid', { probe: () => g.promise }));
    let kid!: Device;
    let added: unknown;
    fx.reg(
      driver('A', 'd', {
        body: (dev) => {
          kid = fx.dev('kid', { parent: dev });
          added = fx.core.addChild(dev, kid);
        },
      }),
    );
    const d1 = fx.add('d1');
    const all = [fx.core.remove(kid), fx.core.unbind(d1), added];
    await turns();
    g.open();
    for (const one of all) await one;
    expect([kid.phase, d1.bound, fx.violations]).toEqual(['released', false, []]);
  });

  test('unbinding or removing a parent from a callback of its child is EDEADLK, and all stay as they were', async () => {
    const fx = new Fixture();
    const codes: string[] = [];
    let inside = async (_parent: Device): Promise<void> => {};
    fx.reg(
      driver('K', 'kid', {
        probe: async (dev: Device) => inside(dev.parent!),
        remove: async (dev: Device) => inside(dev.parent!),
      }),
    );
    let kid!: Device;
    fx.reg(
      driver('A', 'd', {
        body: (dev) => {
          kid = fx.dev('kid', { parent: dev });
          void fx.core.addChild(dev, kid);
        },
      }),
    );
    const d1 = fx.add('d1');
    await fx.core.settle();
    inside = async (parent) => {
      codes.push(await code(() => fx.core.unbind(parent)), await code(() => fx.core.remove(parent)));
    };
    await fx.core.reprobe(kid);
    expect(codes.splice(0)).toEqual(['EDEADLK', 'EDEADLK', 'EDEADLK', 'EDEADLK']);
    expect([d1.bound, d1.dead, kid.bound, fx.violations]).toEqual([true, false, true, []]);
    await fx.core.remove(kid);
    expect(codes).toEqual(['EDEADLK', 'EDEADLK']);
    inside = async () => {};
    await fx.core.unbind(d1);
    expect(d1.bound).toBe(false);
  });

  test('two unbinds and a removal at once are one unbind', async () => {
    const fx = new Fixture();
    const g = gate();
    fx.reg(driver('A', 'd', { remove: () => g.promise }));
    const d1 = fx.add('d1');
    fx.take();
    const all = [fx.core.unbind(d1), fx.core.unbind(d1), fx.core.remove(d1)];
    await turns();
    g.open();
    for (const one of all) await one;
    expect(fx.take()).toEqual([...UNB('d1', 'A'), ...GONE('d1')]);
  });

  test('a driver that comes while its predecessor unbinds gets the device', async () => {
    const fx = new Fixture();
    const g = gate();
    const a = fx.reg(driver('A', 'd', { remove: () => g.promise }));
    const d1 = fx.add('d1');
    const gone = fx.core.unregisterDriver(fx.tb, a);
    const came = fx.core.registerDriver(fx.tb, driver('B', 'd'));
    await turns();
    fx.take();
    g.open();
    await Promise.all([gone, came]);
    expect(d1.driver?.name).toBe('B');
    expect(await code(() => fx.core.registerDriver(fx.tb, driver('A', 'd')))).toBe('ok');
  });

  test('a probe given up after its time leaves the device unbound, and blocked until it ends', async () => {
    const fx = new Fixture();
    const g = gate();
    fx.reg(driver('A', 'd', { probe: () => g.promise }));
    const d1 = fx.dev('d1');
    await fx.core.add(d1);
    expect([d1.bound, fx.violations]).toEqual([false, ['hung-callback']]);
    expect(await code(() => fx.core.attach(d1))).toBe('EBUSY');
    expect(await code(() => d1.devres.defer('late', () => {}))).toBe('ENODEV');
    g.open();
    await turns();
    expect(await code(() => fx.core.attach(d1))).toBe('ok');
    expect(d1.bound).toBe(true);
  });

  test('an acquisition that arrives after the end of its binding is given back', async () => {
    const fx = new Fixture();
    const g = gate<string>();
    const log: string[] = [];
    let late!: Promise<unknown>;
    fx.reg(
      driver('A', 'd', {
        body: (dev) => {
          late = Promise.resolve(
            dev.devres.acquire(
              'slow',
              () => g.promise,
              (v) => void log.push(`back ${v}`),
            ),
          );
        },
      }),
    );
    const d1 = fx.add('d1');
    await fx.core.unbind(d1);
    g.open('it');
    expect(await code(() => late)).toBe('ENODEV');
    expect([log, d1.devres.size]).toEqual([['back it'], 0]);
  });
});

test('the fixture itself: BIND is what a plain bind gives', () => {
  const fx = new Fixture();
  fx.reg(driver('A', 'd'));
  fx.add('d1');
  expect(fx.take().slice(3)).toEqual(BIND('d1', 'A'));
});
