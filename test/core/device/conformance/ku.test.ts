import { describe, expect, test } from 'vitest';
import type { Device } from '../../../../core/device/index.js';
import { BIND, Fixture, UNB, errno, sync } from './fixture.js';

/** A device without bus and driver, with an action on its ledger. */
function unbound(fx: Fixture): Device {
  const dev = fx.bare('test');
  sync(fx.core.add(dev));
  fx.act(dev, 'x');
  return dev;
}

describe('root-device-devm', () => {
  test('KU-01: the actions of a device that never had a driver run when it is removed', () => {
    const fx = new Fixture();
    const dev = unbound(fx);
    expect(fx.trace(() => fx.core.remove(dev))).toEqual(['dm(x)', 'REL(test)']);
  });

  test('KU-02: they run although a reference is held, and may give it up', () => {
    const fx = new Fixture();
    const dev = unbound(fx).get();
    fx.act(dev, 'put', () => dev.put());
    expect(fx.trace(() => fx.core.remove(dev))).toEqual(['dm(put)', 'dm(x)', 'REL(test)']);
  });
});

describe('device parts of the KUnit self-tests', () => {
  test('KU-21: a driver survives its device and serves the next one', () => {
    const fx = new Fixture({ skip: ['M'] });
    const driver = fx.register('test', 't', (dev: Device) => void fx.act(dev, 'x'));
    for (const name of ['t1', 't2']) {
      const dev = fx.add(name);
      expect(dev.bound).toBe(true);
      expect(fx.trace(() => fx.core.remove(dev))).toEqual([
        `N:DEL(${name})`,
        ...UNB(name, 'test', 'x'),
        `N:REMOVED(${name})`,
        `U:remove(${name})`,
        `REL(${name})`,
      ]);
    }
    expect(driver.probed).toBe(2);
  });

  test('KU-23: a device is added once; the second time is refused and does no harm', () => {
    const fx = new Fixture();
    const dev = fx.add('t1');
    expect(errno(() => fx.core.add(dev))).toBe('-EINVAL');
    expect([dev.registered, dev.refs, fx.violations]).toEqual([true, 1, ['added-twice']]);
  });
});

describe('kunit resource', () => {
  test('KU-26, 28, 29: resources go at clean-up; one taken out stays, one released goes at once, each only once', () => {
    const fx = new Fixture();
    const dev = fx.bare('test');
    fx.act(dev, 'kept');
    const taken = fx.act(dev, 'taken');
    const destroyed = fx.act(dev, 'destroyed');
    expect([taken.forget(), taken.forget()]).toEqual([true, false]);
    expect(fx.trace(() => destroyed.release())).toEqual(['dm(destroyed)']);
    expect(fx.trace(() => dev.devres.releaseAll())).toEqual(['dm(kept)']);
    expect(fx.trace(() => dev.devres.releaseAll())).toEqual([]);
  });

  test('KU-27: of nested acquisitions the one that was complete first is released last', () => {
    const fx = new Fixture();
    const { devres } = fx.bare('test');
    const note = (what: string) => (): void => void fx.tokens.push(what);
    devres.acquire('outer', () => devres.acquire('inner', () => 1, note('inner')), note('outer'));
    expect(fx.trace(() => devres.releaseAll())).toEqual(['outer', 'inner']);
  });

  test('KU-31 to 34: an action may be added several times; one instance is taken out, one run early, the rest run in reverse', () => {
    const fx = new Fixture();
    const { devres } = fx.bare('test');
    const action = (n: number): void => void fx.tokens.push(`${n}`);
    for (const n of [1, 2, 1, 2]) devres.adopt(`action ${n}`, n, action);
    const find = (n: number) => devres.find(action, (arg) => arg === n)!;
    expect(devres.remove(find(1))).toBe(true);
    expect(fx.trace(() => devres.releaseEntry(find(2)))).toEqual(['2']);
    expect(fx.trace(() => devres.releaseAll())).toEqual(['2', '1']);
    expect(fx.trace(() => devres.releaseAll())).toEqual([]);
  });
});

describe('selftests', () => {
  test('KU-44: a healthy life logs nothing from error up', () => {
    const fx = new Fixture();
    fx.register('A', 'd', 'EPROBE_DEFER', 0);
    const dev = fx.add('d1');
    fx.core.trigger();
    sync(fx.core.remove(dev));
    expect(fx.core.log.records().filter((r) => ['emerg', 'alert', 'crit', 'err'].includes(r.level))).toEqual([]);
  });

  test('KU-45: a device is found by name on its bus, with the driver that has it', () => {
    const fx = new Fixture();
    const driver = fx.register('A', 'd');
    const dev = fx.add('d1');
    expect([fx.tb.find('d1'), fx.tb.find('d2'), dev.driver, fx.tb.devicesOf(driver)]).toEqual([dev, undefined, driver, [dev]]);
    expect(dev.path).toBe('/devices/d1');
  });

  test('KU-49: a thousand binds and unbinds leave what one leaves', async () => {
    const fx = new Fixture();
    const driver = fx.register('A', 'd', (dev: Device) => void fx.act(dev, 'x'));
    const sup = fx.add('s1');
    const dev = fx.add('d1');
    fx.core.link(dev, sup, 0x01);
    await fx.core.settle();
    const state = (): unknown => [
      dev.refs,
      sup.refs,
      dev.devres.size,
      dev.suppliers?.length,
      dev.attributes.paths(),
      fx.tb.devicesOf(driver).length,
      fx.clock.pending,
      fx.core.order.size,
    ];
    const before = state();
    const cycle = [...UNB('d1', 'A', 'x'), ...BIND('d1', 'A')];
    for (let i = 0; i < 1000; i++) {
      expect(
        fx
          .trace(() => {
            sync(fx.files(driver).write('unbind', 'd1'));
            sync(fx.files(driver).write('bind', 'd1'));
          })
          .filter((t) => !t.startsWith('M(')),
      ).toEqual(cycle);
    }
    expect(state()).toEqual(before);
  });
});
