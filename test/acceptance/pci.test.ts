import { type PciDevice, type PciId, System, pciId } from 'backplane';
import { describe, expect, test } from 'vitest';
import { code } from './fixture.js';
import { type Lamp, LampDriver, Lamps, lamp, model, names, plugin, two } from './lamp.js';

describe('the PCI bus', () => {
  test('SYS-40, SYS-42, SYS-43: new_id and remove_id', async () => {
    class Bare extends LampDriver {
      override readonly name = 'bare';
      override readonly ids: readonly PciId[] = [];
    }
    await using system = await System.start(two().plugin, plugin('bare', Bare));
    const { bus } = system.kernel.pci;
    const files = bus.attributesOf(bus.findDriver('bare')!);
    expect(await code(() => files.write('new_id', '1de5'))).toBe('EINVAL');
    expect(await code(() => files.write('new_id', 'zz zz'))).toBe('EINVAL');
    expect(await files.write('new_id', '1de5 42\n')).toBe(8);
    expect(names(system)).toEqual(['lamp0', 'lamp1']);
    expect(await code(() => files.write('new_id', '1de5 42'))).toBe('EEXIST');
    expect(await code(() => files.write('remove_id', '1de5 43'))).toBe('ENODEV');
    expect(await code(() => files.write('remove_id', '1de5'))).toBe('EINVAL');
    expect(await files.write('remove_id', '1de5 42')).toBe(7);
    expect(await code(() => files.write('remove_id', '1de5 42'))).toBe('ENODEV');
    expect(names(system)).toEqual(['lamp0', 'lamp1']);
    await files.write('unbind', '0000:00:04.0');
    expect(await code(() => files.write('bind', '0000:00:04.0'))).toBe('ENODEV');
    await system.reload('bare');
    expect(names(system)).toEqual([]);
  });

  test('new_id with driver_data takes only what the table has', async () => {
    const seen: unknown[] = [];
    class Data extends LampDriver {
      override readonly name = 'data';
      override readonly ids: readonly PciId[] = [pciId(1, 1, 5)];
      override probe(dev: PciDevice, id?: PciId): Lamp {
        seen.push(id?.data);
        return super.probe(dev);
      }
    }
    await using system = await System.start(two().plugin, plugin('data', Data));
    const { bus } = system.kernel.pci;
    const files = bus.attributesOf(bus.findDriver('data')!);
    expect(await code(() => files.write('new_id', '1de5 42 ffffffff ffffffff 0 0 6'))).toBe('EINVAL');
    expect(await code(() => files.write('new_id', '1de5 42 ffffffff ffffffff 0 0 5'))).toBe('ok');
    expect(seen).toEqual([5, 5]);
  });

  test('driver_override binds a driver without any id, and keeps all others away', async () => {
    class Any extends LampDriver {
      override readonly name = 'any';
      override readonly ids: readonly PciId[] = [];
    }
    await using system = await System.start(two().plugin, lamp, plugin('any', Any));
    const dev = system.kernel.pci.find('0000:00:04.0')!;
    expect(dev.attributes.read('driver_override')).toBe('(null)\n');
    await dev.attributes.write('driver_override', 'any');
    expect(dev.driver?.name).toBe('lamp');
    await system.core.unbind(dev);
    await system.kernel.pci.bus.attributes.write('drivers_probe', dev.name);
    expect(dev.driver?.name).toBe('any');
    expect(system.explain(dev).drivers.map((d) => [d.driver, d.verdict])).toEqual([
      ['lamp', 'overridden'],
      ['any', 'bound'],
    ]);
  });

  test('a yanked device is gone from its class before its driver is removed, and reads all ones', async () => {
    const sim = two();
    let seen = 0;
    class Reads extends LampDriver {
      remove(dev: PciDevice): void {
        seen = dev.config.read32(0);
      }
    }
    await using system = await System.start(sim.plugin, plugin('reads', Reads));
    const kept = system.get(Lamps, 'lamp0');
    sim.yank('00:04.0');
    await system.core.settle();
    expect([names(system), seen]).toEqual([['lamp1'], 0xffff_ffff]);
    expect(await code(() => kept.shine())).toBe('ENODEV');
    expect(system.kernel.pci.find('0000:00:04.0')).toBeUndefined();
  });

  test('a device that is plugged is found, addressed and probed; a rescan finds what was removed by hand', async () => {
    const sim = two();
    await using system = await System.start(sim.plugin, lamp);
    sim.plug({ at: '00:09.0', model: model() });
    await system.core.settle();
    expect(names(system)).toEqual(['lamp0', 'lamp1', 'lamp2']);
    const dev = system.kernel.pci.find('0000:00:09.0')!;
    await dev.attributes.write('remove', '1');
    expect(names(system)).toEqual(['lamp0', 'lamp1']);
    await system.kernel.pci.bus.attributes.write('rescan', '1');
    expect(names(system)).toEqual(['lamp0', 'lamp1', 'lamp2']);
    expect(system.kernel.pci.find('0000:00:09.0')).not.toBe(dev);
  });
});
