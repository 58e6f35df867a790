import { describe, expect, test } from 'vitest';
import {
  DL_AUTOPROBE_CONSUMER,
  DL_AUTOREMOVE_CONSUMER,
  DL_AUTOREMOVE_SUPPLIER,
  DL_MANAGED,
  DL_PM_RUNTIME,
  DL_STATELESS,
  DL_SYNC_STATE_ONLY,
  type Device,
  type DeviceLink,
} from '../../../../core/device/index.js';
import { ADD, BIND, DEFER, UNB, errno, sync } from './fixture.js';
import { Links, linked } from './links.js';

describe('managed links', () => {
  test('LNK-01: a consumer waits for its supplier and binds right after it', async () => {
    const fx = new Links();
    const { link } = fx.orphan();
    expect([link.flags, link.state]).toEqual([DL_MANAGED, 'dormant']);
    expect(fx.deferred()).toEqual(['con1']);
    expect(await fx.traceAll(() => fx.registerSupplierDriver())).toEqual([...BIND('sup1', 'supdrv'), ...BIND('con1', 'condrv')]);
    expect(link.state).toBe('active');
    expect(fx.deferred()).toEqual([]);
  });

  test('LNK-02: unbinding a supplier unbinds its consumer first', async () => {
    const fx = new Links();
    const { sup, link } = fx.bound();
    expect(fx.trace(() => fx.core.unbind(sup))).toEqual([...UNB('con1', 'condrv'), ...UNB('sup1', 'supdrv')]);
    expect([link.state, fx.deferred()]).toEqual(['dormant', []]);
    await fx.core.settle();
    expect(fx.take()).toEqual([]);
  });

  test('LNK-03: a supplier that comes back does not bring its unbound consumer back', async () => {
    const fx = new Links();
    const { sup, con, link } = fx.bound();
    sync(fx.core.unbind(sup));
    expect(await fx.traceAll(() => fx.core.attach(sup))).toEqual(BIND('sup1', 'supdrv'));
    expect([con.bound, link.state]).toEqual([false, 'available']);
    expect(await fx.traceAll(() => fx.core.attach(con))).toEqual(BIND('con1', 'condrv'));
    expect(link.state).toBe('active');
  });

  test('LNK-04: a consumer that was asked for while its supplier was away is on the list, and follows it', async () => {
    const fx = new Links();
    const { sup, con } = fx.bound();
    sync(fx.core.unbind(sup));
    expect(errno(() => fx.core.attach(con))).toBe(DEFER);
    expect(fx.core.deferred.text()).toBe('con1\ttb: supplier sup1 not ready\n');
    expect(errno(() => fx.core.bind(con, fx.condrv))).toBe('-EAGAIN');
    expect(await fx.traceAll(() => fx.core.attach(sup))).toEqual([...BIND('sup1', 'supdrv'), ...BIND('con1', 'condrv')]);
  });

  test('LNK-05: removing a supplier unbinds the consumer, deletes the link, and frees the supplier when the link is gone', async () => {
    const fx = new Links();
    const { sup, con } = fx.bound();
    expect(fx.trace(() => fx.core.remove(sup))).toEqual([
      'N:DEL(sup1)',
      ...UNB('con1', 'condrv'),
      ...UNB('sup1', 'supdrv'),
      'N:REMOVED(sup1)',
      'U:remove(sup1)',
    ]);
    expect([linked(con), fx.deferred()]).toEqual([0, []]);
    await fx.core.settle();
    expect(fx.take()).toEqual(['REL(sup1)']);
    expect(fx.trace(() => fx.core.attach(con))).toEqual(BIND('con1', 'condrv'));
  });

  test('LNK-06: what cannot be a link is none', () => {
    const fx = new Links();
    const sup = fx.add('sup1');
    const con = fx.add('con1');
    const link = (flags: number, c = con, s = sup): DeviceLink | undefined => fx.core.link(c, s, flags);
    expect(link(0, con, fx.device('sup2'))).toBeUndefined();
    expect(link(0, con, con)).toBeUndefined();
    expect(link(DL_STATELESS | DL_AUTOREMOVE_CONSUMER)).toBeUndefined();
    expect(link(DL_STATELESS | DL_AUTOREMOVE_SUPPLIER)).toBeUndefined();
    expect(link(DL_STATELESS | DL_AUTOPROBE_CONSUMER)).toBeUndefined();
    expect(link(DL_AUTOPROBE_CONSUMER | DL_AUTOREMOVE_CONSUMER)).toBeUndefined();
    expect(link(DL_AUTOPROBE_CONSUMER | DL_AUTOREMOVE_SUPPLIER)).toBeUndefined();
    expect(link(DL_MANAGED)).toBeUndefined();
    expect(link(DL_SYNC_STATE_ONLY | DL_AUTOPROBE_CONSUMER)).toBeUndefined();
    expect(link(DL_SYNC_STATE_ONLY | DL_PM_RUNTIME)).toBeUndefined();
    expect(link(0x400)).toBeUndefined();
    expect([linked(sup), linked(con)]).toEqual([0, 0]);
    expect(link(0, fx.device('con2'))?.state).toBe('available');
  });

  test('LNK-06: a device that is gone can be neither supplier nor consumer', () => {
    const fx = new Links();
    const sup = fx.add('sup1').get();
    const con = fx.add('con1');
    sync(fx.core.remove(sup));
    expect(fx.core.link(con, sup)).toBeUndefined();
    expect(fx.core.link(sup, con)).toBeUndefined();
  });

  test('LNK-07: a consumer added after its supplier was bound binds at once; the reverse link is refused', () => {
    const fx = new Links();
    const sup = fx.add('sup1');
    const con = fx.device('con1');
    const link = fx.link(con, sup);
    expect(link.state).toBe('available');
    expect(fx.trace(() => fx.core.add(con))).toEqual([...ADD('con1'), ...BIND('con1', 'condrv')]);
    expect(link.state).toBe('active');
    expect(fx.core.link(sup, con)).toBeUndefined();
  });

  test('LNK-08: a cycle is refused at any distance, and so is a parent that would consume from its child', () => {
    const fx = new Links();
    const [a, b, c] = ['con1', 'con2', 'con3'].map((n) => fx.add(n)) as [Device, Device, Device];
    const kid = fx.add('con4', { parent: a });
    const grandKid = fx.add('con5', { parent: kid });
    expect(fx.core.link(a, kid)).toBeUndefined();
    expect(fx.core.link(a, grandKid)).toBeUndefined();
    fx.link(b, kid);
    fx.link(c, b);
    expect(fx.core.link(a, c)).toBeUndefined();
    expect(fx.core.link(kid, c)).toBeUndefined();
    expect(fx.core.link(kid, a)).toBeDefined();
  });

  test('LNK-08: a parent is not yet listed while its child is being probed, and the cycle is refused all the same', () => {
    const seen: unknown[] = [];
    const fx: Links = new Links({ sup: [(dev) => seen.push(fx.core.link(dev.parent!, dev))] });
    const top = fx.add('top');
    fx.add('sup1', { parent: top });
    expect(seen).toEqual([undefined]);
  });
});
