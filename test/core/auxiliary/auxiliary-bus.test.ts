import { describe, expect, test } from 'vitest';
import { AuxName, AuxiliaryBus, AuxiliaryDevice, type AuxiliaryDriver } from '../../../core/auxiliary/index.js';
import { DeviceCore } from '../../../core/device/index.js';
import { VirtualClock } from '../../../core/hal/virtual-clock.js';
import { Errno } from '../../../core/lib/errno.js';
import { ADD, GONE, UNB, errno, gate, sync } from '../device/conformance/fixture.js';
import { AuxFixture, BAR, FOO } from './fixture.js';

const OTHER = new AuxName('other.foo');

describe('managed auxiliary child', () => {
  test('its driver gets the typed data of its parent', () => {
    const f = new AuxFixture();
    const speeds: number[] = [];
    const driver: AuxiliaryDriver<{ readonly speed: number }> = {
      name: 'foo',
      ids: [FOO],
      probe: (dev) => void speeds.push(dev.data.speed),
    };
    sync(f.aux.register(driver));
    const child = sync(f.aux.add(f.boundParent(), FOO, { id: 3, data: { speed: 25 } }));
    expect(child.name).toBe('pmod.foo.3');
    expect(child.data.speed).toBe(25);
    expect(speeds).toEqual([25]);
  });

  test('RES-27, AUX-24: it is unbound and gone before the remove of its parent, and not in the ledger phase as in Linux', () => {
    const f = new AuxFixture();
    sync(f.aux.register(f.axdrv()));
    f.register('A', 'p', (p) => {
      sync(f.aux.add(p, BAR, { id: 5, release: (dev) => f.tokens.push(`REL(${dev.name})`) }));
      f.act(p, 'after');
    });
    const p = f.add('p');
    expect(f.trace(() => f.core.unbind(p))).toEqual([
      'N:UNBIND(p)',
      'R(pmod.bar.5,axdrv)',
      'aR(pmod.bar.5)',
      'U:unbind(pmod.bar.5)',
      'U:remove(pmod.bar.5)',
      'REL(pmod.bar.5)',
      ...UNB('p', 'A', 'after').slice(1),
    ]);
  });

  test('RES-28: it is gone after the failed probe of its parent, before what that acquired', () => {
    const f = new AuxFixture();
    sync(f.aux.register(f.axdrv()));
    f.register('A', 'p', (p) => {
      sync(f.aux.add(p, BAR, { id: 5 }));
      f.act(p, 'after');
      throw new Errno('EIO', 'no answer');
    });
    const dev = f.device('p');
    expect(f.said(() => f.core.add(dev))).toEqual([
      'aP(pmod.bar.5) id=pmod.bar',
      'L:err:probe_failed',
      'aR(pmod.bar.5)',
      'dm(after)',
    ]);
    expect(f.aux.devices).toEqual([]);
  });

  test('several go last first', () => {
    const f = new AuxFixture();
    sync(f.aux.register(f.axdrv()));
    const par = f.boundParent();
    for (const id of [0, 1, 2]) sync(f.aux.add(par, BAR, { id }));
    const gone = f.said(() => f.core.unbind(par));
    expect(gone).toEqual(['aR(pmod.bar.2)', 'aR(pmod.bar.1)', 'aR(pmod.bar.0)']);
  });

  test('an unbound device can have none', () => {
    const f = new AuxFixture();
    const par = f.add('par');
    let released = 0;
    expect(errno(() => f.aux.add(par, BAR, { id: 1, release: () => void released++ }))).toBe('-ENODEV');
    expect(released).toBe(1);
  });

  test('absent ids are the lowest free, beside those given by hand', () => {
    const f = new AuxFixture();
    const par = f.boundParent();
    const auto = () => sync(f.aux.add(par, BAR, {}));
    const hand = sync(f.aux.add(par, BAR, { id: 1 }));
    const zero = auto();
    expect([zero.id, auto().id, auto().id]).toEqual([0, 2, 3]);
    sync(f.aux.remove(hand));
    expect(auto().id).toBe(1);
    sync(f.aux.remove(zero));
    expect(auto().name).toBe('pmod.bar.0');
    expect(sync(f.aux.add(par, FOO, { data: { speed: 1 } })).id).toBe(0);
  });

  test('a device that is added twice is refused, and its id comes back once', () => {
    const f = new AuxFixture();
    const dev = new AuxiliaryDevice<undefined>({ parent: f.add('par'), name: BAR });
    sync(f.aux.add(dev));
    expect(errno(() => f.aux.add(dev))).toBe('-EINVAL');
    sync(f.aux.remove(dev));
    expect(sync(f.aux.create(f.add('other'), BAR, {})).id).toBe(0);
  });

  test('an automatic id comes back when adding fails', () => {
    const f = new AuxFixture();
    const par = f.boundParent();
    f.core.devresHooks = {
      acquiring: (_ledger, label) => {
        throw new Errno('ENOMEM', label);
      },
    };
    expect(errno(() => f.aux.add(par, BAR, {}))).toBe('-ENOMEM');
    f.core.devresHooks = undefined;
    expect(sync(f.aux.add(par, BAR, {})).id).toBe(0);
  });

  test('AUX-23: when it cannot be recorded nothing is left of it', () => {
    const f = new AuxFixture();
    const par = f.boundParent();
    const labels: string[] = [];
    f.core.devresHooks = {
      acquiring: (_ledger, label) => {
        labels.push(label);
        throw new Errno('ENOMEM', label);
      },
    };
    let released = 0;
    expect(errno(() => f.aux.add(par, BAR, { id: 1, release: () => void released++ }))).toBe('-ENOMEM');
    expect(labels).toEqual(['child pmod.bar.1']);
    expect(released).toBe(1);
    expect(f.aux.devices).toEqual([]);
  });

  test('AUX-22: a name that is taken leaves nothing, and the bound parent stays bound', () => {
    const f = new AuxFixture();
    const par = f.boundParent();
    sync(f.aux.add(par, BAR, { id: 1 }));
    let released = 0;
    expect(errno(() => f.aux.add(par, BAR, { id: 1, release: () => void released++ }))).toBe('-EEXIST');
    expect(released).toBe(1);
    expect(f.trace(() => f.core.unbind(par)).filter((t) => t.startsWith('U:remove'))).toEqual(['U:remove(pmod.bar.1)']);
  });

  test('its handle ends it early', () => {
    const f = new AuxFixture();
    sync(f.aux.register(f.axdrv()));
    const par = f.boundParent();
    {
      using child = sync(f.aux.add(par, BAR, { id: 1 }));
      expect(child.bound).toBe(true);
    }
    expect(f.aux.devices).toEqual([]);
    expect(f.said(() => f.core.unbind(par))).toEqual([]);
  });

  test('disposing of it twice, or after it went with its parent, is harmless', async () => {
    const f = new AuxFixture();
    const par = f.boundParent();
    const child = sync(f.aux.add(par, BAR, { id: 1 }));
    sync(f.core.unbind(par));
    child[Symbol.dispose]();
    await child[Symbol.asyncDispose]();
    expect(f.violations).toEqual([]);
  });

  test('an asynchronous remove refuses using, and await using waits for it', async () => {
    const f = new AuxFixture();
    const slow = gate();
    sync(f.aux.register(f.axdrv({ remove: () => slow.wait })));
    const par = f.boundParent();
    const child = sync(f.aux.add(par, BAR, { id: 1 }));
    expect(errno(() => child[Symbol.dispose]())).toBe('-EBUSY');
    slow.open();
    await f.core.settle();
    expect(child.registered).toBe(false);
    const second = sync(f.aux.add(par, BAR, { id: 1 }));
    await second[Symbol.asyncDispose]();
    expect(f.aux.devices).toEqual([]);
  });

  test('add waits for a probe that waits, and gives the device then', async () => {
    const f = new AuxFixture();
    const slow = gate();
    sync(f.aux.register(f.axdrv({ probe: () => slow.wait })));
    const par = f.boundParent();
    const adding = f.aux.add(par, BAR, { id: 1 });
    expect(adding).toBeInstanceOf(Promise);
    slow.open();
    expect((await adding).bound).toBe(true);
  });

  test('a parent that fails while the probe of its child waits takes the child along', async () => {
    const f = new AuxFixture();
    const slow = gate();
    sync(f.aux.register(f.axdrv({ probe: () => slow.wait })));
    f.register('A', 'p', (p) => {
      void f.aux.add(p, BAR, { id: 1 });
      throw new Errno('EIO', 'no answer');
    });
    const adding = f.core.add(f.device('p'));
    slow.open();
    await adding;
    expect(f.take().slice(-6)).toContain('aR(pmod.bar.1)');
    expect(f.aux.devices).toEqual([]);
  });
});

