import { describe, expect, test } from 'vitest';
import { type Attribute, Bus, type Driver } from '../../../../core/device/index.js';
import { ADD, BIND, Fixture, M, P, UNB, errno, errnoLater, gate, sync } from './fixture.js';

/* What the scenarios of modules say of drivers; loading and unloading itself is tested with core/plugin. */
describe('the life of a driver', () => {
  test('MOD-02: its exit unbinds all devices, newest binding first, before anything else of it goes', () => {
    const fx = new Fixture();
    const a = fx.register('A', 'd');
    const [d1] = [fx.add('d1'), fx.add('d2')];
    sync(fx.core.unbind(d1));
    sync(fx.core.attach(d1));
    expect(fx.trace(() => fx.core.unregisterDriver(fx.tb, a))).toEqual([...UNB('d1', 'A'), ...UNB('d2', 'A')]);
    expect(fx.tb.findDriver('A')).toBeUndefined();
  });

  test('MOD-02: the exit waits for all jobs of the driver', async () => {
    const fx = new Fixture();
    const hold = gate();
    const a = fx.driver('A', 'd', () => hold.wait);
    a.probeType = 'prefer-asynchronous';
    sync(fx.core.registerDriver(fx.tb, a));
    const d1 = fx.add('d1');
    await Promise.resolve();
    let done = false;
    const exit = Promise.resolve(fx.core.unregisterDriver(fx.tb, a)).then(() => (done = true));
    await Promise.resolve();
    expect([done, d1.busy]).toEqual([false, true]);
    hold.open();
    await exit;
    expect([fx.core.idle, d1.bound]).toEqual([true, false]);
  });

  test('MOD-06: a registration that fails in the end unbinds what it bound and gives its error', () => {
    const fx = new Fixture();
    fx.add('d1');
    const a = fx.driver('A', 'd');
    a.groups = [{ attributes: [{ name: 'uevent' }] }];
    fx.take();
    expect(errno(() => fx.core.registerDriver(fx.tb, a))).toBe('-EEXIST');
    expect(fx.take()).toEqual([M('d1', 'A'), ...BIND('d1', 'A'), ...UNB('d1', 'A')]);
  });

  test('MOD-07: when its devices are unbound its files are gone and no device finds it', () => {
    const fx = new Fixture();
    const own: Attribute<Driver> = { name: 'own', show: () => '1\n' };
    const a = fx.driver('A', 'd');
    a.groups = [{ attributes: [own] }];
    sync(fx.core.registerDriver(fx.tb, a));
    fx.add('d1');
    const file = fx.files(a).open('own', 'r');
    const seen: unknown[] = [];
    a.onRemove = () => {
      seen.push(
        errno(() => file.read()),
        fx.tb.drivers,
        fx.files(a).paths(),
      );
      fx.add('d9');
    };
    expect(fx.trace(() => fx.core.unregisterDriver(fx.tb, a))).toEqual([
      'N:UNBIND(d1)',
      'R(d1,A)',
      ...ADD('d9'),
      'DX(d1)',
      'N:UNBOUND(d1)',
      'U:unbind(d1)',
    ]);
    expect(seen).toEqual(['-ENODEV', [], []]);
  });

  test('the name of a driver that is being unregistered is taken until it is gone', async () => {
    const fx = new Fixture();
    const hold = gate();
    const a = fx.register('A', 'd');
    a.onRemove = () => hold.wait;
    fx.add('d1');
    const exit = fx.core.unregisterDriver(fx.tb, a);
    expect(errno(() => fx.core.registerDriver(fx.tb, fx.driver('A', 'd')))).toBe('-EBUSY');
    expect(await errnoLater(() => fx.core.unregisterDriver(fx.tb, a))).toBe('-EINVAL');
    hold.open();
    await exit;
    expect(fx.register('A', 'x').name).toBe('A');
  });

  test('one driver object serves two buses, each with devices of its own', () => {
    const fx = new Fixture({ skip: ['M'] });
    const a = fx.driver('A', '');
    sync(fx.core.registerDriver(fx.tb, a));
    sync(fx.core.registerDriver(fx.nb, a));
    const d1 = fx.add('d1');
    const n1 = fx.add('n1', { bus: fx.nb });
    expect([fx.tb.devicesOf(a), fx.nb.devicesOf(a)]).toEqual([[d1], [n1]]);
    expect(fx.trace(() => fx.core.unregisterDriver(fx.nb, a))).toEqual(['R(n1,A)']);
    expect(d1.bound).toBe(true);
  });

  test('attributes of a bus that clash with those of its drivers are an error of the log alone', () => {
    const fx = new Fixture();
    const bus = new Bus('gb', { drvGroups: [{ attributes: [{ name: 'bind' }] }] });
    fx.core.registerBus(bus);
    const a = fx.driver('A', 'd');
    expect(fx.trace(() => fx.core.registerDriver(bus, a))).toEqual(['L:err:groups']);
    expect(fx.trace(() => fx.core.add(fx.bare('d1', { bus })))).toContain(P('d1', 'A'));
  });

  test('a driver without name is refused with EINVAL', () => {
    const fx = new Fixture();
    expect(errno(() => fx.core.registerDriver(fx.tb, fx.driver('', 'd')))).toBe('-EINVAL');
  });
});
