import { describe, expect, test } from 'vitest';
import { AuxName, AuxiliaryBus } from '../../../core/auxiliary/index.js';
import { Bus, Class, Device, type Driver, type PmOps, deviceCreate } from '../../../core/device/index.js';
import { Errno } from '../../../core/lib/errno.js';
import { Fixture, type FixtureOptions, type TestDriver, errno, errnoLater, gate, sync } from './conformance/fixture.js';

const PHASES = [
  'prepare',
  'suspend',
  'suspendLate',
  'suspendNoirq',
  'resumeNoirq',
  'resumeEarly',
  'resume',
  'complete',
] as const satisfies readonly (keyof PmOps)[];
type Phase = (typeof PHASES)[number];

/** A fixture whose calls of power management are noted in `said`. */
class Sleeper extends Fixture {
  readonly said: string[] = [];
  /** What a call, such as `suspend(p2)`, does. */
  readonly on = new Map<string, (dev: Device) => void | Promise<void>>();

  constructor(options: FixtureOptions = {}) {
    super(options);
    this.core.uevents.on(() => undefined);
  }

  /** Operations for the named phases that note `word(dev)`. */
  pm(phases: readonly Phase[], word = (phase: string): string => phase): PmOps {
    return Object.fromEntries(
      phases.map((phase) => [
        phase,
        (dev: Device): void | Promise<void> => {
          const call = `${word(phase)}(${dev.name})`;
          this.said.push(call);
          return this.on.get(call)?.(dev);
        },
      ]),
    );
  }

  /** Registers a driver on tb with these phases. */
  sleeper(name: string, prefix: string, phases: readonly Phase[] = PHASES): TestDriver {
    const driver = Object.assign(this.driver(name, prefix), { pm: this.pm(phases) });
    sync(this.core.registerDriver(this.tb, driver));
    return driver;
  }

  /** p1, p2 (child of p1), p3, and an auxiliary child of p1 whose driver has suspend and resume alone. */
  family(): { p1: Device; p2: Device; p3: Device; aux: Device } {
    this.sleeper('A', 'p');
    const bus = new AuxiliaryBus(this.core);
    const name = new AuxName('m.aux');
    sync(bus.register({ name: 'aux', ids: [name], probe: () => undefined, pm: this.pm(['suspend', 'resume']) }));
    const p1 = this.add('p1');
    const p2 = this.add('p2', { parent: p1 });
    const p3 = this.add('p3');
    return { p1, p2, p3, aux: sync(bus.add(p1, name, { id: 0 })) };
  }

  /** The calls since the last time. */
  heard(): string[] {
    return this.said.splice(0).map((call) => call.replace('m.aux.0', 'aux'));
  }
}

const all = (phase: Phase, ...devices: string[]): string[] => devices.map((d) => `${phase}(${d})`);

