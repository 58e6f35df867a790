import { describe, expect, test } from 'vitest';
import { Bus } from '../../../../core/device/index.js';
import { Errno, defer } from '../../../../core/lib/errno.js';
import {
  FAIL,
  Fixture,
  M,
  P,
  type TestDriver,
  UNB,
  asyncDriver,
  asyncProbing,
  errno,
  errnoLater,
  gate,
  probing,
  sync,
  turns,
} from './fixture.js';

describe('overlapping operations on one device', () => {
  test('ASY-14: a second asynchronous driver passes a device by whose slot is taken, and is not tried again', async () => {
    const fx = new Fixture();
    const d1 = fx.add('d1');
    const all = await fx.traceAll(() => {
      sync(fx.core.registerDriver(fx.tb, asyncDriver(fx, 'asyncA', 'd', 'EIO')));
      sync(fx.core.registerDriver(fx.tb, asyncDriver(fx, 'asyncB', 'd')));
    });
    expect(all).toEqual([M('d1', 'asyncA'), M('d1', 'asyncB'), ...FAIL('d1', 'asyncA', '-EIO')]);
    expect(errno(() => fx.core.attach(d1))).toBe(true);
    expect(d1.driver?.name).toBe('asyncB');
  });

  test('registering a second driver waits in its scan for the device that is being probed', async () => {
    const { fx, d1, hold, added } = probing();
    const other = fx.core.registerDriver(fx.tb, fx.driver('B', 'd'));
    await turns();
    expect(fx.take()).toEqual([M('d1', 'B')]);
    hold.fail(new Errno('EIO', 'no'));
    await added;
    await other;
    expect(d1.driver?.name).toBe('B');
  });

  test('the same for a driver that probes asynchronously', async () => {
    const { fx, d1, hold, added } = probing();
    const other = fx.core.registerDriver(fx.tb, asyncDriver(fx, 'B', 'd'));
    hold.fail(new Errno('ENODEV', 'not mine'));
    await added;
    await other;
    await fx.core.settle();
    expect(d1.driver?.name).toBe('B');
  });

  test('an unbind waits for the probe and undoes it', async () => {
    const { fx, a, hold, added } = probing();
    const write = fx.core.unbind(fx.tb.find('d1')!, a);
    hold.open();
    await added;
    await write;
    expect(fx.take()).toEqual([P('d1', 'A'), 'N:BOUND(d1)', 'U:bind(d1)', ...UNB('d1', 'A')]);
  });

  test('a bind by hand that waits for a probe finds the device bound', async () => {
    const { fx, a, d1, hold, added } = probing();
    const bound = errnoLater(() => fx.core.bind(d1, a));
    const attached = fx.core.attach(d1);
    hold.open();
    await added;
    expect([await bound, await attached]).toEqual(['-EBUSY', true]);
    expect(fx.take().filter((t) => t.startsWith('P('))).toEqual([P('d1', 'A')]);
  });

  test('ASY-20: on a bus with needParentLock a probe waits for who holds the lock of the parent', async () => {
    const { fx, d1, hold, added } = probing();
    const bus = new Bus('usb', { needParentLock: true });
    fx.core.registerBus(bus);
    const kid = fx.bare('kid', { bus, parent: d1 });
    sync(fx.core.add(kid));
    const registered = fx.core.registerDriver(bus, fx.driver('K', 'kid'));
    await turns();
    expect(kid.bound).toBe(false);
    hold.open();
    await added;
    await registered;
    expect([kid.bound, d1.busy, kid.busy]).toEqual([true, false, false]);
  });

  test('ASY-21: the unbind of a supplier waits for the probe of its consumer, and unbinds it first', async () => {
    const fx = new Fixture();
    const hold = gate();
    fx.register('S', 's');
    fx.register('C', 'c', () => hold.wait);
    const s1 = fx.add('s1');
    const c1 = fx.device('c1');
    expect(fx.core.link(c1, s1)).toBeDefined();
    const added = fx.core.add(c1);
    fx.take();
    const unbound = fx.core.unbind(s1);
    hold.open();
    await added;
    await unbound;
    expect(fx.take()).toEqual([P('c1', 'C'), 'N:BOUND(c1)', 'U:bind(c1)', ...UNB('c1', 'C'), ...UNB('s1', 'S')]);
  });

  test('while a supplier waits for its consumer, another operation may use the supplier, and the unbind goes on after it', async () => {
    const fx = new Fixture();
    const [hold, slow] = [gate(), gate()];
    fx.register('S', 's');
    const c = fx.register('C', 'c');
    const s1 = fx.add('s1');
    const c1 = fx.device('c1');
    fx.core.link(c1, s1);
    sync(fx.core.add(c1));
    c.onRemove = () => hold.wait;
    const unbound = fx.core.unbind(s1);
    const s = fx.tb.findDriver('S') as TestDriver;
    s.onRemove = () => slow.wait;
    const second = fx.core.unbind(s1);
    hold.open();
    slow.open();
    await unbound;
    await second;
    expect([s1.driver, s1.busy, c1.driver, c1.busy]).toEqual([undefined, false, undefined, false]);
    expect(fx.take().filter((t) => t === 'R(s1,S)')).toHaveLength(1);
  });

  test('ASY-22: a trigger that comes while a probe runs is not lost when that probe defers', async () => {
    const { fx, d1, hold } = await asyncProbing(0);
    sync(fx.core.registerDriver(fx.nb, fx.driver('O', '')));
    sync(fx.core.add(fx.device('o1', { bus: fx.nb })));
    hold.fail(defer());
    await fx.core.settle();
    expect([d1.bound, fx.deferred()]).toEqual([true, []]);
  });

  test('ASY-29: operations on one device are done in the order they came', async () => {
    const { fx, a, d1, hold, added } = probing();
    const order: string[] = [];
    const note = (what: string) => () => void order.push(what);
    const all = [
      Promise.resolve(fx.core.unbind(d1)).then(note('unbind')),
      Promise.resolve(fx.core.attach(d1)).then(note('attach')),
      Promise.resolve(fx.core.unbind(d1, a)).then(note('unbind again')),
      Promise.resolve(fx.core.remove(d1)).then(note('remove')),
    ];
    hold.open();
    await added;
    await Promise.all(all);
    expect(order).toEqual(['unbind', 'attach', 'unbind again', 'remove']);
    expect(fx.take().filter((t) => /^[PR]\(/.test(t))).toEqual([P('d1', 'A'), 'R(d1,A)', P('d1', 'A'), 'R(d1,A)']);
  });

  test('ASY-30: a probe that waits keeps a second probe of its device out, and not one of another device', async () => {
    const { fx, d1, hold, added } = probing();
    const attached = fx.core.attach(d1);
    const d2 = fx.add('d2');
    expect([d2.bound, d1.bound]).toEqual([true, false]);
    await turns();
    expect(fx.take().filter((t) => t === P('d1', 'A'))).toEqual([]);
    hold.open();
    await added;
    expect(await attached).toBe(true);
  });
});
