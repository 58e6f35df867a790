import { describe, expect, test } from 'vitest';
import { pciClass, pciId } from '../../../core/pci/index.js';
import { scratch } from '../../hw/sim/fixture.js';
import { PciSystem, SCRATCH, TestDriver } from './fixture.js';

const machine = () => ({
  devices: [{ at: '00:01.0', model: scratch({ classCode: 0x02_0000, subsystem: { vendor: 0x1af4, device: 0x1100 } }) }],
});
const NAME = '0000:00:01.0';

async function withDriver(driver: TestDriver) {
  const system = await PciSystem.start(machine());
  await system.pci.register(driver);
  const rec = system.pci.bus.records.get(driver.name)!;
  return { system, dev: system.device(NAME), write: (path: string, text: string) => rec.attributes.write(path, text) };
}

describe('matching', () => {
  test.each([
    ['vendor and device', pciId(0x1af4, 0x10f0), true],
    ['another device', pciId(0x1af4, 0x10f1), false],
    ['any device of a vendor', { vendor: 0x1af4 }, true],
    ['a subsystem', { ...SCRATCH, subvendor: 0x1af4, subdevice: 0x1100 }, true],
    ['another subsystem', { ...SCRATCH, subvendor: 0x1af4, subdevice: 0x1101 }, false],
    ['a class', pciClass(0x02_0000), true],
    ['a base class', pciClass(0x02_8000, 0xff_0000), true],
    ['another class', pciClass(0x03_0000, 0xff_0000), false],
    ['only when overridden', { ...SCRATCH, overrideOnly: true }, false],
  ])('%s', async (_what, id, isBound) => {
    const driver = new TestDriver([id]);
    const { system, dev } = await withDriver(driver);
    await using _ = system;
    expect(dev.bound).toBe(isBound);
    expect(driver.given).toEqual(isBound ? [id] : []);
  });

  test('probe gets the first line that matches, with its data', async () => {
    const driver = new TestDriver([pciId(1, 1, 'no'), pciId(0x1af4, 0x10f0, 'first'), { vendor: 0x1af4, data: 'second' }]);
    const { system } = await withDriver(driver);
    await using _ = system;
    expect(driver.given[0]!.data).toBe('first');
  });

  test('an override binds a driver without an id for the device, with an id that says nothing', async () => {
    const driver = new TestDriver([]);
    const { system, dev } = await withDriver(driver);
    await using _ = system;
    dev.attributes.write('driver_override', 'test');
    await system.pci.bus.attributes.write('drivers_probe', NAME);
    expect(dev.bound).toBe(true);
    expect(driver.given).toEqual([{}]);
  });

  test('an override for another driver wins over the ids', async () => {
    const driver = new TestDriver();
    const system = await PciSystem.start(machine());
    await using _ = system;
    system.device(NAME).driverOverride = 'other';
    await system.pci.register(driver);
    expect(driver.probed).toEqual([]);
  });
});

describe('new_id', () => {
  test('SYS-40: adds a line, and devices that are there are probed at once', async () => {
    const driver = new TestDriver([]);
    const { system, dev, write } = await withDriver(driver);
    await using _ = system;
    expect(await write('new_id', '1af4 10f0\n')).toBe(10);
    expect(dev.driver).toBe(driver);
    expect(driver.given).toEqual([{ vendor: 0x1af4, device: 0x10f0 }]);
  });

  test('SYS-40: one field is refused', async () => {
    const { system, write } = await withDriver(new TestDriver([]));
    await using _ = system;
    expect(() => write('new_id', '8086')).toThrow('EINVAL');
    expect(() => write('new_id', 'xyz')).toThrow('EINVAL');
  });

  test('SYS-40: a line that matches already, static or added, is refused, unless all 7 fields are given', async () => {
    const { system, write } = await withDriver(new TestDriver([pciId(0x8086, 0x10f5)]));
    await using _ = system;
    expect(() => write('new_id', '8086 10f5')).toThrow('EEXIST');
    await write('new_id', '8086 10f6');
    expect(() => write('new_id', '8086 10f6')).toThrow('EEXIST');
    await write('new_id', '8086 10f6 ffffffff ffffffff 0 0 0');
  });

  test('SYS-40: driver_data must be that of a line of the driver', async () => {
    const driver = new TestDriver([pciId(0x8086, 1, 5), pciId(0x8086, 2, 6)]);
    const { system, write } = await withDriver(driver);
    await using _ = system;
    expect(() => write('new_id', '1af4 10f0 ffffffff ffffffff 0 0 7')).toThrow('EINVAL');
    expect(() => write('new_id', '1af4 10f0')).toThrow('EINVAL');
    await write('new_id', '1af4 10f0 ffffffff ffffffff 0 0 6');
    expect(driver.given[0]!.data).toBe(6);
  });

  test('added lines come before those of the driver', async () => {
    const driver = new TestDriver([
      { vendor: 0x1af4, data: 1 },
      { vendor: 0x8086, data: 2 },
    ]);
    const system = await PciSystem.start(machine());
    await using _ = system;
    system.pci.bus.autoprobe = false;
    await system.pci.register(driver);
    await system.pci.bus.records.get('test')!.attributes.write('new_id', '1af4 10f0 ffffffff ffffffff 0 0 2');
    expect(driver.given[0]!.data).toBe(2);
  });

  test('added lines go with the driver', async () => {
    const driver = new TestDriver([]);
    const { system, dev, write } = await withDriver(driver);
    await using _ = system;
    await write('new_id', '1af4 10f0');
    await system.pci.unregister(driver);
    await system.pci.register(driver);
    expect(dev.bound).toBe(false);
  });
});

describe('remove_id', () => {
  test('SYS-41: an unknown line is refused; a known one goes, and bound devices stay bound', async () => {
    const driver = new TestDriver([]);
    const { system, dev, write } = await withDriver(driver);
    await using _ = system;
    expect(() => write('remove_id', '1af4 10f0')).toThrow('ENODEV');
    await write('new_id', '1af4 10f0');
    await write('remove_id', '1af4 10f0');
    expect(dev.bound).toBe(true);
    await system.core.reprobe(dev);
    expect(dev.bound).toBe(false);
    expect(() => write('remove_id', '1af4 10f0')).toThrow('ENODEV');
    expect(() => write('remove_id', '1af4')).toThrow('EINVAL');
  });
});
