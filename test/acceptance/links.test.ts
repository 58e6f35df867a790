import {
  DL_AUTOPROBE_CONSUMER,
  DL_AUTOREMOVE_CONSUMER,
  DL_AUTOREMOVE_SUPPLIER,
  DL_STATELESS,
  DL_SYNC_STATE_ONLY,
  type Device,
  type DeviceLink,
} from 'backplane';
import { describe, expect, test } from 'vitest';
import { BIND, FAIL, Fixture, GONE, UNB, code, driver } from './fixture.js';

interface Pair {
  readonly fx: Fixture;
  readonly c1: Device;
  readonly s1: Device;
}

/** A supplier and a consumer, unbound, with their drivers. */
function pair(options: { sup?: object; con?: object } = {}): Pair {
  const fx = new Fixture();
  fx.tb.autoprobe = false;
  fx.reg(driver('supdrv', 'sup', options.sup));
  fx.reg(driver('condrv', 'con', options.con));
  const [s1, c1] = [fx.add('sup1'), fx.add('con1')];
  fx.tb.autoprobe = true;
  fx.take();
  return { fx, c1, s1 };
}

const link = ({ fx, c1, s1 }: Pair, flags = 0): DeviceLink => fx.core.link(c1, s1, flags)!;

describe('device links', () => {
  test('LNK-01: a consumer whose supplier is unbound defers with the bus in the reason, and follows its bind', async () => {
    const p = pair();
    const l = link(p);
    expect([l.state, l.flags]).toEqual(['dormant', 0x40]);
    expect(await code(() => p.fx.core.attach(p.c1))).toBe('EPROBE_DEFER');
    expect(p.fx.take()).toEqual(['M(con1,supdrv)=0', 'M(con1,condrv)=1']);
    expect(p.fx.core.deferred.text()).toBe('con1\ttb: supplier sup1 not ready\n');
    expect(await p.fx.core.attach(p.s1)).toBe(true);
    await p.fx.core.settle();
    expect(p.fx.take(true)).toEqual([...BIND('sup1', 'supdrv'), ...BIND('con1', 'condrv')]);
    expect([l.state, p.fx.deferred]).toEqual(['active', []]);
  });

  test('LNK-03: after the supplier was unbound its new bind does not bring the consumer back', async () => {
    const p = pair();
    const l = link(p);
    await p.fx.core.attach(p.s1);
    await p.fx.core.attach(p.c1);
    p.fx.take();
    await p.fx.write('supdrv', 'unbind', 'sup1');
    expect(p.fx.take()).toEqual([...UNB('con1', 'condrv'), ...UNB('sup1', 'supdrv')]);
    expect([l.state, p.fx.deferred]).toEqual(['dormant', []]);
    await p.fx.core.attach(p.s1);
    await p.fx.core.settle();
    expect([p.c1.bound, l.state]).toEqual([false, 'available']);
    expect(await p.fx.core.attach(p.c1)).toBe(true);
  });

  test('LNK-04: unbinding the consumer leaves the supplier; the link is available', async () => {
    const p = pair();
    const l = link(p);
    await p.fx.core.attach(p.s1);
    await p.fx.core.attach(p.c1);
    p.fx.take();
    await p.fx.core.unbind(p.c1);
    expect(p.fx.take()).toEqual(UNB('con1', 'condrv'));
    expect([l.state, p.s1.bound]).toEqual(['available', true]);
  });

  test('LNK-08: cycles are refused, at any distance, and a parent cannot consume from its child', () => {
    const fx = new Fixture();
    const [a, b, c] = [fx.add('a'), fx.add('b'), fx.add('c')];
    const kid = fx.add('kid', { parent: a });
    expect(fx.core.link(b, a)).toBeDefined();
    expect(fx.core.link(c, b)).toBeDefined();
    expect(fx.core.link(a, c)).toBeUndefined();
    expect(fx.core.link(a, kid)).toBeUndefined();
    expect(fx.core.link(kid, a)).toBeDefined();
    expect(fx.core.link(a, c, DL_SYNC_STATE_ONLY)).toBeDefined();
  });

  test('LNK-10: a managed link of a consumer that never was registered can be deleted', async () => {
    const p = pair();
    const con = p.fx.dev('con9');
    const l = p.fx.core.link(con, p.s1)!;
    p.fx.core.deleteLink(l);
    await p.fx.core.settle();
    expect([con.refs, p.s1.refs, p.fx.violations]).toEqual([1, 1, []]);
    expect(await code(() => p.fx.core.deleteLink(l))).toBe('EINVAL');
  });

  test('LNK-13: a link made in probe to an unbound supplier is reported when the consumer binds', async () => {
    const p: Pair = pair({ con: { body: (dev: Device) => void p.fx.core.link(dev, p.s1, DL_AUTOREMOVE_CONSUMER) } });
    expect(await p.fx.core.attach(p.c1)).toBe(true);
    expect(p.fx.violations).toEqual(['link-to-unbound-supplier']);
  });

  test('LNK-15: an AUTOREMOVE_SUPPLIER link of a supplier whose probe fails stays', async () => {
    const p: Pair = pair({
      sup: { body: (dev: Device) => void p.fx.core.link(p.c1, dev, DL_AUTOREMOVE_SUPPLIER), results: ['EIO'] },
    });
    expect(await p.fx.core.attach(p.s1)).toBe(false);
    expect([p.s1.consumers?.length, p.s1.consumers?.[0]?.state]).toEqual([1, 'dormant']);
  });

  test('LNK-17: an AUTOPROBE_CONSUMER link to a consumer that never matched does nothing', async () => {
    const p = pair();
    const other = p.fx.add('zzz');
    p.fx.core.link(other, p.s1, DL_AUTOPROBE_CONSUMER);
    await p.fx.core.attach(p.s1);
    await p.fx.core.settle();
    expect(p.fx.take().filter((t) => t.includes('zzz') && !t.includes('add') && !t.includes('ADD'))).toEqual([
      'M(zzz,supdrv)=0',
      'M(zzz,condrv)=0',
    ]);
  });

  test('LNK-17b: an AUTOPROBE_CONSUMER consumer that had matched before is probed by the bind of its supplier', async () => {
    const p = pair();
    const l = link(p, DL_AUTOPROBE_CONSUMER);
    await p.fx.core.attach(p.s1);
    await p.fx.core.attach(p.c1);
    await p.fx.core.unbind(p.s1);
    expect(l.state).toBe('dormant');
    p.fx.take();
    await p.fx.core.attach(p.s1);
    await p.fx.core.settle();
    expect(p.fx.take(true)).toEqual([...BIND('sup1', 'supdrv'), ...BIND('con1', 'condrv')]);
  });

  test('LNK-29: without consumers sync_state comes with the own bind, before BOUND, and once in a life', async () => {
    const p = pair({ sup: { syncState: () => {} } });
    await p.fx.core.attach(p.s1);
    expect(p.fx.take(true)).toEqual([
      'DC(sup1)',
      'N:BIND(sup1)',
      'P(sup1,supdrv)=0',
      'SS(sup1)',
      'N:BOUND(sup1)',
      'U:bind(sup1)',
    ]);
    await p.fx.core.unbind(p.s1);
    await p.fx.core.attach(p.s1);
    expect(p.fx.take()).not.toContain('SS(sup1)');
  });

  test('LNK-31: state_synced is written 1, once, and is there while bound', async () => {
    const p = pair({ sup: { syncState: () => {} } });
    link(p);
    expect(p.s1.attributes.has('state_synced')).toBe(false);
    await p.fx.core.attach(p.s1);
    expect(p.s1.attributes.read('state_synced')).toBe('0\n');
    expect(await code(() => p.s1.attributes.write('state_synced', '0'))).toBe('EINVAL');
    expect(await code(() => p.s1.attributes.write('state_synced', '1\n'))).toBe('EINVAL');
    p.fx.take();
    expect(await p.s1.attributes.write('state_synced', '1')).toBe(1);
    expect(p.fx.take()).toEqual(['SS(sup1)']);
    expect(p.s1.attributes.read('state_synced')).toBe('1\n');
    expect(await code(() => p.s1.attributes.write('state_synced', '1'))).toBe('EINVAL');
    await p.fx.core.attach(p.c1);
    expect(p.fx.take()).not.toContain('SS(sup1)');
    await p.fx.core.unbind(p.s1);
    expect(p.s1.attributes.has('state_synced')).toBe(false);
  });

  test('LNK-32: the removal of a consumer that never bound does not synchronise; the next bind of the supplier does', async () => {
    const p = pair({ sup: { syncState: () => {} } });
    link(p);
    await p.fx.core.attach(p.s1);
    p.fx.take();
    void p.fx.core.remove(p.c1);
    expect(p.fx.take()).toEqual(GONE('con1').filter((t) => t !== 'REL(con1)'));
    await p.fx.core.settle();
    expect(p.fx.take()).toEqual(['REL(con1)']);
    await p.fx.core.reprobe(p.s1);
    expect(p.fx.take()).toContain('SS(sup1)');
  });

  test('LNK-36: a failing consumer probe gives its claim back', async () => {
    const p = pair({ con: { results: ['EIO'] } });
    const l = link(p);
    await p.fx.core.attach(p.s1);
    p.fx.take();
    expect(await p.fx.core.attach(p.c1)).toBe(false);
    expect(p.fx.take(true)).toEqual(FAIL('con1', 'condrv', 'EIO'));
    expect(l.state).toBe('available');
  });

  test('LNK-37: unregistering the driver of the supplier takes the consumer down first', async () => {
    const p = pair();
    link(p);
    await p.fx.core.attach(p.s1);
    await p.fx.core.attach(p.c1);
    p.fx.take();
    await p.fx.core.unregisterDriver(p.fx.tb, p.fx.tb.findDriver('supdrv')!);
    expect(p.fx.take()).toEqual([...UNB('con1', 'condrv'), ...UNB('sup1', 'supdrv')]);
    expect([p.fx.deferred, p.fx.violations]).toEqual([[], []]);
  });

  test('a stateless link is counted, orders shutdown, and does not hold a probe back', async () => {
    const p = pair({ sup: { shutdown: () => {} }, con: { shutdown: () => {} } });
    // The supplier comes after the consumer in the order of registration once the link says otherwise.
    const late = p.fx.add('sup2');
    const one = p.fx.core.link(p.c1, late, DL_STATELESS)!;
    expect(p.fx.core.link(p.c1, late, DL_STATELESS)).toBe(one);
    expect([one.state, one.count]).toEqual(['none', 2]);
    expect(await p.fx.core.attach(p.c1)).toBe(true);
    await p.fx.core.attach(p.s1);
    p.fx.take();
    await p.fx.core.shutdown();
    expect(p.fx.take()).toEqual(['SH(con1)', 'SH(sup2)', 'SH(sup1)']);
    p.fx.core.deleteLink(one);
    p.fx.core.deleteLink(one);
    expect(late.consumers).toBeUndefined();
  });

  test('a supplier whose unbind starts in the probe of its consumer is EDEADLK, and both live on', async () => {
    let seen = '';
    const p: Pair = pair({
      con: {
        probe: async () => {
          seen = await code(() => p.fx.core.unbind(p.s1));
        },
      },
    });
    link(p);
    await p.fx.core.attach(p.s1);
    expect(await p.fx.core.attach(p.c1)).toBe(true);
    expect([seen, p.s1.bound, p.c1.bound]).toEqual(['EDEADLK', true, true]);
    await p.fx.core.unbind(p.s1);
    expect([p.s1.bound, p.c1.bound]).toEqual([false, false]);
  });

  test('a link says its name, and goes with its devices', async () => {
    const p = pair();
    const l = link(p);
    expect(l.name).toBe('tb:sup1--tb:con1');
    await p.fx.core.remove(p.c1);
    await p.fx.core.settle();
    expect(l.gone).toBe(true);
    expect(p.s1.refs).toBe(1);
  });
});
