import { Bus, Device, Errno, type Uevent, offline, online } from 'backplane';
import { describe, expect, test } from 'vitest';
import { Fixture, GONE, UNB, bound, code, driver, gate, turns } from './fixture.js';

describe('events', () => {
  const record = (fx: Fixture): Uevent[] => {
    const all: Uevent[] = [];
    fx.core.uevents.on((e) => void all.push(e));
    return all;
  };

  test('the variables of a life, in order', () => {
    const fx = new Fixture({ uevent: (dev, env) => env.set('MODALIAS', `tb:${dev.name}`) });
    const all = record(fx);
    fx.reg(driver('A', 'd'));
    const d1 = fx.add('d1', { type: { name: 'disk' } });
    void fx.core.remove(d1);
    const devs = all.filter((e) => e.device === d1);
    expect(devs.map((e) => [e.action, [...e.env.keys()].join(' ')])).toEqual([
      ['add', 'ACTION DEVPATH SUBSYSTEM DEVTYPE MODALIAS SEQNUM'],
      ['bind', 'ACTION DEVPATH SUBSYSTEM DEVTYPE DRIVER MODALIAS SEQNUM'],
      ['unbind', 'ACTION DEVPATH SUBSYSTEM DEVTYPE SEQNUM'],
      ['remove', 'ACTION DEVPATH SUBSYSTEM DEVTYPE MODALIAS SEQNUM'],
    ]);
    expect(devs[0]!.env.get('DEVPATH')).toBe('/devices/d1');
    const numbers = all.map((e) => e.seqnum);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    expect(new Set(numbers).size).toBe(numbers.length);
  });

  test('SYS-32: a synthetic event: action alone, with uuid, with arguments; anything else is EINVAL', async () => {
    const fx = bound();
    const all = record(fx);
    const { attributes } = fx.tb.find('d1')!;
    const uuid = '0b4a8bb6-1d2b-4b2f-8f0e-0123456789ab';
    expect(await attributes.write('uevent', 'change\n')).toBe(7);
    await attributes.write('uevent', `add ${uuid} A=1 B=abc`);
    expect(all.map((e) => [e.action, e.env.get('SYNTH_UUID'), e.env.get('SYNTH_ARG_A'), e.env.get('SYNTH_ARG_B')])).toEqual([
      ['change', '0', undefined, undefined],
      ['add', uuid, '1', 'abc'],
    ]);
    expect([...all[1]!.env.keys()]).toEqual([
      'ACTION',
      'DEVPATH',
      'SUBSYSTEM',
      'SYNTH_UUID',
      'SYNTH_ARG_A',
      'SYNTH_ARG_B',
      'DRIVER',
      'SEQNUM',
    ]);
    for (const bad of [
      '',
      'boom',
      'change x',
      `change ${uuid} A`,
      `change ${uuid} A=`,
      `change ${uuid} A-B=1`,
      `change ${uuid} A=1=2`,
    ]) {
      expect(await code(() => attributes.write('uevent', bad))).toBe('EINVAL');
    }
    expect(all).toHaveLength(2);
  });

  test('too many variables or bytes drop the event, not the operation', () => {
    let fill = (_env: Map<string, string>): void => {};
    const fx = new Fixture({ uevent: (_dev, env) => fill(env) });
    const all = record(fx);
    fill = (env) => {
      for (let i = 0; i < 64; i++) env.set(`V${i}`, '1');
    };
    expect(fx.add('d1').registered).toBe(true);
    fill = (env) => void env.set('BIG', 'x'.repeat(2048));
    expect(fx.add('d2').registered).toBe(true);
    expect(all).toEqual([]);
  });

  test('a listener that throws is reported and stops nothing', () => {
    const fx = bound();
    fx.core.uevents.on(() => {
      throw new Error('listener');
    });
    const d2 = fx.add('d2');
    expect(d2.bound).toBe(true);
    expect(fx.violations).toContain('callback-threw');
  });

  test('drivers send add and remove of their own', () => {
    const fx = new Fixture();
    const all = record(fx);
    const a = fx.reg(driver('A', 'd'));
    void fx.core.unregisterDriver(fx.tb, a);
    expect(all.map((e) => [e.action, e.subsystem, e.devpath])).toEqual([
      ['add', 'drivers', '/bus/tb/drivers/A'],
      ['remove', 'drivers', '/bus/tb/drivers/A'],
    ]);
  });
});

