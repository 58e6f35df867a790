import { describe, expect, test } from 'vitest';
import { BarMmio, type PciDevice } from '../../../core/pci/index.js';
import { PCI, reg32 } from '../../../core/hal/index.js';
import { scratch } from '../../hw/sim/fixture.js';
import { PciSystem, TestDriver, express } from './fixture.js';

const MARK = reg32('MARK', 0x10);

async function bound(take: (dev: PciDevice) => unknown) {
  const driver = new TestDriver(undefined, take);
  const model = scratch();
  const system = await PciSystem.start({ devices: [{ at: '00:01.0', model }] });
  await system.pci.register(driver);
  return { system, driver, model, dev: system.device('0000:00:01.0') };
}

describe('PciDevice.mapBar', () => {
  test('maps the registers of the device, and lets it decode them', async () => {
    const { system, dev, model } = await bound((d) => d.mapBar(0).write(MARK, 0xabcd));
    await using _ = system;
    expect(dev.bound).toBe(true);
    expect(dev.config.readField(PCI.COMMAND, PCI.COMMAND.fields.memory)).toBe(1);
    system.machine.drain();
    expect(model.made[0]!.data.getUint32(MARK.offset, true)).toBe(0xabcd);
    expect(dev.devres.entries().map((e) => e.label)).toEqual(['bar 0']);
  });

  test('a handle kept past unbind throws and is reported, and the device decodes nothing any more', async () => {
    let regs: BarMmio | undefined;
    const { system, dev } = await bound((d) => (regs = d.mapBar(0)));
    await using _ = system;
    await system.core.unbind(dev);
    expect(() => regs!.read(MARK)).toThrow('ENODEV: 0000:00:01.0: BAR 0 used after unbind');
    expect(system.violations).toEqual([
      { rule: 'use-after-unbind', dev: '0000:00:01.0', text: '0000:00:01.0: BAR 0 used after unbind' },
    ]);
    expect(dev.config.read(PCI.COMMAND)).toBe(0);
  });

  test('a BAR is mapped once, until it is disposed of', async () => {
    const { system, dev } = await bound((d) => d.mapBar(0));
    await using _ = system;
    expect(() => dev.mapBar(0)).toThrow('EBUSY: 0000:00:01.0: BAR 0 is mapped already');
    const first = dev.state as BarMmio;
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    expect([dev.config.read(PCI.COMMAND), dev.devres.size]).toEqual([0, 0]);
    expect(() => first.read32(0)).toThrow('ENODEV');
    expect(dev.mapBar(0).read32(0)).toBe(0);
  });

  test('refuses a BAR that the device does not have', async () => {
    const { system, dev } = await bound(() => undefined);
    await using _ = system;
    for (const index of [1, 6, -1, 0.5]) expect(() => dev.mapBar(index)).toThrow(`EINVAL: 0000:00:01.0: has no BAR ${index}`);
    expect(dev.devres.size).toBe(0);
  });

  test.each([1, 2, 3])('when acquisition %i fails, nothing is held and nothing is decoded', async (n) => {
    await using system = await PciSystem.start({ devices: [{ at: '00:01.0', model: scratch() }] });
    const labels: string[] = [];
    system.core.devresHooks = {
      acquiring: (_ledger, label) => {
        labels.push(label);
        if (labels.length === n) throw new Error(`injected at ${label}`);
      },
    };
    await system.pci.register(
      new TestDriver(undefined, (d) => {
        d.mapBar(0);
        d.enable();
        d.setMaster();
      }),
    );
    const dev = system.device('0000:00:01.0');
    expect(labels).toEqual(['bar 0', 'enable', 'bus master'].slice(0, n));
    expect([dev.bound, dev.devres.size, dev.config.read(PCI.COMMAND)]).toEqual([false, 0, 0]);
  });
});