describe('AUX-10: create and destroy', () => {
  test('make a device that no driver owns, and take it away', () => {
    const f = new AuxFixture();
    sync(f.aux.register(f.axdrv()));
    const par = f.add('par');
    let made: AuxiliaryDevice | undefined;
    expect(f.said(() => void (made = sync(f.aux.create(par, FOO, { id: 9, data: { speed: 1 } }))))).toEqual([
      'aP(pmod.foo.9) id=pmod.foo',
    ]);
    expect(errno(() => f.aux.create(par, FOO, { id: 9, data: { speed: 1 } }))).toBe('-EEXIST');
    expect(f.said(() => f.aux.destroy(made))).toEqual(['aR(pmod.foo.9)']);
    expect(errno(() => f.aux.destroy(undefined))).toBeUndefined();
  });
});

describe('auxiliary bus', () => {
  test('a system has one', () => {
    const core = new DeviceCore({ clock: new VirtualClock({ mode: 'manual' }) });
    const aux = new AuxiliaryBus(core);
    expect(core.buses.get('auxiliary')).toBe(aux);
    expect(errno(() => void new AuxiliaryBus(core))).toBe('-EEXIST');
  });

  test('says why a driver does not match', () => {
    const f = new AuxFixture();
    const dev = f.raw(f.add('par'), OTHER, 1);
    expect(f.aux.ops.explain?.(dev, f.axdrv())).toBe('other.foo is not in pmod.foo, pmod.bar');
  });

  test('a device added and removed leaves the tokens of any other bus', () => {
    const f = new AuxFixture();
    const par = f.add('par');
    f.aux.notifier.on((event, dev) => f.tokens.push(`N:${event}(${dev.name})`));
    const dev = f.raw(par, BAR, 1);
    expect(f.trace(() => f.aux.add(dev))).toEqual(ADD('pmod.bar.1'));
    expect(f.trace(() => f.aux.remove(dev))).toEqual(GONE('pmod.bar.1'));
  });
});
