import { describe, expect, test } from 'vitest';
import { DeviceClass } from '../../../core/class/index.js';
import { Bus, Device, DeviceCore, type Driver, type TraceEvent } from '../../../core/device/index.js';
import { VirtualClock } from '../../../core/hal/index.js';
import { Errno } from '../../../core/lib/index.js';

interface Lamp {
  brighten(by: number): number;
  glow(): Promise<string>;
}

class Bulb implements Lamp {
  level = 0;
  readonly glows: { resolve(text: string): void; reject(error: Error): void }[] = [];
  secret = (): string => 'not for users';

  brighten(by: number): number {
    this.level += by;
    return this.level;
  }
  glow(): Promise<string> {
    return new Promise((resolve, reject) => this.glows.push({ resolve, reject }));
  }
}

const Lamps = new DeviceClass<Lamp>('lamp', { methods: ['brighten', 'glow'] });

/** A core with one bus, and a driver on it whose probe is `probe`. */
function fixture(probe: (dev: Device) => unknown, more: Partial<Driver> = {}) {
  const core = new DeviceCore({ clock: new VirtualClock({ mode: 'manual' }) });
  const bus = new Bus('test');
  core.registerBus(bus);
  const trace: TraceEvent[] = [];
  core.tracer = (event) => trace.push(event);
  const driver: Driver = { name: 'bulb', probe, ...more };
  void core.registerDriver(bus, driver);
  const add = (name: string): Device => {
    const dev = new Device({ name, bus, release: () => {} });
    void core.add(dev);
    return dev;
  };
  return { core, bus, driver, add, trace };
}

const publishing = (dev: Device): Bulb => dev.publish(Lamps, new Bulb());
const names = (core: DeviceCore): string[] => Lamps.list(core).map(([name]) => name);

