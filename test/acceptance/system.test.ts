import {
  AuxName,
  AuxiliaryBus,
  AuxiliaryDriver,
  DeviceCore,
  Errno,
  type PciDevice,
  PciDriver,
  PlatformBus,
  PlatformDevice,
  PlatformDriver,
  Plugin,
  System,
  defer,
  inject,
  injectable,
  token,
} from 'backplane';
import { describe, expect, test } from 'vitest';
import { code, gate, turns } from './fixture.js';
import { type Lamp, LampDriver, Lamps, lamp, names, plugin, two } from './lamp.js';

const message = async (fn: () => unknown): Promise<string> => {
  try {
    await fn();
    return 'ok';
  } catch (error) {
    return (error as Error).message;
  }
};

describe('a system', () => {
  test('starts, lists, gets, and ends; a handle kept is ENODEV', async () => {
    const sim = two();
    const system = await System.start(sim.plugin, lamp);
    expect(names(system)).toEqual(['lamp0', 'lamp1']);
    const kept = system.get(Lamps, 'lamp1');
    expect(kept.shine()).toBe('0000:00:05.0 shines');
    expect(await code(() => system.get(Lamps, 'lamp7'))).toBe('ENOENT');
    await system[Symbol.asyncDispose]();
    await system[Symbol.asyncDispose]();
    expect(await code(() => kept.shine())).toBe('ENODEV');
    expect(await code(() => system.load(lamp))).toBe('ESHUTDOWN');
  });

  test('without a host, or with two, it does not start', async () => {
    expect(await code(() => System.start(lamp))).toBe('ENOENT');
    const [a, b] = [two(), two()];
    const other = new Plugin('other-host', (c) => b.plugin.bindings(c));
    expect(await code(() => System.start(a.plugin, other))).toBe('EEXIST');
    expect(await code(() => System.start(a.plugin, a.plugin))).toBe('EEXIST');
  });

  test('MOD-03, MOD-08: load, unload and load again; unloading unbinds newest first', async () => {
    const sim = two();
    await using system = await System.start(sim.plugin);
    await system.load(lamp);
    expect(names(system)).toEqual(['lamp0', 'lamp1']);
    const gone: string[] = [];
    system.kernel.pci.bus.notifier.on((event, dev) => void (event === 'UNBOUND' && gone.push(dev.name)));
    await system.unload('lamp');
    expect([names(system), gone]).toEqual([[], ['0000:00:05.0', '0000:00:04.0']]);
    await system.load(lamp);
    expect(names(system)).toEqual(['lamp0', 'lamp1']);
    await system.reload('lamp');
    expect(names(system)).toEqual(['lamp0', 'lamp1']);
    expect(system.tree().plugins.map((p) => p.name)).toEqual(['host-sim', 'core', 'lamp']);
  });

  test('MOD-12: two requests for one plugin load it once; a third later is EEXIST', async () => {
    let made = 0;
    const counted = new Plugin('counted', ({ bind }) => {
      made++;
      bind(PciDriver).toConstantValue(new LampDriver());
    });
    await using system = await System.start(two().plugin);
    await Promise.all([system.load(counted), system.load(counted)]);
    expect(made).toBe(1);
    expect(await code(() => system.load(counted))).toBe('EEXIST');
  });

  test('MOD-13: unload of what is not loaded is ENOENT; of what others need EAGAIN; of the host and the core EAGAIN', async () => {
    const base = new Plugin('base', () => {});
    const top = new Plugin('top', () => {}, { requires: ['base'] });
    await using system = await System.start(two().plugin, base, top);
    expect(await code(() => system.unload('nope'))).toBe('ENOENT');
    expect(await code(() => system.unload('base'))).toBe('EAGAIN');
    expect(await code(() => system.unload('core'))).toBe('EAGAIN');
    expect(await code(() => system.unload('host-sim'))).toBe('EAGAIN');
    await system.unload('top');
    expect(await code(() => system.unload('base'))).toBe('ok');
  });

  test('MOD-15: an unload while the load runs is EBUSY', async () => {
    const g = gate();
    class Slow extends LampDriver {
      override probe(dev: PciDevice): never {
        return g.promise.then(() => super.probe(dev)) as never;
      }
    }
    await using system = await System.start(two().plugin);
    const loading = system.load(plugin('slow', Slow));
    await turns();
    expect(await code(() => system.unload('slow'))).toBe('EBUSY');
    expect(await code(() => system.reload('slow'))).toBe('EBUSY');
    g.open();
    await loading;
    expect(names(system)).toEqual(['lamp0', 'lamp1']);
  });

  test('a missing requirement names the path; a missing service names class, service and who would supply it', async () => {
    const Bulbs = token<{ watts: number }>('Bulbs');
    @injectable()
    class Needy extends LampDriver {
      constructor(@inject(Bulbs) readonly bulbs: { watts: number }) {
        super();
      }
    }
    const needy = new Plugin('needy', ({ bind }) => bind(PciDriver).to(Needy));
    const bulbs = new Plugin('bulbs', ({ bind }) => bind(Bulbs).toConstantValue({ watts: 7 }), { provides: [Bulbs] });
    const wants = new Plugin('wants', () => {}, { requires: ['bulbs'] });
    await using system = await System.start(two().plugin);
    expect(await message(() => system.load(wants))).toBe('ENOENT: plugin wants -> bulbs: is missing: load plugin bulbs with it');
    expect(await message(() => system.load(needy))).toMatch(/^ENOENT: plugin needy: Needy -> Bulbs: is missing/);
    await system.load(bulbs);
    await system.unload('bulbs');
    expect(await message(() => system.load(needy))).toMatch(/load plugin bulbs first$/);
    await system.load(bulbs);
    await system.load(needy);
    expect(names(system)).toHaveLength(2);
    expect(await code(() => system.unload('bulbs'))).toBe('EAGAIN');
    expect(await code(() => System.start(two().plugin, needy, bulbs).then((s) => s[Symbol.asyncDispose]()))).toBe('ok');
  });

  test('cycles, versions and names', async () => {
    const a: Plugin = new Plugin('a', () => {}, { requires: ['b'] });
    const b: Plugin = new Plugin('b', () => {}, { requires: ['a'] });
    const old = new Plugin('old', () => {}, { version: '1.4.0' });
    await using system = await System.start(two().plugin, old);
    expect(await code(() => System.start(two().plugin, a, b))).toBe('ELOOP');
    expect(await code(() => system.load(new Plugin('n', () => {}, { requires: ['old@^2'] })))).toBe('EINVAL');
    expect(await code(() => system.load(new Plugin('n', () => {}, { requires: ['old@^1.2'] })))).toBe('ok');
    expect(await code(() => system.load(new Plugin('m', () => {}, { backplane: '^9' })))).toBe('EINVAL');
    expect(await code(() => new Plugin('Bad Name', () => {}))).toBe('EINVAL');
    expect(await code(() => new Plugin('x', () => {}, { version: '1' }))).toBe('EINVAL');
    expect(system.tree().plugins.map((p) => p.name)).toEqual(['host-sim', 'core', 'old', 'n']);
  });

  test('bindings that throw, or wait, load nothing, and the plugin can be loaded later', async () => {
    let bad = true;
    const flaky = new Plugin('flaky', ({ bind }) => {
      bind(PciDriver).toConstantValue(new LampDriver());
      if (bad) throw new Error('no licence');
    });
    await using system = await System.start(two().plugin);
    expect(await message(() => system.load(flaky))).toMatch(/^EINVAL: plugin flaky: its bindings: .*no licence/);
    expect(names(system)).toEqual([]);
    expect(await code(() => system.load(new Plugin('waits', () => Promise.resolve() as unknown as undefined)))).toBe('EINVAL');
    bad = false;
    await system.load(flaky);
    expect(names(system)).toEqual(['lamp0', 'lamp1']);
  });

  test('a driver whose constructor throws takes back the drivers before it', async () => {
    class Broken extends LampDriver {
      override readonly name = 'broken';
      constructor() {
        super();
        throw new Errno('EIO', 'no calibration');
      }
    }
    const both = new Plugin('both', ({ bind }) => {
      bind(PciDriver).toConstantValue(new LampDriver());
      bind(PciDriver).toDynamicValue(() => new Broken());
    });
    await using system = await System.start(two().plugin);
    expect(await code(() => system.load(both))).toBe('EIO');
    expect([names(system), system.kernel.pci.bus.drivers.length]).toEqual([[], 0]);
    expect(system.tree().plugins.map((p) => p.name)).toEqual(['host-sim', 'core']);
  });

  test('a second driver of the same name is EBUSY with the plugin in front, and nothing of it stays', async () => {
    await using system = await System.start(two().plugin, lamp);
    const again = plugin('again', class extends LampDriver {});
    expect(await message(() => system.load(again))).toMatch(/^EBUSY: plugin again: /);
    expect(names(system)).toEqual(['lamp0', 'lamp1']);
  });

  test('a probe that fails is no failure of the load; explain says why', async () => {
    class Shy extends LampDriver {
      override readonly name = 'shy';
      override probe(dev: PciDevice): Lamp {
        if (dev.name.endsWith('04.0')) throw new Errno('EIO', `${dev.name}: cold`);
        throw defer('no power yet');
      }
    }
    await using system = await System.start(two().plugin, plugin('shy', Shy));
    expect(system.explain('0000:00:04.0').toString()).toMatch(/unbound[^]*cold/);
    expect(system.explain('0000:00:05.0')).toMatchObject({ state: 'deferred', text: 'shy: no power yet' });
    expect(await code(() => system.explain('nope'))).toBe('ENODEV');
    await system.load(lamp);
    expect(system.explain('0000:00:05.0')).toMatchObject({ state: 'bound', text: 'to driver lamp' });
  });

  test('loading from inside a probe is EDEADLK', async () => {
    let seen = '';
    const systems: System[] = [];
    class Nosy extends LampDriver {
      override probe(dev: PciDevice): never {
        return code(() => systems[0]!.load(new Plugin('inner', () => {}))).then((c) => {
          seen = c;
          return super.probe(dev);
        }) as never;
      }
    }
    await using system = await System.start(two().plugin);
    systems.push(system);
    await system.load(plugin('nosy', Nosy));
    expect(seen).toBe('EDEADLK');
  });

  test('loading and unloading from a write to an attribute is fine: nothing waits for it', async () => {
    await using system = await System.start(two().plugin, lamp);
    const dev = system.device('0000:00:04.0');
    dev.attributes.add({
      name: 'swap',
      store: async () => {
        await system.unload('lamp');
        await system.load(new Plugin('other', () => {}));
      },
    });
    expect(await code(() => dev.attributes.write('swap', '1'))).toBe('ok');
    expect(system.tree().plugins.map((p) => p.name)).toEqual(['host-sim', 'core', 'other']);
  });

  test('what a program leaves is reported at the end by name', async () => {
    const system = await System.start(two().plugin);
    const { dma } = system.kernel.host;
    dma.alloc(4096, { mask: 0xffff_ffff });
    expect(await message(() => system[Symbol.asyncDispose]())).toMatch(/^EBUSY: .*4096 bytes of DMA memory/);
  });

  test('what remove throws reaches who ends the system, and everything is gone all the same', async () => {
    class Rude extends LampDriver {
      remove(dev: PciDevice): void {
        throw new Errno('EIO', `${dev.name}: will not`);
      }
    }
    const system = await System.start(two().plugin, plugin('rude', Rude));
    const error = await system[Symbol.asyncDispose]().then(
      () => undefined,
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(AggregateError);
    expect([...system.core.order]).toEqual([]);
  });

  test('a driver on the platform bus and parts on the auxiliary bus, from plugins', async () => {
    const PART = new AuxName<string>('board.part');
    const log: string[] = [];
    @injectable()
    class Board implements PlatformDriver {
      readonly name = 'board';
      constructor(@inject(AuxiliaryBus) private readonly aux: AuxiliaryBus) {}
      probe(dev: PlatformDevice): void {
        void this.aux.add(dev, PART, { data: 'left' });
        void this.aux.add(dev, PART, { data: 'right' });
      }
    }
    class Part implements AuxiliaryDriver<string> {
      readonly name = 'part';
      readonly ids = [PART];
      probe(dev: { readonly data: string }): void {
        log.push(dev.data);
      }
      remove(dev: { readonly data: string }): void {
        log.push(`-${dev.data}`);
      }
    }
    const board = new Plugin('board', ({ bind }) => bind(PlatformDriver).to(Board));
    const part = new Plugin('part', ({ bind }) => bind(AuxiliaryDriver).toConstantValue(new Part() as AuxiliaryDriver));
    await using system = await System.start(two().plugin, board, part);
    const dev = new PlatformDevice({ name: 'board' });
    await system.kernel.platform.add(dev);
    expect(log.splice(0)).toEqual(['left', 'right']);
    await system.unload('board');
    expect(log).toEqual(['-right', '-left']);
    expect(system.kernel.platform).toBeInstanceOf(PlatformBus);
    expect(system.core).toBeInstanceOf(DeviceCore);
  });
});
