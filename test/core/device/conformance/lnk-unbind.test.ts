import { describe, expect, test } from 'vitest';
import { DL_SYNC_STATE_ONLY, type Device } from '../../../../core/device/index.js';
import { ADD, BIND, DEFER, Fixture, P, UNB, errno, gate, sync } from './fixture.js';
import { Links, linked } from './links.js';

/** A consumer whose probe waits for `hold`. */
async function consumerProbing() {
  const hold = gate();
  const fx = new Links({ con: [() => hold.wait] });
  fx.condrv.probeType = 'prefer-asynchronous';
  const sup = fx.add('sup1');
  const con = fx.device('con1');
  const link = fx.link(con, sup);
  sync(fx.core.add(con));
  await Promise.resolve();
  return { hold, fx, sup, con, link };
}

describe('unbinding with consumers', () => {
  /** n1 <- n2 <- n3, all bound by one driver. */
  function chain(): Fixture & { n: Device[] } {
    const fx = new Fixture({ skip: ['M'] });
    fx.register('N', 'n');
    const n = [fx.add('n1')];
    for (const name of ['n2', 'n3']) {
      const dev = fx.device(name);
      fx.core.link(dev, n.at(-1)!);
      sync(fx.core.add(dev));
      n.push(dev);
    }
    return Object.assign(fx, { n });
  }

  test('LNK-21: a chain is unbound from its end, and comes back link by link', async () => {
    const fx = chain();
    const [n1, n2, n3] = fx.n as [Device, Device, Device];
    expect(fx.trace(() => fx.core.unbind(n1))).toEqual([...UNB('n3', 'N'), ...UNB('n2', 'N'), ...UNB('n1', 'N')]);
    expect(fx.core.attach(n1)).toBe(true);
    expect(errno(() => fx.core.attach(n3))).toBe(DEFER);
    expect(fx.core.deferred.text()).toBe('n3\ttb: supplier n2 not ready\n');
    expect(await fx.traceAll(() => fx.core.attach(n2))).toEqual([...BIND('n2', 'N'), ...BIND('n3', 'N')]);
  });

  test('LNK-22: two consumers are unbound in the order of their links', () => {
    const fx = new Fixture({ skip: ['M'] });
    fx.register('N', 'n');
    const n1 = fx.add('n1');
    for (const name of ['n2', 'n3']) fx.core.link(fx.add(name), n1);
    expect(fx.trace(() => fx.core.unbind(n1))).toEqual([...UNB('n2', 'N'), ...UNB('n3', 'N'), ...UNB('n1', 'N')]);
  });

  test('LNK-23: a driver leaves a chain newest binding first', () => {
    const fx = chain();
    const driver = fx.tb.findDriver('N')!;
    expect(fx.trace(() => fx.core.unregisterDriver(fx.tb, driver))).toEqual([
      ...UNB('n3', 'N'),
      ...UNB('n2', 'N'),
      ...UNB('n1', 'N'),
    ]);
  });

  test('LNK-25: unbinding a supplier waits for the probe of a consumer, and then unbinds it', async () => {
    const { hold, fx, sup, con, link } = await consumerProbing();
    expect(link.state).toBe('consumer-probe');
    fx.take();
    const done = fx.core.unbind(sup);
    expect(fx.take()).toEqual([]);
    hold.open();
    await done;
    await fx.core.settle();
    expect(fx.take()).toEqual([
      P('con1', 'condrv'),
      'N:BOUND(con1)',
      'U:bind(con1)',
      ...UNB('con1', 'condrv'),
      ...UNB('sup1', 'supdrv'),
    ]);
    expect([link.state, sup.busy, con.busy]).toEqual(['dormant', false, false]);
  });

  test('LNK-25: the probe of the consumer fails, and the supplier is unbound all the same', async () => {
    const { hold, fx, sup, con, link } = await consumerProbing();
    const done = fx.core.unbind(sup);
    hold.fail(new Error('no'));
    await done;
    expect([sup.bound, con.bound, link.state, sup.busy, con.busy]).toEqual([false, false, 'dormant', false, false]);
  });

  test('a supplier locked by somebody else while its consumers go is unbound once, by whoever comes first', async () => {
    const hold = gate();
    const fx = new Links();
    const { sup, con } = fx.bound();
    fx.condrv.onRemove = () => hold.wait;
    fx.take();
    const both = [fx.core.unbind(sup), fx.core.unbind(sup), fx.core.unbind(con)];
    hold.open();
    for (const op of both) await op;
    expect(fx.take()).toEqual([...UNB('con1', 'condrv'), ...UNB('sup1', 'supdrv')]);
    expect([sup.busy, con.busy, sup.linkStatus]).toEqual([false, false, 'no-driver']);
    expect(fx.core.attach(sup)).toBe(true);
  });

  test('while its consumers go, a supplier takes no new one', async () => {
    const hold = gate();
    const fx = new Links();
    const { sup } = fx.bound();
    fx.condrv.onRemove = () => hold.wait;
    const done = fx.core.unbind(sup);
    const late = fx.device('con2');
    expect(fx.link(late, sup).state).toBe('supplier-unbind');
    sync(fx.core.add(late));
    expect([late.bound, fx.deferred()]).toEqual([false, ['con2']]);
    hold.open();
    await done;
    expect(sup.bound).toBe(false);
  });

  for (const [what, op] of [
    ['unbind', (fx: Links, sup: Device) => fx.core.unbind(sup)],
    ['removal', (fx: Links, sup: Device) => fx.core.remove(sup)],
  ] as const) {
    test(`${what} of the supplier from inside the consumer's probe is refused, and changes nothing`, () => {
      let result: unknown;
      const fx: Links = new Links({
        con: [
          () => {
            result = errno(() => op(fx, sup));
          },
        ],
      });
      const sup = fx.add('sup1');
      const con = fx.device('con1');
      const link = fx.link(con, sup);
      const trace = fx.trace(() => fx.core.add(con));
      expect(result).toBe('-EDEADLK');
      expect(trace).toEqual([...ADD('con1'), ...BIND('con1', 'condrv')]);
      expect([link.state, sup.linkStatus, sup.busy, sup.registered, sup.dead]).toEqual([
        'active',
        'driver-bound',
        false,
        true,
        false,
      ]);
      expect(fx.trace(() => fx.core.unbind(sup))).toEqual([...UNB('con1', 'condrv'), ...UNB('sup1', 'supdrv')]);
    });

    test(`${what} of the supplier from inside the consumer's remove is refused, whoever unbinds`, () => {
      const results: unknown[] = [];
      const fx = new Links();
      const { sup, con } = fx.bound();
      fx.condrv.onRemove = () => {
        results.push(errno(() => op(fx, sup)));
      };
      expect(fx.trace(() => fx.core.unbind(con))).toEqual(UNB('con1', 'condrv'));
      expect([sup.bound, sup.dead, sup.busy]).toEqual([true, false, false]);
      sync(fx.core.attach(con));
      expect(fx.trace(() => fx.core.unbind(sup))).toEqual([...UNB('con1', 'condrv'), ...UNB('sup1', 'supdrv')]);
      expect(results).toEqual(['-EDEADLK', '-EDEADLK']);
    });
  }

  test('a consumer with a sync-state-only link does not hold its supplier back', async () => {
    const hold = gate();
    const fx = new Links({ con: [() => hold.wait] });
    fx.condrv.probeType = 'prefer-asynchronous';
    const sup = fx.add('sup1');
    const con = fx.device('con1');
    fx.link(con, sup, DL_SYNC_STATE_ONLY);
    sync(fx.core.add(con));
    await Promise.resolve();
    expect(fx.trace(() => fx.core.unbind(sup))).toEqual(UNB('sup1', 'supdrv'));
    hold.open();
    await fx.core.settle();
    expect([con.bound, linked(con)]).toEqual([true, 0]);
  });
});
