import {
  AuxName,
  AuxiliaryDevice,
  type AuxiliaryDriver,
  type Device,
  Errno,
  Kernel,
  PlatformDevice,
  type TraceEvent,
  rootDevice,
} from 'backplane';
import { FakeHost } from 'backplane/testing';
import { describe, expect, test } from 'vitest';
import { code } from './fixture.js';

const FOO = new AuxName<number>('pmod.foo');
const BAR = new AuxName('pmod.bar');

interface Bench {
  readonly kernel: Kernel;
  readonly par: Device;
  readonly log: string[];
  readonly violations: string[];
}

function bench(): Bench {
  const kernel = new Kernel(new FakeHost());
  const log: string[] = [];
  const violations: string[] = [];
  kernel.core.violations.on(({ rule }) => void violations.push(rule));
  kernel.core.tracer = ({ kind, who }: TraceEvent) => {
    if (kind === 'release') log.push(`REL(${who})`);
  };
  return { kernel, par: rootDevice(kernel.core, 'par'), log, violations };
}

const axdrv = (log: string[], more: Partial<AuxiliaryDriver> = {}): AuxiliaryDriver => ({
  name: 'drvmod.axdrv',
  ids: [FOO, BAR],
  probe: (dev, id) => void log.push(`aP(${dev.name}) id=${id.key}`),
  remove: (dev) => void log.push(`aR(${dev.name})`),
  ...more,
});

describe('auxiliary bus', () => {
  test('AUX-04: a driver registered later gets the devices that are there, in order', () => {
    const { kernel, par, log } = bench();
    void kernel.auxiliary.create(par, FOO, { id: 2, data: 1 });
    void kernel.auxiliary.create(par, BAR, { id: 1 });
    void kernel.auxiliary.create(par, FOO, { id: 1, data: 1 });
    void kernel.auxiliary.register(axdrv(log));
    expect(log).toEqual(['aP(pmod.foo.2) id=pmod.foo', 'aP(pmod.bar.1) id=pmod.bar', 'aP(pmod.foo.1) id=pmod.foo']);
  });

  test('AUX-11: whether a device is auxiliary is a matter of its class and its bus', () => {
    const { kernel, par } = bench();
    const dev = kernel.auxiliary.create(par, BAR, {}) as AuxiliaryDevice;
    expect([dev instanceof AuxiliaryDevice, dev.bus === (kernel.auxiliary as unknown), par instanceof AuxiliaryDevice]).toEqual([
      true,
      true,
      false,
    ]);
  });

  test('AUX-18: the first equal entry is handed to probe', () => {
    const { kernel, par } = bench();
    const seen: unknown[] = [];
    const twin = new AuxName<number>('pmod.foo');
    void kernel.auxiliary.register({
      name: 'x',
      ids: [BAR, FOO, twin] as AuxName<unknown>[],
      probe: (_dev, id) => void seen.push(id === FOO),
    });
    void kernel.auxiliary.create(par, FOO, { data: 5 });
    expect(seen).toEqual([true]);
  });

  test('AUX-20: MODALIAS is the key, in add and bind, not in unbind', () => {
    const { kernel, par, log } = bench();
    const all: string[] = [];
    kernel.core.uevents.on((e) => void (e.device !== undefined && all.push(`${e.action} ${e.env.get('MODALIAS')}`)));
    void kernel.auxiliary.register(axdrv(log));
    const dev = kernel.auxiliary.create(par, FOO, { id: 7, data: 1 }) as AuxiliaryDevice;
    void kernel.auxiliary.destroy(dev);
    expect(all).toEqual(['add auxiliary:pmod.foo', 'bind auxiliary:pmod.foo', 'unbind undefined', 'remove auxiliary:pmod.foo']);
  });

  test('AUX-26: a device is found by its name on the bus', () => {
    const { kernel, par } = bench();
    const dev = kernel.auxiliary.create(par, FOO, { id: 3, data: 9 }) as AuxiliaryDevice<number>;
    expect(kernel.auxiliary.find('pmod.foo.3')).toBe(dev);
    expect(kernel.auxiliary.find('pmod.foo.4')).toBeUndefined();
    expect(dev.data).toBe(9);
    expect(dev.platformData).toBeUndefined();
  });

  test('ids: automatic ones are the lowest free, come back, and step round those by hand', () => {
    const { kernel, par } = bench();
    const make = (id?: number): string =>
      (kernel.auxiliary.create(par, BAR, id === undefined ? {} : { id }) as AuxiliaryDevice).name;
    expect([make(1), make(), make(), make()]).toEqual(['pmod.bar.1', 'pmod.bar.0', 'pmod.bar.2', 'pmod.bar.3']);
    void kernel.auxiliary.destroy(kernel.auxiliary.find('pmod.bar.1'));
    void kernel.auxiliary.destroy(kernel.auxiliary.find('pmod.bar.0'));
    expect([make(), make(), make()]).toEqual(['pmod.bar.0', 'pmod.bar.1', 'pmod.bar.4']);
  });

  test('a part belongs to the binding of its maker: gone before remove, after a failed probe, and data reaches its driver', () => {
    const { kernel, log, violations } = bench();
    const fx = { fail: false };
    void kernel.auxiliary.register({
      name: 'sub',
      ids: [FOO],
      probe: (dev) => void log.push(`sub ${String(dev.data)}`),
      remove: () => void log.push('sub gone'),
    });
    const dev = new PlatformDevice({ name: 'plat' });
    void kernel.platform.register({
      name: 'plat',
      probe: (d) => {
        void kernel.auxiliary.add(d, FOO, { data: 42 });
        d.devres.defer('after', () => void log.push('after'));
        if (fx.fail) throw new Errno('EIO', 'no');
      },
      remove: () => void log.push('remove'),
    });
    void kernel.platform.add(dev);
    void kernel.core.unbind(dev);
    expect(log.splice(0)).toEqual(['sub 42', 'sub gone', 'REL(pmod.foo.0)', 'remove', 'after']);
    fx.fail = true;
    void kernel.core.attach(dev);
    expect(log.splice(0)).toEqual(['sub 42', 'sub gone', 'REL(pmod.foo.0)', 'after']);
    expect(violations).toEqual([]);
  });

  test('a part of an unbound device cannot be added, and nothing is left of it', async () => {
    const { kernel, par } = bench();
    expect(await code(() => kernel.auxiliary.add(par, FOO, { data: 1 }))).toBe('ENODEV');
    expect(kernel.auxiliary.devices).toEqual([]);
  });

  test('names that are not module.device are refused', async () => {
    for (const bad of ['foo', '.foo', 'a.', 'a/b.c', `m.${'x'.repeat(38)}`]) {
      expect(await code(() => new AuxName(bad))).toBe('EINVAL');
    }
    expect(await code(() => new AuxName(`m.${'x'.repeat(37)}`))).toBe('ok');
  });

  test('shutdown is called for bound devices alone', async () => {
    const { kernel, par, log } = bench();
    void kernel.auxiliary.create(par, BAR, { id: 1 });
    void kernel.auxiliary.create(par, FOO, { id: 1, data: 1 });
    void kernel.auxiliary.register({
      name: 's',
      ids: [FOO],
      probe: () => {},
      shutdown: (d) => void log.push(`SH ${d.name}`),
    });
    await kernel.core.shutdown();
    expect(log).toEqual(['SH pmod.foo.1']);
  });
});