describe('DeviceClass', () => {
  test('publish gives the driver its own object and users a handle with the methods of the contract alone', () => {
    const { core, add } = fixture(publishing);
    const dev = add('d0');
    const lamp = Lamps.get(core, 'lamp0');
    expect(dev.state).toBeInstanceOf(Bulb);
    expect(lamp).not.toBe(dev.state);
    expect(lamp.brighten(2)).toBe(2);
    expect(lamp.brighten(3)).toBe(5);
    expect((dev.state as Bulb).level).toBe(5);
    expect('level' in lamp || 'secret' in lamp).toBe(false);
  });

  test('the handle of one object is the same each time it is asked for', () => {
    const { core, add } = fixture(publishing);
    add('d0');
    expect(Lamps.get(core, 'lamp0')).toBe(Lamps.list(core)[0]![1]);
  });

  test('an object is not visible inside probe, and is before BOUND is notified', () => {
    const seen: string[][] = [];
    const { core, bus, add } = fixture((dev) => {
      dev.publish(Lamps, new Bulb());
      seen.push(names(dev.core!));
    });
    bus.notifier.on((event) => {
      if (event === 'BOUND') seen.push(names(core));
    });
    add('d0');
    expect(seen).toEqual([[], ['lamp0']]);
  });

  test('a probe that fails after publishing has shown nothing, and its name is free', () => {
    let attempts = 0;
    const { core, add } = fixture((dev) => {
      publishing(dev);
      if (attempts++ === 0) throw new Errno('EIO', `${dev.name}: broken`);
    });
    add('d0');
    expect(names(core)).toEqual([]);
    add('d1');
    expect(names(core)).toEqual(['lamp0']);
  });

  test('what a bound driver publishes later is visible at once', () => {
    const { core, add } = fixture(() => undefined);
    const dev = add('d0');
    dev.publish(Lamps, new Bulb(), 'late');
    expect(names(core)).toEqual(['late']);
  });

  test('names are the lowest free numbers, and given names are passed over', () => {
    const { core, add } = fixture((dev) => dev.publish(Lamps, new Bulb(), dev.name.startsWith('lamp') ? dev.name : undefined));
    add('lamp1');
    add('a');
    const b = add('b');
    add('c');
    expect(names(core)).toEqual(['lamp1', 'lamp0', 'lamp2', 'lamp3']);
    void core.remove(b);
    add('d');
    expect(names(core)).toEqual(['lamp1', 'lamp0', 'lamp3', 'lamp2']);
  });

  test('a name that was passed over for one given by hand is used once that is gone', () => {
    const { core, add } = fixture((dev) => dev.publish(Lamps, new Bulb(), dev.name === 'first' ? 'lamp0' : undefined));
    const first = add('first');
    add('a');
    void core.remove(first);
    add('b');
    expect(names(core)).toEqual(['lamp1', 'lamp0']);
  });

  test('the prefix names objects, the class keeps its own name', () => {
    const Nets = new DeviceClass<Lamp>('net', { methods: ['brighten', 'glow'], prefix: 'eth' });
    const { core, add } = fixture((dev) => dev.publish(Nets, new Bulb()));
    const dev = add('d0');
    expect(Nets.list(core).map(([name]) => name)).toEqual(['eth0']);
    expect(core.classes.get('net')?.devices.first?.path).toBe(`${dev.path}/net/eth0`);
  });

  test('a taken name is refused with EEXIST, which names the owner', () => {
    const { core, add } = fixture((dev) => dev.publish(Lamps, new Bulb(), 'desk'));
    add('d0');
    const second = add('d1');
    expect(second.bound).toBe(false);
    expect(second.probeError).toMatchObject({ message: 'EEXIST: d1: desk is taken in class lamp by d0' });
    expect(names(core)).toEqual(['desk']);
  });

  test('publishing without a driver is refused with ENODEV', () => {
    const { core, bus } = fixture(() => {
      throw new Errno('ENODEV', 'not mine');
    });
    const dev = new Device({ name: 'd0', bus, release: () => {} });
    expect(() => dev.publish(Lamps, new Bulb())).toThrow('ENODEV: d0: publishes in class lamp without being bound');
    void core.add(dev);
    expect(() => dev.publish(Lamps, new Bulb())).toThrow('ENODEV');
  });

  test('publishing in remove is refused with ENODEV', () => {
    let thrown: unknown;
    const { core, add } = fixture(publishing, {
      remove: (dev) => {
        try {
          dev.publish(Lamps, new Bulb());
        } catch (error) {
          thrown = error;
        }
      },
    });
    const dev = add('d0');
    void core.remove(dev);
    expect(Errno.is(thrown, 'ENODEV')).toBe(true);
    expect(dev.devres.size).toBe(0);
  });

  test('an object without a declared method is refused with EINVAL before it takes a name', () => {
    const { core, add } = fixture((dev) => dev.publish(Lamps, { brighten: () => 1 } as unknown as Lamp));
    const dev = add('d0');
    expect(dev.probeError).toMatchObject({ message: 'EINVAL: d0: what it publishes in class lamp has no method glow' });
    expect(core.classes.has('lamp')).toBe(false);
  });

  test('get of a name that is not there gives ENOENT with those that are', () => {
    const { core, add } = fixture(publishing);
    expect(() => Lamps.get(core, 'lamp0')).toThrow('ENOENT: lamp0: not in class lamp (there: none)');
    add('d0');
    expect(() => Lamps.get(core, 'lamp7')).toThrow('ENOENT: lamp7: not in class lamp (there: lamp0)');
  });

  test('one class serves two systems that do not see each other', () => {
    const one = fixture(publishing);
    const two = fixture(publishing);
    one.add('d0');
    two.add('d0');
    expect(names(one.core)).toEqual(['lamp0']);
    Lamps.get(two.core, 'lamp0').brighten(4);
    expect(Lamps.get(one.core, 'lamp0').brighten(1)).toBe(1);
  });

  test('the published object is a device of the class below its own device, with add and remove events', () => {
    const { core, add } = fixture(publishing);
    const events: string[] = [];
    core.uevents.on(({ action, devpath, subsystem }) => events.push(`${action} ${subsystem} ${devpath}`));
    const dev = add('d0');
    expect(dev.children.map((child) => child.name)).toEqual(['lamp0']);
    void core.unbind(dev);
    expect(dev.children).toEqual([]);
    expect(events).toEqual([
      'add test /devices/d0',
      'add lamp /devices/d0/lamp/lamp0',
      'bind test /devices/d0',
      'remove lamp /devices/d0/lamp/lamp0',
      'unbind test /devices/d0',
    ]);
  });

  test('removing a bound device with a published object breaks no rule', () => {
    const { core, add } = fixture(publishing);
    const broken: string[] = [];
    core.violations.on(({ rule }) => broken.push(rule));
    void core.remove(add('d0'));
    expect(broken).toEqual([]);
    expect(core.classes.has('lamp')).toBe(false);
  });

  test('a class device that was removed by hand does not stop the unbind', () => {
    const { core, add, trace } = fixture(publishing, { remove: () => {} });
    const dev = add('d0');
    void core.remove(dev.children[0]!);
    void core.unbind(dev);
    expect(dev.bound).toBe(false);
    expect(trace.some(({ kind, who }) => kind === 'remove' && who === 'd0')).toBe(true);
    expect(core.classes.has('lamp')).toBe(false);
  });

  test('two classes of one name cannot be in one system', () => {
    const Other = new DeviceClass<Lamp>('lamp', { methods: ['brighten', 'glow'] });
    const { add } = fixture((dev) => dev.publish(dev.name === 'd0' ? Lamps : Other, new Bulb()));
    add('d0');
    expect(add('d1').probeError).toMatchObject({ message: 'EEXIST: class lamp: is registered already' });
  });

  test('the ledger names the acquisition after the class', () => {
    const { add } = fixture(publishing);
    expect(
      add('d0')
        .devres.entries()
        .map((e) => e.label),
    ).toEqual(['class lamp']);
  });
});

