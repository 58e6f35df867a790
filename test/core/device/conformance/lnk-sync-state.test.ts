import { describe, expect, test } from 'vitest';
import { Bus, DL_SYNC_STATE_ONLY, type Device } from '../../../../core/device/index.js';
import { ADD, BIND, type FixtureOptions, P, errno, sync } from './fixture.js';
import { Links, linked } from './links.js';

describe('sync_state', () => {
  function synced(options: FixtureOptions = {}): Links {
    const fx = new Links(options);
    fx.supdrv.syncState = () => {};
    return fx;
  }
  const file = (dev: Device): unknown => dev.attributes.read('state_synced');

  test('LNK-30: it is called inside the bind of the last consumer, before that is announced', () => {
    const fx = synced();
    const sup = fx.device('sup1');
    expect(fx.trace(() => fx.core.add(sup))).toEqual([
      ...ADD('sup1'),
      'DC(sup1)',
      'N:BIND(sup1)',
      P('sup1', 'supdrv'),
      'SS(sup1)',
      'N:BOUND(sup1)',
      'U:bind(sup1)',
    ]);
    expect(file(sup)).toBe('1\n');

    const fx2 = synced();
    fx2.tb.autoprobe = false;
    const [s1, c1, c2] = ['sup1', 'con1', 'con2'].map((n) => fx2.add(n)) as [Device, Device, Device];
    fx2.link(c1, s1);
    fx2.link(c2, s1);
    expect(fx2.trace(() => fx2.core.bind(s1, fx2.supdrv))).toEqual(BIND('sup1', 'supdrv'));
    expect(file(s1)).toBe('0\n');
    expect(fx2.trace(() => fx2.core.bind(c1, fx2.condrv))).toEqual(BIND('con1', 'condrv'));
    expect(fx2.trace(() => fx2.core.bind(c2, fx2.condrv))).toEqual([
      'DC(con2)',
      'N:BIND(con2)',
      P('con2', 'condrv'),
      'SS(sup1)',
      'N:BOUND(con2)',
      'U:bind(con2)',
    ]);
    expect(file(s1)).toBe('1\n');
  });

  test('LNK-31: it is called once in the life of a device, also by its file, which takes 1 and nothing else', () => {
    const fx = synced();
    const sup = fx.add('sup1');
    sync(fx.core.unbind(sup));
    expect(fx.trace(() => fx.core.attach(sup))).toEqual(BIND('sup1', 'supdrv'));

    const fx2 = synced();
    const s1 = fx2.device('sup1');
    fx2.core.syncState.pause();
    sync(fx2.core.add(s1));
    const write = (text: string): unknown => errno(() => s1.attributes.write('state_synced', text));
    for (const bad of ['0', '', '1\n', 'y', '11']) expect(write(bad)).toBe('-EINVAL');
    expect(file(s1)).toBe('0\n');
    expect(fx2.trace(() => write('1'))).toEqual(['SS(sup1)']);
    expect(file(s1)).toBe('1\n');
    expect(write('1')).toBe('-EINVAL');
    expect(fx2.trace(() => fx2.core.syncState.resume())).toEqual([]);
  });

  test('LNK-32: a consumer that never bound and goes does not bring it about; the next bind of the supplier does', () => {
    const fx = synced();
    const sup = fx.device('sup1');
    const con = fx.add('stranger');
    fx.tb.autoprobe = false;
    sync(fx.core.add(sup));
    fx.link(con, sup);
    expect(fx.trace(() => fx.core.bind(sup, fx.supdrv))).toEqual(BIND('sup1', 'supdrv'));
    expect(fx.trace(() => fx.core.remove(con))).not.toContain('SS(sup1)');
    sync(fx.core.unbind(sup));
    expect(fx.trace(() => fx.core.attach(sup))).toContain('SS(sup1)');
  });

  test('LNK-33: a sync-state-only link holds it back until its consumer binds, and is gone then', () => {
    const fx = synced();
    fx.tb.autoprobe = false;
    const sup = fx.add('sup1');
    const con = fx.add('con1');
    const link = fx.link(con, sup, DL_SYNC_STATE_ONLY);
    expect([link.flags, link.state]).toEqual([0xc0, 'dormant']);
    expect(fx.trace(() => fx.core.bind(sup, fx.supdrv))).toEqual(BIND('sup1', 'supdrv'));
    const trace = fx.trace(() => fx.core.bind(con, fx.condrv));
    expect(trace.slice(-4)).toEqual([P('con1', 'condrv'), 'SS(sup1)', 'N:BOUND(con1)', 'U:bind(con1)']);
    expect(linked(con)).toBe(0);
    expect(fx.core.link(con, sup, DL_SYNC_STATE_ONLY)).toBeUndefined();
  });

  test('LNK-33: with a sync-state-only link the consumer may bind first', () => {
    const fx = synced();
    fx.tb.autoprobe = false;
    const sup = fx.add('sup1');
    const con = fx.add('con1');
    fx.link(con, sup, DL_SYNC_STATE_ONLY);
    expect(fx.trace(() => fx.core.bind(con, fx.condrv))).toEqual(BIND('con1', 'condrv'));
    expect(fx.trace(() => fx.core.bind(sup, fx.supdrv))).toContain('SS(sup1)');
  });

  test('LNK-34: paused it is held back; the last resume makes up for it; one more is a violation', () => {
    const fx = synced();
    fx.core.syncState.pause();
    fx.core.syncState.pause();
    const sup = fx.device('sup1');
    expect(fx.trace(() => fx.core.add(sup))).toEqual([...ADD('sup1'), ...BIND('sup1', 'supdrv')]);
    expect(fx.trace(() => fx.core.syncState.resume())).toEqual([]);
    expect(fx.trace(() => fx.core.syncState.resume())).toEqual(['SS(sup1)']);
    expect(errno(() => fx.core.syncState.resume())).toBe('-EINVAL');
    expect(fx.violations).toEqual(['unmatched-resume']);
  });

  test('it is held back during the initial phase, and forgotten for a device that is unbound or gone by its end', async () => {
    const fx = synced({ initialPhase: true });
    const stays = fx.add('sup1');
    const unbound = fx.add('sup2');
    const gone = fx.add('sup3');
    sync(fx.core.unbind(unbound));
    sync(fx.core.remove(gone));
    expect(await fx.traceAll(() => fx.core.endInitialPhase())).toEqual(['SS(sup1)']);
    expect([stays.stateSynced, unbound.stateSynced]).toEqual([true, false]);
  });

  test('what it throws is logged, and the bind goes on', () => {
    const fx = synced();
    fx.supdrv.syncState = () => {
      throw new Error('no');
    };
    expect(fx.trace(() => fx.add('sup1')).slice(-4)).toEqual([
      'SS(sup1)',
      'L:err:sync_state_failed',
      'N:BOUND(sup1)',
      'U:bind(sup1)',
    ]);
  });

  test("the method of a bus is called instead of its drivers'", () => {
    const fx = synced();
    const calls: string[] = [];
    const bus = new Bus('sb', { syncState: (dev) => calls.push(`bus ${dev.name}`) });
    fx.core.registerBus(bus);
    fx.supdrv.syncState = (dev) => calls.push(`driver ${dev.name}`);
    sync(bus.register(fx.supdrv));
    sync(bus.add(fx.bare('sup1')));
    expect(calls).toEqual(['bus sup1']);
  });
});