describe('PciDevice.enable and setMaster', () => {
  test('last until unbind', async () => {
    const { system, dev } = await bound((d) => {
      d.enable();
      d.setMaster();
    });
    await using _ = system;
    expect(dev.config.read(PCI.COMMAND)).toBe(0x6);
    await system.core.unbind(dev);
    expect(dev.config.read(PCI.COMMAND)).toBe(0);
  });
});

describe('PciDevice.reset', () => {
  test.each([
    ['by a function-level reset', express({ flr: true }), '00:01.0', '0000:00:01.0', 'reset function'],
    ['by power management, when D3 makes it forget', express({ noSoftReset: false }), '00:01.0', '0000:00:01.0', 'reset power'],
  ])('%s, and configuration survives', async (_how, model, at, name, event) => {
    await using system = await PciSystem.start({ devices: [{ at, model }] });
    const dev = system.device(name);
    const address = dev.config.read32(0x10);
    dev.config.write8(0x3c, 11);
    await dev.reset();
    expect(model.made[0]!.events).toEqual([event]);
    expect([dev.config.read32(0x10), dev.config.read8(0x3c)]).toEqual([address, 11]);
  });

  test('by the bridge, when it is alone below it', async () => {
    const model = express();
    await using system = await PciSystem.start({ devices: [{ at: '00:01.0', bridge: {}, children: [{ at: '00.0', model }] }] });
    await system.device('0000:01:00.0').reset();
    expect(model.made[0]!.events).toEqual(['reset bus']);
  });

  test('of a device that is mapped leaves the mapping usable', async () => {
    const model = express({ flr: true });
    await using system = await PciSystem.start({ devices: [{ at: '00:01.0', model }] });
    const regs: BarMmio[] = [];
    await system.pci.register(new TestDriver(undefined, (d) => regs.push(d.mapBar(0))));
    await system.device('0000:00:01.0').reset();
    regs[0]!.write(MARK, 7);
    expect(regs[0]!.read(MARK)).toBe(7);
  });

  test('refuses when it cannot be reset alone, or is gone', async () => {
    await using system = await PciSystem.start({ devices: [{ at: '00:01.0', model: scratch() }] });
    await expect(system.device('0000:00:01.0').reset()).rejects.toThrow('ENOTTY: 0000:00:01.0');
    const dev = system.device('0000:00:01.0');
    system.machine.yank('00:01.0', { silent: true });
    await expect(dev.reset()).rejects.toThrow('ENODEV: 0000:00:01.0: is gone');
  });
});

describe('PciDevice.setPowerState', () => {
  test('D3 and back gives a device that forgets its configuration back', async () => {
    const model = express({ noSoftReset: false });
    await using system = await PciSystem.start({ devices: [{ at: '00:01.0', model }] });
    const dev = system.device('0000:00:01.0');
    const address = dev.config.read32(0x10);
    await dev.setPowerState(3);
    expect(dev.powerState).toBe(3);
    await dev.setPowerState(0);
    expect([dev.powerState, dev.config.read32(0x10)]).toEqual([0, address]);
    expect(model.made[0]!.events).toEqual(['reset power']);
  });

  test('refuses a state that the device does not have', async () => {
    await using system = await PciSystem.start({
      devices: [
        { at: '00:01.0', model: scratch() },
        { at: '00:02.0', model: express() },
      ],
    });
    expect(() => system.device('0000:00:01.0').setPowerState(3)).toThrow('EINVAL: 0000:00:01.0: has no power management');
    await expect(system.device('0000:00:02.0').setPowerState(1)).rejects.toThrow('EIO: 0000:00:02.0: is in D0, was to go to D1');
  });

  test('a device that sleeps is woken before probe', async () => {
    await using system = await PciSystem.start({ devices: [{ at: '00:01.0', model: express() }] });
    const dev = system.device('0000:00:01.0');
    await dev.setPowerState(3);
    const driver = new TestDriver(undefined, (d) => d.powerState);
    await system.pci.register(driver);
    expect([dev.bound, dev.state]).toEqual([true, 0]);
  });
});
