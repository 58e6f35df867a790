import { describe, expect, test } from 'vitest';
import {
  Bus,
  BusDriver,
  Device,
  DeviceCore,
  type PciDevice,
  PciDriver,
  Plugin,
  System,
  inject,
  injectable,
  pciId,
} from '../../../core/index.js';
import { hostOf, messageOf, names, plugin } from './fixture.js';

const toy = { name: 'toy0', release: () => {} };

class ToyBus extends Bus {
  constructor() {
    super('toy', {});
  }
}

/** Puts a device on bus `toy`. */
@injectable()
class ToyMaker implements PciDriver<void> {
  readonly name = 'maker';
  readonly ids = [pciId(0x1234, 1)];
  constructor(
    @inject(DeviceCore) private readonly core: DeviceCore,
    @inject(ToyBus) private readonly bus: ToyBus,
  ) {}
  probe(dev: PciDevice): void | Promise<void> {
    return this.core.addChild(dev, new Device({ ...toy, parent: dev, bus: this.bus }));
  }
}

/** A driver that writes down what becomes of it. */
const player = (name: string, lives: string[] = [], bus = 'toy'): BusDriver => ({
  name,
  bus,
  probe: (dev) => void lives.push(`${name} probes ${dev.name}`),
  remove: (dev) => void lives.push(`${name} leaves ${dev.name}`),
});

const playerPlugin = (driver: BusDriver, requires: readonly string[] = []): Plugin =>
  new Plugin(driver.name, ({ bind }) => bind(BusDriver).toConstantValue(driver), { requires });

/** A bus, what puts a device on it, and a driver of that: bound in the wrong order on purpose. */
const toys = (lives: string[]): Plugin =>
  plugin('toys', ({ bind }) => {
    bind(PciDriver).to(ToyMaker);
    bind(BusDriver).toConstantValue(player('player', lives));
    bind(ToyBus).to(ToyBus);
  });

const toyBus = (system: System): Bus => system.core.buses.get('toy')!;
const busesOf = (system: System): string[] => [...system.core.buses.keys()].filter((name) => name.startsWith('toy'));

describe('a plugin that brings a bus', () => {
  test('has it registered before its drivers, in whatever order it binds them, and all of them use the same', async () => {
    const lives: string[] = [];
    await using system = await System.start(hostOf(1).plugin, toys(lives));
    expect([busesOf(system), lives]).toEqual([['toy'], ['player probes toy0']]);
    expect(toyBus(system)).toBe(system.device('toy0').bus);
    expect(system.tree().plugins.at(-1)!.drivers).toEqual([
      { name: 'maker', bus: 'pci', devices: ['0000:00:01.0'] },
      { name: 'player', bus: 'toy', devices: ['toy0'] },
    ]);
  });

  test('takes it away again when its drivers have left, last first, and can be loaded anew', async () => {
    const lives: string[] = [];
    await using system = await System.start(hostOf(1).plugin, toys(lives));
    const first = toyBus(system);
    await system.unload('toys');
    expect([busesOf(system), lives]).toEqual([[], ['player probes toy0', 'player leaves toy0']]);
    expect(first.devices).toEqual([]);
    await system.load(toys(lives));
    expect([toyBus(system) === first, lives.length]).toEqual([false, 3]);
  });

  test('is not loaded when there is a bus of that name', async () => {
    await using system = await System.start(hostOf(1).plugin, toys([]));
    class OtherBus extends Bus {
      constructor() {
        super('toy', {});
      }
    }
    const second = plugin('second', ({ bind }) => bind(OtherBus).to(OtherBus));
    expect(await messageOf(() => system.load(second))).toBe('EEXIST: plugin second: bus toy: is registered already');
    expect([names(system).includes('second'), toyBus(system) instanceof ToyBus]).toEqual([false, true]);
  });

  test('leaves nothing when one of its drivers cannot join', async () => {
    await using system = await System.start(hostOf(1).plugin);
    const lives: string[] = [];
    const broken = plugin('broken', ({ bind }) => {
      bind(ToyBus).to(ToyBus);
      bind(BusDriver).toConstantValue(player('one', lives));
      bind(PciDriver).to(ToyMaker);
      bind(BusDriver).toConstantValue(player('one', lives));
    });
    expect(await messageOf(() => system.load(broken))).toBe(
      'EBUSY: plugin broken: one: a driver of this name is registered on bus toy',
    );
    expect([busesOf(system), names(system).includes('broken'), lives]).toEqual([
      [],
      false,
      ['one probes toy0', 'one leaves toy0'],
    ]);
    expect(system.device('0000:00:01.0').bound).toBe(false);
  });

  test('says so when somebody has left a device on it, and everything else is undone', async () => {
    const lives: string[] = [];
    const system = await System.start(hostOf(0).plugin, toys(lives));
    const bus = toyBus(system);
    const dev = new Device({ ...toy, bus });
    await system.core.add(dev);
    expect(await messageOf(() => system.unload('toys'))).toBe('EBUSY: bus toy: has 1 devices and 0 drivers: remove them first');
    expect([names(system).includes('toys'), dev.bound, lives]).toEqual([
      false,
      false,
      ['player probes toy0', 'player leaves toy0'],
    ]);
    await system.core.remove(dev);
    system.core.unregisterBus(bus);
    await system.stop();
  });
});

describe('a plugin with a driver on the bus of another', () => {
  test('joins it, and keeps it from being unloaded', async () => {
    const lives: string[] = [];
    await using system = await System.start(hostOf(1).plugin, toys([]));
    await system.core.unbind(system.device('toy0'));
    await system.load(playerPlugin(player('guest', lives), ['toys']));
    expect(lives).toEqual(['guest probes toy0']);
    expect(await messageOf(() => system.unload('toys'))).toBe('EAGAIN: plugin toys: is required by guest: unload that first');
    await system.unload('guest');
    await system.unload('toys');
    expect([lives.at(-1), busesOf(system)]).toEqual(['guest leaves toy0', []]);
  });

  test('can name any bus of the system', async () => {
    await using system = await System.start(hostOf(0).plugin, playerPlugin(player('guest', [], 'platform')));
    expect(system.tree().plugins.at(-1)!.drivers).toMatchObject([{ name: 'guest', bus: 'platform' }]);
  });

  test('is not loaded when there is no such bus', async () => {
    await using system = await System.start(hostOf(1).plugin);
    const lonely = playerPlugin(player('lonely'));
    expect(await messageOf(() => system.load(lonely))).toBe('ENODEV: plugin lonely: driver lonely: the system has no bus toy');
    expect(names(system)).toEqual(['fake-host', 'core']);
  });
});
