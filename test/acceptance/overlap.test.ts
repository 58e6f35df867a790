import { type Device, Errno, defer } from 'backplane';
import { describe, expect, test } from 'vitest';
import { ADD, BIND, FAIL, Fixture, UNB, code, driver, gate, turns } from './fixture.js';

describe('operations that overlap', () => {
  const asyncDriver = (name: string, wait: () => Promise<void>, more = {}): ReturnType<typeof driver> =>
    driver(name, 'd', { probe: async () => wait(), ...more });

  test('ASY-15: the unbind file waits for a probe that runs', async () => {
    const fx = new Fixture();
    const g = gate();
    fx.reg(asyncDriver('A', () => g.promise));
    const added = fx.core.add(fx.dev('d1'));
    await turns();
    const unbound = fx.write('A', 'unbind', 'd1');
    await turns();
    expect(fx.take().some((t) => t.startsWith('R('))).toBe(false);
    g.open();
    await added;
    expect(await unbound).toBe(2);
    expect(fx.tb.find('d1')!.bound).toBe(false);
    expect(fx.take().slice(-5)).toEqual(UNB('d1', 'A'));
  });

  test('ASY-16: bind during a probe waits, then is EBUSY', async () => {
    const fx = new Fixture();
    const g = gate();
    fx.reg(asyncDriver('A', () => g.promise));
    fx.reg(driver('B', 'd'));
    const added = fx.core.add(fx.dev('d1'));
    const bound = code(() => fx.write('B', 'bind', 'd1'));
    await turns();
    g.open();
    await added;
    expect(await bound).toBe('EBUSY');
    expect(fx.take().filter((t) => t.startsWith('P('))).toEqual(['P(d1,A)=0']);
  });

  test('ASY-17: registering a second driver waits for the probe of the first on the same device', async () => {
    const fx = new Fixture();
    const g = gate();
    fx.reg(asyncDriver('A', () => g.promise));
    const added = fx.core.add(fx.dev('d1'));
    let done = false;
    const second = Promise.resolve(fx.core.registerDriver(fx.tb, driver('B', 'd'))).then(() => (done = true));
    await turns();
    expect(done).toBe(false);
    g.fail(new Errno('EIO', 'no'));
    await added;
    await second;
    expect(fx.tb.find('d1')!.driver?.name).toBe('B');
  });

  test('ASY-18: two attaches of one device give one probe', async () => {
    const fx = new Fixture();
    const g = gate();
    fx.tb.autoprobe = false;
    fx.reg(asyncDriver('A', () => g.promise));
    const d1 = fx.add('d1');
    const both = [fx.core.attach(d1), fx.core.attach(d1)];
    g.open();
    expect([await both[0], await both[1]]).toEqual([true, true]);
    expect(fx.take().filter((t) => t.startsWith('P('))).toEqual(['P(d1,A)=0']);
  });

  test('ASY-01: a driver that prefers asynchronous probing: add returns before probe, settle waits for it', async () => {
    const fx = new Fixture();
    fx.reg(driver('A', 'd', { probeType: 'prefer-asynchronous' }));
    const d1 = fx.add('d1');
    expect(fx.take()).toEqual([...ADD('d1'), 'M(d1,A)=1']);
    expect(d1.bound).toBe(false);
    await fx.core.settle();
    expect(fx.take()).toEqual(['M(d1,A)=1', ...BIND('d1', 'A')]);
  });

  test('ASY-02: on the driver path register returns before the probes; match is not asked again', async () => {
    const fx = new Fixture();
    fx.add('d1');
    fx.add('d2');
    fx.take();
    fx.reg(driver('A', 'd', { probeType: 'prefer-asynchronous' }));
    expect(fx.take()).toEqual(['M(d1,A)=1', 'M(d2,A)=1']);
    await fx.core.settle();
    expect(fx.take()).toEqual([...BIND('d1', 'A'), ...BIND('d2', 'A')]);
  });

  test('ASY-03: pass 1 is for synchronous drivers: one behind an asynchronous driver wins', async () => {
    const fx = new Fixture();
    fx.reg(driver('A', 'd', { probeType: 'prefer-asynchronous' }));
    fx.reg(driver('B', 'd'));
    fx.add('d1');
    expect(fx.take()).toEqual([...ADD('d1'), 'M(d1,A)=1', 'M(d1,B)=1', ...BIND('d1', 'B')]);
    await fx.core.settle();
    expect(fx.take()).toEqual([]);
  });

  test('ASY-04: two asynchronous drivers: pass 1 asks both, pass 2 asks again and takes the second when the first fails', async () => {
    const fx = new Fixture();
    fx.reg(driver('A', 'd', { probeType: 'prefer-asynchronous', results: ['EIO'] }));
    fx.reg(driver('B', 'd', { probeType: 'prefer-asynchronous' }));
    fx.add('d1');
    expect(fx.take()).toEqual([...ADD('d1'), 'M(d1,A)=1', 'M(d1,B)=1']);
    await fx.core.settle();
    expect(fx.take()).toEqual(['M(d1,A)=1', ...FAIL('d1', 'A', 'EIO'), 'M(d1,B)=1', ...BIND('d1', 'B')]);
  });

  test('ASY-05: attach, bind and drivers_probe are synchronous whatever the driver prefers', async () => {
    const fx = new Fixture();
    fx.tb.autoprobe = false;
    fx.reg(driver('A', 'd', { probeType: 'prefer-asynchronous' }));
    const d1 = fx.add('d1');
    expect(fx.core.attach(d1)).toBe(true);
    void fx.core.unbind(d1);
    expect(fx.tb.attributes.write('drivers_probe', 'd1\n')).toBe(3);
    expect(d1.bound).toBe(true);
    void fx.core.unbind(d1);
    expect(fx.write('A', 'bind', 'd1')).toBe(2);
    expect(d1.bound).toBe(true);
    await fx.core.settle();
  });

  test('ASY-23: settle waits for asynchronous probes, for retries, and for what they queue', async () => {
    const fx = new Fixture();
    let ready = false;
    fx.reg(
      driver('C', 'c', {
        probe: () => {
          if (!ready) throw defer('later');
        },
      }),
    );
    const c1 = fx.add('c1');
    fx.reg(
      driver('A', 'd', {
        probeType: 'prefer-asynchronous',
        probe: async () => {
          await turns();
          ready = true;
        },
      }),
    );
    fx.add('d1');
    await fx.core.settle();
    expect([c1.bound, fx.core.idle]).toEqual([true, true]);
  });

  test('ASY-25, ASY-27: unregister and unbind of a device from its own callbacks are EDEADLK, and leave it as it was', async () => {
    const fx = new Fixture();
    const codes: string[] = [];
    const own = async (dev: Device): Promise<void> => {
      codes.push(
        await code(() => fx.core.remove(dev)),
        await code(() => fx.core.unbind(dev)),
        await code(() => fx.core.attach(dev)),
      );
      codes.push(await code(() => fx.core.unregisterDriver(fx.tb, a)), await code(() => fx.core.settle()));
    };
    const a = driver('A', 'd', { probe: own, remove: own });
    await fx.core.registerDriver(fx.tb, a);
    const d1 = fx.dev('d1');
    await fx.core.add(d1);
    expect(codes.splice(0)).toEqual(['EDEADLK', 'EDEADLK', 'EDEADLK', 'EDEADLK', 'EDEADLK']);
    expect(d1.bound).toBe(true);
    await fx.core.unbind(d1);
    expect(codes).toEqual(['EDEADLK', 'EDEADLK', 'EDEADLK', 'EDEADLK', 'EDEADLK']);
    expect([d1.bound, d1.registered]).toEqual([false, true]);
    expect(fx.violations).toEqual([]);
  });

  test('from a bus notifier the own device cannot be unbound either', async () => {
    const fx = new Fixture();
    const codes: string[] = [];
    fx.tb.notifier.on((event, dev) => {
      if (event !== 'BOUND') return;
      void code(() => fx.core.unbind(dev)).then((c) => codes.push(c));
    });
    fx.reg(driver('A', 'd'));
    const d1 = fx.add('d1');
    await turns();
    expect(codes).toEqual(['EDEADLK']);
    expect(d1.bound).toBe(true);
  });

  test('operations on a device are first come, first served', async () => {
    const fx = new Fixture();
    const g = gate();
    fx.reg(asyncDriver('A', () => g.promise));
    const added = fx.core.add(fx.dev('d1'));
    const d1 = fx.tb.find('d1')!;
    const log: string[] = [];
    const all = [
      Promise.resolve(fx.core.unbind(d1)).then(() => log.push('unbind')),
      Promise.resolve(fx.core.attach(d1)).then((r) => log.push(`attach ${r}`)),
      Promise.resolve(fx.core.remove(d1)).then(() => log.push('remove')),
    ];
    await turns();
    fx.take();
    g.open();
    await added;
    await Promise.all(all);
    expect(log).toEqual(['unbind', 'attach true', 'remove']);
  });
});
