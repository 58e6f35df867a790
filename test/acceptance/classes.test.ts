import { Bus, Class, type ClassInterface, Device, DeviceClass, deviceCreate } from 'backplane';
import { describe, expect, test } from 'vitest';
import { Fixture, code, driver, gate, turns } from './fixture.js';

interface Bell {
  ring(): string;
  wait(): Promise<string>;
}

describe('published objects', () => {
  const make = (): { fx: Fixture; Bells: DeviceClass<Bell>; log: string[]; g: ReturnType<typeof gate<string>> } => {
    const fx = new Fixture();
    const Bells = new DeviceClass<Bell>('bell', { methods: ['ring', 'wait'] });
    const log: string[] = [];
    const g = gate<string>();
    fx.reg(
      driver('A', 'd', {
        probe: (dev: Device) => {
          dev.publish(Bells, { ring: () => `${dev.name} rings`, wait: () => g.promise });
          log.push(`in probe: ${Bells.list(fx.core).length}`);
        },
        remove: () => void log.push(`in remove: ${Bells.list(fx.core).length}`),
      }),
    );
    return { fx, Bells, log, g };
  };

  test('are visible from BOUND to unbind, not in probe, not in remove', () => {
    const { fx, Bells, log } = make();
    fx.tb.notifier.on((event) => void (event.endsWith('BOUND') && log.push(`${event}: ${Bells.list(fx.core).length}`)));
    const d1 = fx.add('d1');
    expect(Bells.get(fx.core, 'bell0').ring()).toBe('d1 rings');
    void fx.core.unbind(d1);
    expect(log).toEqual(['in probe: 0', 'BOUND: 1', 'in remove: 0', 'UNBOUND: 0']);
  });

  test('waiters are woken with ENODEV before remove; numbers come back', async () => {
    const { fx, Bells } = make();
    const d1 = fx.add('d1');
    fx.add('d2');
    expect(Bells.list(fx.core).map(([n]) => n)).toEqual(['bell0', 'bell1']);
    const waiting = code(() => Bells.get(fx.core, 'bell0').wait());
    const one = Bells.get(fx.core, 'bell0');
    void fx.core.unbind(d1);
    expect(await waiting).toBe('ENODEV');
    expect(await code(() => one.ring())).toBe('ENODEV');
    await fx.core.attach(d1);
    expect(
      Bells.list(fx.core)
        .map(([n]) => n)
        .sort(),
    ).toEqual(['bell0', 'bell1']);
    expect(await code(() => one.ring())).toBe('ENODEV');
  });

  test('of a probe that fails nothing is seen; outside a binding publish is ENODEV', async () => {
    const fx = new Fixture();
    const Bells = new DeviceClass<Bell>('bell', { methods: ['ring', 'wait'] });
    const object: Bell = { ring: () => '', wait: async () => '' };
    fx.reg(driver('A', 'd', { body: (dev) => void dev.publish(Bells, object), results: ['EIO'] }));
    const d1 = fx.add('d1');
    expect([Bells.list(fx.core), fx.core.classes.size, d1.devres.size]).toEqual([[], 0, 0]);
    expect(await code(() => d1.publish(Bells, object))).toBe('ENODEV');
    expect(await code(() => d1.publish(Bells, {} as Bell))).toBe('ENODEV');
  });
});

describe('classes', () => {
  test('an interface that adds to its own class is refused, as it would wait for itself', async () => {
    const fx = new Fixture();
    const cls = new Class('c');
    fx.core.registerClass(cls);
    const codes: string[] = [];
    const face: ClassInterface = {
      addDev: (dev) => {
        void code(() => deviceCreate(fx.core, cls, { name: `${dev.name}x` })).then((c) => codes.push(c));
      },
      removeDev: (dev) => {
        void code(() => fx.core.remove(dev)).then((c) => codes.push(c));
      },
    };
    fx.core.registerInterface(cls, face);
    const c0 = deviceCreate(fx.core, cls, { name: 'c0' });
    await turns();
    expect(codes.splice(0)).toEqual(['EDEADLK']);
    fx.core.unregisterInterface(cls, face);
    await turns();
    expect([codes, c0.registered]).toEqual([['EDEADLK'], true]);
  });

  test('an interface that throws is reported and stops nothing', async () => {
    const fx = new Fixture();
    const cls = new Class('c');
    fx.core.registerClass(cls);
    const bad = (): never => {
      throw new Error('interface');
    };
    deviceCreate(fx.core, cls, { name: 'c0' });
    expect(await code(() => fx.core.registerInterface(cls, { addDev: bad, removeDev: bad }))).toBe('ok');
    const c1 = deviceCreate(fx.core, cls, { name: 'c1' });
    expect(await code(() => fx.core.remove(c1))).toBe('ok');
    expect(fx.violations).toEqual(['callback-threw', 'callback-threw', 'callback-threw']);
  });

  test('a class with devices cannot be unregistered, and can when they are gone', async () => {
    const fx = new Fixture();
    const cls = new Class('c');
    fx.core.registerClass(cls);
    const c0 = deviceCreate(fx.core, cls, { name: 'c0' });
    expect(await code(() => fx.core.unregisterClass(cls))).toBe('EBUSY');
    await fx.core.remove(c0);
    expect(await code(() => fx.core.unregisterClass(cls))).toBe('ok');
    expect(await code(() => fx.core.unregisterClass(cls))).toBe('EINVAL');
  });
});

describe('buses that need the lock of the parent', () => {
  test('ASY-20: a probe waits for the parent to be free, and holds it', async () => {
    const fx = new Fixture();
    const usb = new Bus('usb', { needParentLock: true });
    fx.core.registerBus(usb);
    const g = gate();
    const log: string[] = [];
    fx.reg(
      driver('hub', 'h', {
        remove: async () => {
          log.push('hub remove');
          await g.promise;
          log.push('hub removed');
        },
      }),
    );
    const hub = fx.add('hub');
    const port = new Device({ name: 'port', bus: usb, parent: hub, release: () => {} });
    void fx.core.add(port);
    const unbound = fx.core.unbind(hub);
    const registered = fx.core.registerDriver(usb, { name: 'stick', probe: () => void log.push('stick probe') });
    await turns();
    expect(log).toEqual(['hub remove']);
    g.open();
    await Promise.all([unbound, registered]);
    expect(log).toEqual(['hub remove', 'hub removed', 'stick probe']);
    await Promise.all([fx.core.unbind(port), fx.core.attach(hub)]);
    expect([port.bound, hub.bound]).toEqual([false, true]);
  });
});