describe('suspend and resume', () => {
  test('PM-03: phases go forward, backward, forward, backward over all devices', () => {
    const f = new Sleeper();
    f.family();
    sync(f.core.suspend());
    expect(f.heard()).toEqual([
      ...all('prepare', 'p1', 'p2', 'p3'),
      ...all('suspend', 'aux', 'p3', 'p2', 'p1'),
      ...all('suspendLate', 'p3', 'p2', 'p1'),
      ...all('suspendNoirq', 'p3', 'p2', 'p1'),
    ]);
    sync(f.core.resume());
    expect(f.heard()).toEqual([
      ...all('resumeNoirq', 'p1', 'p2', 'p3'),
      ...all('resumeEarly', 'p1', 'p2', 'p3'),
      ...all('resume', 'p1', 'p2', 'p3', 'aux'),
      ...all('complete', 'p3', 'p2', 'p1'),
    ]);
  });

  test('PM-04: a device added meanwhile is probed after complete', () => {
    const f = new Sleeper();
    f.family();
    sync(f.core.suspend());
    const p9 = f.add('p9');
    expect(p9.bound).toBe(false);
    expect(f.deferred()).toEqual(['p9']);
    f.heard();
    let boundAtComplete: boolean | undefined;
    f.on.set('complete(p1)', () => void (boundAtComplete = p9.bound));
    sync(f.core.resume());
    expect(boundAtComplete).toBe(false);
    expect(p9.bound).toBe(true);
    expect(f.heard()).not.toContain('complete(p9)');
  });

  test('PM-05: when one refuses, those before it are resumed and all are completed', () => {
    const f = new Sleeper();
    const { p3 } = f.family();
    f.on.set('suspend(p2)', () => {
      throw new Errno('EBUSY', 'p2: in the middle of something');
    });
    f.take();
    expect(errno(() => f.core.suspend())).toBe('-EBUSY');
    expect(f.heard().slice(3)).toEqual([
      ...all('suspend', 'aux', 'p3', 'p2'),
      ...all('resume', 'p3', 'aux'),
      ...all('complete', 'p3', 'p2', 'p1'),
    ]);
    expect(f.take()).toEqual(['L:err:suspend_failed']);
    expect(p3.bound).toBe(true);
    expect(f.core.probingBlocked).toBe(false);
    expect(errno(() => f.core.resume())).toBe('-EINVAL');
  });

  test('PM-05: a refusal in a later phase undoes each phase for those that went through it', () => {
    const f = new Sleeper();
    f.sleeper('A', 'p');
    for (const name of ['p1', 'p2', 'p3']) f.add(name);
    f.on.set('suspendNoirq(p2)', () => {
      throw new Errno('EIO', 'p2: stuck');
    });
    expect(errno(() => f.core.suspend())).toBe('-EIO');
    expect(f.heard().slice(9)).toEqual([
      ...all('suspendNoirq', 'p3', 'p2'),
      ...all('resumeNoirq', 'p3'),
      ...all('resumeEarly', 'p1', 'p2', 'p3'),
      ...all('resume', 'p1', 'p2', 'p3'),
      ...all('complete', 'p3', 'p2', 'p1'),
    ]);
  });

  test('a refusal of prepare completes those that were prepared, and EAGAIN is none', () => {
    const f = new Sleeper();
    f.sleeper('A', 'p', ['prepare', 'suspend', 'complete']);
    for (const name of ['p1', 'p2', 'p3']) f.add(name);
    f.on.set('prepare(p1)', () => {
      throw new Errno('EAGAIN', 'p1: later');
    });
    f.on.set('prepare(p3)', () => {
      throw new Errno('EIO', 'p3: no');
    });
    expect(errno(() => f.core.suspend())).toBe('-EIO');
    expect(f.heard()).toEqual([...all('prepare', 'p1', 'p2', 'p3'), ...all('complete', 'p2', 'p1')]);
  });

  test('PM-06, PM-09: a link moves the consumer and all below it behind its supplier', () => {
    const f = new Sleeper();
    const { p1, p3 } = f.family();
    f.core.link(p1, p3);
    sync(f.core.suspend());
    expect(f.heard().slice(0, 7)).toEqual([...all('prepare', 'p3', 'p1', 'p2'), ...all('suspend', 'aux', 'p2', 'p1', 'p3')]);
    sync(f.core.resume());
    expect(f.heard().slice(6)).toEqual([...all('resume', 'p3', 'p1', 'p2', 'aux'), ...all('complete', 'p2', 'p1', 'p3')]);
  });

  test('PM-09: consumers of what is moved move as well', () => {
    const f = new Sleeper();
    f.sleeper('A', 'p', ['prepare']);
    const [p1, p2, , p4] = ['p1', 'p2', 'p3', 'p4'].map((name) => f.add(name));
    f.core.link(p2!, p1!);
    f.core.link(p1!, p4!);
    sync(f.core.suspend());
    expect(f.heard()).toEqual(all('prepare', 'p3', 'p4', 'p1', 'p2'));
  });

  test('PM-07: a deferred device goes to the end before its retry', async () => {
    const f = new Sleeper();
    sync(f.core.registerDriver(f.tb, Object.assign(f.driver('Q', 'q', 'EPROBE_DEFER', 0), { pm: f.pm(['suspend']) })));
    f.sleeper('A', 'p', ['suspend']);
    const q1 = f.add('q1');
    f.add('p1');
    await f.core.settle();
    expect(q1.bound).toBe(true);
    await f.core.suspend();
    expect(f.heard()).toEqual(all('suspend', 'q1', 'p1'));
  });

  test('PM-08: the callbacks are those of the type, else the class, else the bus, else the driver', () => {
    const f = new Sleeper();
    const from = (who: string, ...phases: Phase[]): PmOps => f.pm(phases, (phase) => `${who}.${phase}`);
    const bus = new Bus('pm', { pm: from('bus', 'suspend') });
    const cls = new Class('cls', { pm: from('class', 'suspend'), devRelease: () => {} });
    f.core.registerBus(bus);
    f.core.registerClass(cls);
    const driver: Driver = { name: 'D', pm: from('driver', 'suspend', 'suspendLate') };
    sync(bus.register(driver));
    const type = { name: 't', pm: from('type', 'suspend') };
    const release = (): void => {};
    sync(f.core.add(new Device({ name: 'typed', type, class: cls, release })));
    deviceCreate(f.core, cls, { name: 'classed' });
    sync(bus.add(new Device({ name: 'bussed', release })));
    sync(bus.add(new Device({ name: 'both', type, release })));
    sync(f.core.suspend());
    expect(f.heard()).toEqual([
      'type.suspend(both)',
      'bus.suspend(bussed)',
      'class.suspend(classed)',
      'type.suspend(typed)',
      'driver.suspendLate(both)',
      'driver.suspendLate(bussed)',
    ]);
  });

  test('an unbound device and one without power management are passed by', () => {
    const f = new Sleeper();
    const driver = f.sleeper('A', 'p', ['suspend']);
    const p1 = f.add('p1');
    f.add('p2', { pm: false });
    sync(f.core.unbind(p1, driver));
    sync(f.core.suspend());
    expect(f.heard()).toEqual([]);
  });

  test('a device that is removed while the system sleeps is not woken', () => {
    const f = new Sleeper();
    f.sleeper('A', 'p');
    const p1 = f.add('p1');
    f.add('p2');
    sync(f.core.suspend());
    sync(f.core.remove(p1));
    f.heard();
    sync(f.core.resume());
    expect(f.heard()).toEqual(['resumeNoirq(p2)', 'resumeEarly(p2)', 'resume(p2)', 'complete(p2)']);
  });

  test('resume calls every device and throws what failed at the end', () => {
    const f = new Sleeper();
    f.sleeper('A', 'p', ['resume', 'complete']);
    for (const name of ['p1', 'p2']) f.add(name);
    for (const name of ['p1', 'p2']) {
      f.on.set(`resume(${name})`, () => {
        throw new Errno('EIO', `${name}: does not wake`);
      });
    }
    sync(f.core.suspend());
    expect(() => f.core.resume()).toThrow(AggregateError);
    expect(f.heard()).toEqual([...all('resume', 'p1', 'p2'), ...all('complete', 'p2', 'p1')]);
    expect(f.core.probingBlocked).toBe(false);
  });

  test('asynchronous callbacks are waited for, one after the other', async () => {
    const f = new Sleeper();
    f.sleeper('A', 'p', ['suspend']);
    f.add('p1');
    f.add('p2');
    const slow = gate();
    f.on.set('suspend(p2)', () => slow.wait);
    const sleeping = f.core.suspend();
    expect(sleeping).toBeInstanceOf(Promise);
    expect(f.heard()).toEqual(['suspend(p2)']);
    slow.open();
    await sleeping;
    expect(f.heard()).toEqual(['suspend(p1)']);
  });

  test('a callback that never ends is given up', async () => {
    const f = new Sleeper({ callbackLimitUs: 1_000 });
    f.sleeper('A', 'p', ['suspend']);
    f.add('p1');
    f.on.set('suspend(p1)', () => gate().wait);
    const sleeping = errnoLater(() => f.core.suspend());
    f.clock.elapse(1_000);
    expect(await sleeping).toBe('-ETIMEDOUT');
    expect(f.violations).toEqual(['hung-callback']);
  });

  test('twice is refused, and so is a callback that asks for it', () => {
    const f = new Sleeper();
    f.sleeper('A', 'p', ['suspend']);
    f.add('p1');
    let inside: unknown;
    f.on.set('suspend(p1)', () => void (inside = errno(() => f.core.suspend())));
    sync(f.core.suspend());
    expect(inside).toBe('-EDEADLK');
    expect(errno(() => f.core.suspend())).toBe('-EBUSY');
    sync(f.core.resume());
    expect(errno(() => f.core.resume())).toBe('-EINVAL');
  });

  test('suspend waits for the probes that run', async () => {
    const f = new Sleeper();
    const slow = gate();
    sync(
      f.core.registerDriver(
        f.tb,
        Object.assign(
          f.driver('A', 'p', () => slow.wait),
          { pm: f.pm(['suspend']) },
        ),
      ),
    );
    const adding = f.core.add(f.device('p1'));
    const sleeping = f.core.suspend();
    expect(f.heard()).toEqual([]);
    slow.open();
    await adding;
    await sleeping;
    expect(f.heard()).toEqual(['suspend(p1)']);
  });
});
