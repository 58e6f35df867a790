import { describe, expect, test } from 'vitest';
import {
  DL_AUTOPROBE_CONSUMER,
  DL_AUTOREMOVE_CONSUMER,
  DL_AUTOREMOVE_SUPPLIER,
  DL_INFERRED,
  DL_PM_RUNTIME,
  DL_STATELESS,
  DL_SYNC_STATE_ONLY,
  type Device,
} from '../../../../core/device/index.js';
import { ADD, BIND, GONE, UNB, errno, sync } from './fixture.js';
import { Links, linked, order } from './links.js';

describe('flags and states of links', () => {
  test('LNK-09: a pair has one link: managed requests share it, stateless ones count', () => {
    const fx = new Links();
    const { sup, con, link } = fx.bound();
    expect(fx.core.link(con, sup)).toBe(link);
    expect(link.count).toBe(1);
    expect(fx.core.link(con, sup, DL_STATELESS)).toBe(link);
    expect([link.count, link.flags]).toEqual([2, 0x41]);
    fx.core.deleteLink(link);
    expect([link.count, linked(con), link.state]).toEqual([1, 1, 'active']);
  });

  test('LNK-09: giving back more than was taken is a violation, and the link stays', () => {
    const fx = new Links();
    const { sup, con, link } = fx.bound();
    fx.core.link(con, sup, DL_STATELESS);
    fx.core.deleteLink(link);
    expect(errno(() => fx.core.deleteLink(link))).toBe('-EINVAL');
    expect(fx.violations).toEqual(['managed-link-deleted']);
    expect([link.count, linked(con)]).toEqual([1, 1]);
  });

  test('LNK-10: a stateless link becomes managed by a managed request, with the state its devices are in', () => {
    const fx = new Links();
    const sup = fx.add('sup1');
    const con = fx.add('con1');
    const link = fx.link(con, sup, DL_STATELESS);
    expect(link.state).toBe('none');
    expect(fx.core.link(con, sup)).toBe(link);
    expect([link.flags, link.count, link.state]).toEqual([0x41, 2, 'active']);
    fx.core.deleteLink(link);
    expect(linked(con)).toBe(1);
  });

  test('LNK-11: an AUTOREMOVE_CONSUMER link made in probe lives as long as the binding', () => {
    const states: string[] = [];
    const make = (dev: Device): void => {
      const link = fx.link(dev, sup, DL_AUTOREMOVE_CONSUMER);
      states.push(`${link.state} 0x${link.flags.toString(16)}`);
    };
    const fx: Links = new Links({
      con: [
        (dev) => {
          make(dev);
          throw new Error('no');
        },
        make,
      ],
    });
    const sup = fx.add('sup1');
    const con = fx.add('con1');
    expect([con.bound, linked(con)]).toEqual([false, 0]);
    expect(fx.core.attach(con)).toBe(true);
    expect(con.suppliers?.[0]?.state).toBe('active');
    sync(fx.core.unbind(con));
    expect([linked(con), linked(sup)]).toEqual([0, 0]);
    expect(states).toEqual(['consumer-probe 0x42', 'consumer-probe 0x42']);
  });

  test('LNK-12: a link without flags made in a probe that fails stays', () => {
    const fx: Links = new Links({
      con: [
        (dev) => {
          fx.link(dev, sup);
          throw new Error('no');
        },
      ],
    });
    const sup = fx.add('sup1');
    const con = fx.add('con1');
    expect(con.suppliers?.map((l) => l.state)).toEqual(['available']);
  });

  test('LNK-13: a link made in probe to a supplier that is not bound is a violation; the consumer binds', () => {
    const fx: Links = new Links({ con: [(dev) => fx.link(dev, sup)] });
    sync(fx.core.unregisterDriver(fx.tb, fx.supdrv));
    const sup = fx.add('sup1');
    const con = fx.add('con1');
    expect(con.bound).toBe(true);
    expect(con.suppliers?.[0]?.state).toBe('active');
    expect(fx.violations).toEqual(['link-to-unbound-supplier']);
  });

  test('LNK-14: an AUTOREMOVE_SUPPLIER link made in the probe of the supplier goes when the supplier is unbound', () => {
    const states: unknown[] = [];
    const fx: Links = new Links({ sup: [(dev) => states.push(fx.link(con, dev, DL_AUTOREMOVE_SUPPLIER).state)] });
    fx.tb.autoprobe = false;
    const con = fx.add('con1');
    const sup = fx.add('sup1');
    sync(fx.core.bind(sup, fx.supdrv));
    states.push(con.suppliers?.[0]?.state);
    sync(fx.core.bind(con, fx.condrv));
    states.push(con.suppliers?.[0]?.state);
    expect(states).toEqual(['dormant', 'available', 'active']);
    expect(fx.trace(() => fx.core.unbind(sup))).toEqual([...UNB('con1', 'condrv'), ...UNB('sup1', 'supdrv')]);
    expect([linked(con), linked(sup)]).toEqual([0, 0]);
  });

  test('LNK-15: an AUTOREMOVE_SUPPLIER link made in a probe of the supplier that fails stays, dormant', () => {
    const fx: Links = new Links({
      sup: [
        (dev) => {
          fx.link(con, dev, DL_AUTOREMOVE_SUPPLIER);
          throw new Error('no');
        },
      ],
    });
    const con = fx.device('con1');
    const sup = fx.add('sup1');
    expect(sup.consumers?.map((l) => l.state)).toEqual(['dormant']);
  });

  test('LNK-16, 17: an AUTOPROBE_CONSUMER link brings the consumer back with its supplier, time after time', async () => {
    const fx = new Links();
    const { sup, link } = fx.bound(DL_AUTOPROBE_CONSUMER);
    for (let i = 0; i < 2; i++) {
      expect(fx.trace(() => fx.core.unbind(sup))).toEqual([...UNB('con1', 'condrv'), ...UNB('sup1', 'supdrv')]);
      expect(await fx.traceAll(() => fx.core.attach(sup))).toEqual([...BIND('sup1', 'supdrv'), ...BIND('con1', 'condrv')]);
      expect(link.state).toBe('active');
    }
  });

  test('DEF-34: AUTOPROBE_CONSUMER does not queue a consumer that no driver ever matched', () => {
    const fx = new Links();
    const sup = fx.add('sup1');
    const con = fx.add('stranger');
    fx.link(con, sup, DL_AUTOPROBE_CONSUMER);
    sync(fx.core.unbind(sup));
    sync(fx.core.attach(sup));
    expect(fx.deferred()).toEqual([]);
    expect(con.bound).toBe(false);
  });

  test('LNK-18: a stateless link orders nothing and is deleted by who made it', () => {
    const fx = new Links();
    const { sup, con, link } = fx.orphan(DL_STATELESS);
    expect([link.state, con.bound]).toEqual(['none', true]);
    fx.core.deleteLink(link);
    expect([linked(con), linked(sup)]).toEqual([0, 0]);
    expect(errno(() => fx.core.deleteLink(link))).toBe('-EINVAL');
    expect(fx.violations).toEqual(['link-deleted-twice']);
  });

  test('LNK-18: a managed link is deleted by hand only while its consumer is not registered', async () => {
    const fx = new Links();
    const { con, link } = fx.bound();
    expect(errno(() => fx.core.deleteLink(link))).toBe('-EINVAL');
    expect([fx.violations, linked(con)]).toEqual([['managed-link-deleted'], 1]);
    const later = fx.device('con2');
    fx.core.deleteLink(fx.link(later, con));
    expect(linked(later)).toBe(0);
    await fx.core.settle();
    expect(later.refs).toBe(1);
  });

  test('LNK-19: a device with a preset driver is bound, and its link to a missing supplier is dropped', () => {
    const fx = new Links();
    sync(fx.core.unregisterDriver(fx.tb, fx.supdrv));
    const sup = fx.add('sup1');
    const con = fx.device('con1', { driver: fx.condrv });
    fx.link(con, sup);
    expect(fx.trace(() => fx.core.add(con))).toEqual([...ADD('con1'), 'N:BIND(con1)', 'N:BOUND(con1)', 'U:bind(con1)']);
    expect([con.bound, linked(con), fx.violations]).toEqual([true, 0, []]);
  });

  test('LNK-19: a preset driver keeps the link to a supplier that is bound', () => {
    const fx = new Links();
    const sup = fx.add('sup1');
    const con = fx.device('con1', { driver: fx.condrv });
    const link = fx.link(con, sup);
    sync(fx.core.add(con));
    expect([con.bound, link.state, fx.violations]).toEqual([true, 'active', []]);
  });

  test('LNK-20: repeated requests merge their flags', () => {
    const fx = new Links();
    const { sup, con, link } = fx.bound(DL_AUTOREMOVE_CONSUMER);
    const merge = (flags: number): number => fx.link(con, sup, flags).flags;
    const both = DL_AUTOREMOVE_CONSUMER | DL_AUTOREMOVE_SUPPLIER;
    expect(link.flags).toBe(0x42);
    expect(merge(DL_AUTOREMOVE_SUPPLIER)).toBe(0x50);
    expect(merge(DL_AUTOREMOVE_CONSUMER)).toBe(0x50);
    expect(merge(0)).toBe(0x40);
    expect(merge(both)).toBe(0x40);
    expect(merge(DL_PM_RUNTIME)).toBe(0x44);
    expect(fx.link(fx.add('con2'), sup, both).flags).toBe(0x50);
    expect(fx.link(fx.add('con3'), sup, DL_INFERRED).flags).toBe(0x140);
    expect(fx.link(fx.tb.find('con3')!, sup).flags).toBe(0x40);
  });

  test('LNK-24: removing the consumer deletes the link and leaves the supplier bound', async () => {
    const fx = new Links();
    const { sup, con } = fx.bound();
    const trace = await fx.traceAll(() => fx.core.remove(con));
    expect(trace).toEqual(GONE('con1', ...UNB('con1', 'condrv')));
    expect([sup.bound, linked(sup), sup.refs]).toEqual([true, 0, 1]);
  });

  test('LNK-26: a link made while the consumer is bound and the supplier is not does not tie them yet', () => {
    const fx = new Links();
    const sup = fx.add('sup1');
    const con = fx.add('con1');
    sync(fx.core.unbind(sup));
    const link = fx.link(con, sup);
    expect(link.state).toBe('dormant');
    sync(fx.core.attach(sup));
    expect(link.state).toBe('available');
    expect(fx.trace(() => fx.core.unbind(sup))).toEqual(UNB('sup1', 'supdrv'));
    expect(con.bound).toBe(true);
  });

  test('LNK-27: a link made while both are bound ties them at once', () => {
    const fx = new Links();
    const sup = fx.add('sup1');
    const link = fx.link(fx.add('con1'), sup);
    expect(link.state).toBe('active');
    expect(fx.trace(() => fx.core.unbind(sup))).toEqual([...UNB('con1', 'condrv'), ...UNB('sup1', 'supdrv')]);
  });

  test('LNK-28: a consumer that waits for its supplier is back to no driver, and binds when the supplier is removed', async () => {
    const fx = new Links();
    const { sup, con } = fx.orphan();
    expect(con.linkStatus).toBe('no-driver'); // Linux leaves it at PROBING
    sync(fx.core.remove(sup));
    expect(linked(con)).toBe(0);
    await fx.core.settle();
    expect(await fx.traceAll(() => fx.core.trigger())).toEqual(BIND('con1', 'condrv'));
  });

  test('LNK-29: with one of two suppliers missing, the claim on the other is given back', () => {
    const fx = new Links();
    const sup = fx.add('sup1');
    const con = fx.device('con1');
    const there = fx.link(con, sup);
    const missing = fx.link(con, fx.add('nobody'));
    sync(fx.core.add(con));
    expect([there.state, missing.state, con.linkStatus]).toEqual(['available', 'dormant', 'no-driver']);
    expect(fx.core.deferred.text()).toBe('con1\ttb: supplier nobody not ready\n');
    expect(fx.trace(() => fx.core.unbind(sup))).toEqual(UNB('sup1', 'supdrv'));
  });

  test('LNK-35: a device without power management cannot supply', () => {
    const fx = new Links();
    expect(fx.core.link(fx.add('con1'), fx.add('sup1', { pm: false }))).toBeUndefined();
  });

  test('LNK-36, 38: a link moves the consumer, its children and its consumers behind the supplier', () => {
    const fx = new Links();
    const con = fx.add('con1');
    fx.add('conkid', { parent: con });
    fx.link(fx.add('con2'), con);
    const sup = fx.add('sup1');
    expect(order(fx)).toEqual(['con1', 'conkid', 'con2', 'sup1']);
    fx.link(con, sup);
    expect(order(fx)).toEqual(['sup1', 'con1', 'conkid', 'con2']);
  });

  test('LNK-37: a sync-state-only link orders nothing until a real request upgrades it', () => {
    const fx = new Links();
    fx.tb.autoprobe = false;
    const con = fx.add('con1');
    const sup = fx.add('sup1');
    const link = fx.link(con, sup, DL_SYNC_STATE_ONLY);
    expect(order(fx)).toEqual(['con1', 'sup1']);
    expect(fx.link(con, sup)).toBe(link);
    expect([link.flags, order(fx)]).toEqual([0x40, ['sup1', 'con1']]);
  });

  test('LNK-39: a link is named after its two ends, each with its bus', () => {
    const fx = new Links();
    const sup = fx.add('sup1');
    expect(fx.link(fx.add('con1'), sup).name).toBe('tb:sup1--tb:con1');
    const root = fx.bare('root');
    sync(fx.core.add(root));
    expect(fx.link(sup, root).name).toBe(':root--tb:sup1');
  });
});