describe('the handle of a published object', () => {
  test('throws ENODEV from the start of unbind, before remove runs', () => {
    const seen: string[] = [];
    const kept: Lamp[] = [];
    const { core, add } = fixture(publishing, {
      remove: () => {
        try {
          kept[0]!.brighten(1);
        } catch (error) {
          seen.push((error as Error).message);
        }
        seen.push(`visible: ${names(core).length}`);
      },
    });
    const dev = add('d0');
    kept.push(Lamps.get(core, 'lamp0'));
    void core.unbind(dev);
    expect(seen).toEqual(['ENODEV: lamp0: is gone', 'visible: 0']);
  });

  test('stays dead when the device is bound again, whose object is a new one of the same name', () => {
    const { core, add } = fixture(publishing);
    const dev = add('d0');
    const old = Lamps.get(core, 'lamp0');
    void core.reprobe(dev);
    expect(() => old.brighten(1)).toThrow('ENODEV: lamp0: is gone');
    expect(Lamps.get(core, 'lamp0').brighten(1)).toBe(1);
  });

  test('rejects those who wait with ENODEV, oldest first, before remove runs', async () => {
    const order: string[] = [];
    const { core, add } = fixture(publishing, { remove: () => Promise.resolve().then(() => void order.push('remove is over')) });
    const dev = add('d0');
    const lamp = Lamps.get(core, 'lamp0');
    const waits = [1, 2].map((n) => lamp.glow().catch((error: Error) => order.push(`${n}: ${error.message}`)));
    await core.unbind(dev);
    await Promise.all(waits);
    expect(order.slice(0, 2)).toEqual(['1: ENODEV: lamp0: is gone', '2: ENODEV: lamp0: is gone']);
  });

  test('a promise that the object settles in time is passed on as it is', async () => {
    const { core, add } = fixture(publishing);
    const bulb = add('d0').state as Bulb;
    const lamp = Lamps.get(core, 'lamp0');
    const good = lamp.glow();
    const bad = lamp.glow();
    bulb.glows[0]!.resolve('warm');
    bulb.glows[1]!.reject(new RangeError('too hot'));
    await expect(good).resolves.toBe('warm');
    await expect(bad).rejects.toThrow(RangeError);
  });

  test('what the object does after it is gone reaches nobody', async () => {
    const { core, add } = fixture(publishing);
    const dev = add('d0');
    const bulb = dev.state as Bulb;
    const wait = Lamps.get(core, 'lamp0').glow();
    void core.unbind(dev);
    bulb.glows[0]!.resolve('late');
    await expect(wait).rejects.toThrow('ENODEV: lamp0: is gone');
  });

  test('a method that has given a promise gives one that is rejected with ENODEV, one that has not throws', async () => {
    const { core, add } = fixture(publishing);
    const dev = add('d0');
    const lamp = Lamps.get(core, 'lamp0');
    const wait = lamp.glow();
    void core.unbind(dev);
    await expect(wait).rejects.toThrow('ENODEV: lamp0: is gone');
    await expect(lamp.glow()).rejects.toThrow('ENODEV: lamp0: is gone');
    expect(() => lamp.brighten(1)).toThrow('ENODEV: lamp0: is gone');
  });

  test('a method declared async gives a rejected promise also when it was never called before', async () => {
    const { core, add } = fixture((dev) => dev.publish(Lamps, { brighten: () => 1, glow: async () => 'warm' }));
    const dev = add('d0');
    const lamp = Lamps.get(core, 'lamp0');
    void core.unbind(dev);
    await expect(lamp.glow()).rejects.toThrow('ENODEV: lamp0: is gone');
  });

  test('an error that the object throws comes through unchanged', () => {
    const error = new Errno('ERANGE', 'lamp0: too bright');
    const { core, add } = fixture((dev) =>
      dev.publish(Lamps, {
        brighten: () => {
          throw error;
        },
        glow: () => Promise.resolve(''),
      }),
    );
    add('d0');
    expect(() => Lamps.get(core, 'lamp0').brighten(1)).toThrow(error);
  });

  test('handles of one class share one method: a call makes no closure', () => {
    const { core, add } = fixture(publishing);
    add('d0');
    add('d1');
    const [a, b] = Lamps.list(core).map(([, lamp]) => lamp);
    expect(a!.brighten).toBe(b!.brighten);
    expect(a!.brighten.name).toBe('brighten');
    expect(Object.keys(a!)).toEqual([]);
  });

  test('publishing and withdrawing are steps of the trace, children and remove come after', () => {
    const { core, add, trace } = fixture(
      (dev) => {
        publishing(dev);
        void core.addChild(dev, new Device({ name: 'part', parent: dev, release: () => {} }));
      },
      { remove: () => {} },
    );
    const dev = add('d0');
    void core.unbind(dev);
    const steps = trace.filter(({ kind }) => ['publish', 'withdraw', 'remove', 'release'].includes(kind));
    expect(steps.map(({ kind, who, detail }) => [kind, who, detail].join(' ').trim())).toEqual([
      'publish d0 lamp0',
      'withdraw d0 lamp0',
      'release lamp0',
      'release part',
      'remove d0',
    ]);
  });
});