describe('attributes of devices', () => {
  test('they are gone in remove on removal, there on plain unbind', () => {
    const fx = new Fixture();
    const seen: unknown[] = [];
    fx.reg(
      driver('A', 'd', {
        remove: (dev) =>
          void seen.push([
            dev.dead,
            dev.registered,
            dev.bound,
            dev.driver?.name,
            fx.tb.find(dev.name) === dev,
            dev.attributes.has('uevent'),
            dev.attributes.has('own'),
          ]),
      }),
    );
    const groups = [{ attributes: [{ name: 'own', show: () => '1\n' }] }];
    const d1 = fx.add('d1', { groups });
    void fx.core.unbind(d1);
    void fx.core.attach(d1);
    void fx.core.remove(d1);
    expect(seen).toEqual([
      [false, true, true, 'A', true, true, true],
      [true, true, true, 'A', false, false, false],
    ]);
  });

  test('an attribute opened before removal is ENODEV after it; one added to a removed device is EINVAL and reported', async () => {
    const fx = bound();
    const d1 = fx.tb.find('d1')!.get();
    const file = d1.attributes.open('uevent');
    void fx.core.remove(d1);
    expect(await code(() => file.read())).toBe('ENODEV');
    expect(await code(() => file.write('change'))).toBe('ENODEV');
    expect(await code(() => d1.attributes.add({ name: 'x' }))).toBe('EINVAL');
    expect(fx.violations).toEqual(['attribute-without-device']);
  });

  test('a device whose attributes collide is not added, and sends no add', async () => {
    const fx = new Fixture();
    const dev = fx.dev('d1', {
      groups: [{ attributes: [{ name: 'a', show: () => '' }] }, { attributes: [{ name: 'a', show: () => '' }] }],
    });
    expect(await code(() => fx.core.add(dev))).toBe('EEXIST');
    expect(fx.take()).toEqual([]);
    expect(fx.tb.find('d1')).toBeUndefined();
    expect(await code(() => fx.add('d1'))).toBe('ok');
  });

  test('show gives at most a page, and store gets at most one', async () => {
    const fx = bound();
    const { attributes } = fx.tb.find('d1')!;
    const got: number[] = [];
    attributes.add({ name: 'big', show: () => 'x'.repeat(4097), store: (_d, text) => void got.push(text.length) });
    expect(await code(() => attributes.read('big'))).toBe('EIO');
    expect(await code(() => attributes.write('big', 'x'.repeat(4096)))).toBe('ok');
    expect(await code(() => attributes.write('big', 'x'.repeat(4097)))).toBe('EINVAL');
    expect(got).toEqual([4096]);
  });

  test('SYS-39: online and offline', async () => {
    const log: string[] = [];
    let refuse = false;
    const fx = new Fixture({
      online: (dev) => void log.push(`online ${dev.name}`),
      offline: (dev) => {
        if (refuse) throw new Errno('EIO', 'no');
        log.push(`offline ${dev.name}`);
      },
    });
    const par = fx.add('p');
    const kid = fx.add('k', { parent: par });
    fx.take();
    expect(await code(() => offline(par))).toBe('EBUSY');
    expect([offline(kid), offline(kid), offline(par), online(kid), online(kid)]).toEqual([true, false, true, true, false]);
    expect(fx.take()).toEqual(['U:offline(k)', 'U:offline(p)', 'U:online(k)']);
    refuse = true;
    expect(await code(() => kid.attributes.write('online', '0'))).toBe('EIO');
    kid.offlineDisabled = true;
    expect(await code(() => kid.attributes.write('online', '0'))).toBe('EPERM');
    expect(kid.attributes.read('online')).toBe('1\n');
    expect(fx.take()).toEqual([]);
  });

  test('a device of a bus without online and offline can be neither', () => {
    const fx = bound();
    const d1 = fx.tb.find('d1')!;
    expect([offline(d1), d1.offline, d1.attributes.has('online')]).toEqual([false, false, false]);
    expect(fx.take()).toEqual([]);
  });

  test('going offline waits for a probe of the device that runs', async () => {
    const log: string[] = [];
    const fx = new Fixture({ online: () => {}, offline: () => void log.push('offline') });
    const g = gate();
    fx.reg(
      driver('A', 'd', {
        probe: async () => {
          await g.promise;
          log.push('probed');
        },
      }),
    );
    const added = fx.core.add(fx.dev('d1'));
    const written = fx.tb.find('d1')!.attributes.write('online', '0');
    await turns();
    g.open();
    await added;
    await written;
    expect(log).toEqual(['probed', 'offline']);
  });

  test('a bus that is unregistered while it has anything refuses; then its attributes are gone', async () => {
    const fx = new Fixture();
    const bus = new Bus('b2', { busGroups: [{ attributes: [{ name: 'x', show: () => '1\n' }] }] });
    fx.core.registerBus(bus);
    expect(bus.attributes.read('x')).toBe('1\n');
    const dev = new Device({ name: 'd', release: () => {} });
    void bus.add(dev);
    expect(await code(() => fx.core.unregisterBus(bus))).toBe('EBUSY');
    void bus.remove(dev);
    fx.core.unregisterBus(bus);
    expect(await code(() => bus.attributes.read('x'))).toBe('ENOENT');
    expect(await code(() => fx.core.unregisterBus(bus))).toBe('EINVAL');
    fx.core.registerBus(bus);
    expect(fx.core.buses.get('b2')).toBe(bus);
  });

  test('removing a device removes its files before the driver is told; both unbinds are whole', () => {
    const fx = bound();
    void fx.core.remove(fx.tb.find('d1')!);
    expect(fx.take()).toEqual(GONE('d1', ...UNB('d1', 'A')));
  });

  describe('whose store runs', () => {
    interface Slow {
      readonly fx: Fixture;
      readonly d1: Device;
      readonly log: string[];
      readonly open: () => void;
    }

    /** A driver whose attribute takes its time, with a write under way. */
    function writing(then: (fx: Fixture, dev: Device) => unknown = () => {}): Slow & { readonly written: Promise<unknown> } {
      const fx = new Fixture();
      const g = gate();
      const log: string[] = [];
      fx.reg(
        driver('A', 'd', {
          devGroups: [
            {
              attributes: [
                {
                  name: 'slow',
                  store: async (dev) => {
                    await g.promise;
                    log.push('stored');
                    await then(fx, dev);
                  },
                },
              ],
            },
          ],
          remove: () => void log.push('remove'),
        }),
      );
      const d1 = fx.add('d1');
      const written = Promise.resolve(d1.attributes.write('slow', 'x'));
      return { fx, d1, log, open: () => g.open(), written };
    }

    test('SYS-44: unbind waits for it before remove', async () => {
      const { fx, d1, log, open, written } = writing();
      const unbound = fx.core.unbind(d1);
      expect(await code(() => d1.attributes.write('slow', 'y'))).toBe('ENOENT');
      open();
      await unbound;
      expect([log, await written]).toEqual([['stored', 'remove'], 1]);
    });

    test('removal of the device, and of the driver, wait for it too', async () => {
      const one = writing();
      const removed = one.fx.core.remove(one.d1);
      await turns();
      expect(one.log).toEqual([]);
      one.open();
      await removed;
      expect(one.log).toEqual(['stored', 'remove']);
      const two = writing();
      const gone = two.fx.core.unregisterDriver(two.fx.tb, two.fx.tb.findDriver('A')!);
      two.open();
      await gone;
      expect(two.log).toEqual(['stored', 'remove']);
    });

    test('a store may unbind or remove its own device: it is not waited for', async () => {
      for (const way of ['unbind', 'remove'] as const) {
        const { d1, log, open, written } = writing((fx, dev) => fx.core[way](dev));
        open();
        await written;
        expect([log, d1.bound]).toEqual([['stored', 'remove'], false]);
      }
    });

    test('one that never ends is reported and given up', async () => {
      const { fx, d1, log } = writing();
      expect(await code(() => fx.core.unbind(d1))).toBe('ETIMEDOUT');
      expect([log, fx.violations, d1.bound]).toEqual([['remove'], ['hung-callback'], false]);
    });
  });
});
