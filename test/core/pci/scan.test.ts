import { describe, expect, test } from 'vitest';
import { PCI } from '../../../core/hal/index.js';
import { rawCapability } from '../../../hw/sim/index.js';
import { scratch } from '../../hw/sim/fixture.js';
import { PciSystem, express } from './fixture.js';

describe('scan', () => {
  test('finds every function of every bus, bridges numbered depth first', async () => {
    await using system = await PciSystem.start({
      devices: [
        {
          at: '00:02.0',
          bridge: { type: 'upstream' },
          children: [
            { at: '01.0', bridge: { type: 'downstream' }, children: [{ at: '00.0', model: express() }] },
            { at: '02.0', bridge: { type: 'downstream' } },
          ],
        },
        {
          at: '00:03.0',
          bridge: {},
          children: [
            { at: '00.0', model: express() },
            { at: '00.3', model: express() },
          ],
        },
        { at: '00:1f.0', model: scratch() },
      ],
    });
    expect(system.names()).toEqual([
      '0000:00:02.0',
      '0000:00:03.0',
      '0000:00:1f.0',
      '0000:01:01.0',
      '0000:01:02.0',
      '0000:02:00.0',
      '0000:04:00.0',
      '0000:04:00.3',
    ]);
    const numbers = (name: string): number[] => [0x18, 0x19, 0x1a].map((at) => system.device(name).config.read8(at));
    expect(numbers('0000:00:02.0')).toEqual([0, 1, 3]);
    expect(numbers('0000:01:01.0')).toEqual([1, 2, 2]);
    expect(numbers('0000:01:02.0')).toEqual([1, 3, 3]);
    expect(numbers('0000:00:03.0')).toEqual([0, 4, 4]);
  });

  test('looks at functions 1 to 7 only where function 0 tells of them', async () => {
    await using system = await PciSystem.start({
      devices: [
        { at: '00:05.0', model: scratch() },
        { at: '00:05.7', model: scratch() },
      ],
    });
    expect(system.names()).toEqual(['0000:00:05.0', '0000:00:05.7']);
    expect(system.device('0000:00:05.0').isMultifunction).toBe(true);
    expect(system.device('0000:00:05.7').config.readField(PCI.HEADER_TYPE, PCI.HEADER_TYPE.fields.multifunction)).toBe(0);
  });

  test('devices hang in the tree below their bridge, and that below the host bridge', async () => {
    await using system = await PciSystem.start({
      devices: [{ at: '00:02.0', bridge: {}, children: [{ at: '00.0', model: express() }] }],
    });
    expect(system.device('0000:01:00.0').path).toBe('/devices/pci0000:00/0000:00:02.0/0000:01:00.0');
  });

  test('a bridge for which no bus number is left is there, with nothing below it', async () => {
    await using system = await PciSystem.start({
      roots: [{ firstBus: 0, lastBus: 1 }],
      devices: [
        { at: '00:01.0', bridge: {}, children: [{ at: '00.0', model: express() }] },
        { at: '00:02.0', bridge: {}, children: [{ at: '00.0', model: express() }] },
      ],
    });
    expect(system.names()).toEqual(['0000:00:01.0', '0000:00:02.0', '0000:01:00.0']);
    expect(system.logged('pci_resources')).toEqual([
      '0000:00:02.0: no bus number left for what is below it: all up to 1 are given',
    ]);
  });

  test('two roots of different segments may use the same bus numbers', async () => {
    await using system = await PciSystem.start({
      roots: [{}, { segment: 1 }],
      devices: [
        { at: '00:01.0', model: scratch() },
        { at: '0001:00:01.0', model: scratch() },
      ],
    });
    expect(system.names()).toEqual(['0000:00:01.0', '0001:00:01.0']);
  });

  test('identification is what configuration space says', async () => {
    const model = scratch({ classCode: 0x02_0001, revision: 7, subsystem: { vendor: 0x1af4, device: 0x1100 } });
    await using system = await PciSystem.start({ devices: [{ at: '00:01.0', model }] });
    const dev = system.device('0000:00:01.0');
    expect(dev).toMatchObject({
      vendorId: 0x1af4,
      deviceId: 0x10f0,
      classCode: 0x02_0001,
      revision: 7,
      subsystemVendorId: 0x1af4,
      subsystemDeviceId: 0x1100,
      headerType: 0,
      busNumber: 0,
      devfn: 8,
    });
  });

  test('a list of capabilities that loops ends', async () => {
    const model = scratch({
      capabilities: [rawCapability(0x42, new Uint8Array(6), new Uint8Array(6)), rawCapability(0x43, new Uint8Array(6))],
    });
    await using system = await PciSystem.start({ devices: [{ at: '00:01.0', model }] });
    const dev = system.device('0000:00:01.0');
    expect(dev.capabilities).toEqual([
      { id: 0x42, at: 0x40 },
      { id: 0x43, at: 0x48 },
    ]);
    model.made[0]!.context.endpoint.space.define8(0x49, 0x40);
    expect(dev.findCapability(0x05)).toBeUndefined();
    expect(dev.capabilities.length).toBe(48);
  });

  test('a CardBus bridge is reported, and nothing is looked for below it', async () => {
    const model = scratch();
    await using system = new PciSystem({
      devices: [
        { at: '00:01.0', model },
        { at: '00:02.0', model: scratch() },
      ],
    });
    model.made[0]!.context.endpoint.space.define8(0x0e, 2);
    await system.pci.start();
    const dev = system.device('0000:00:01.0');
    expect([dev.headerType, dev.isBridge, dev.bar(0), dev.config.read32(0x10)]).toEqual([2, false, undefined, 0]);
    expect(system.names()).toEqual(['0000:00:01.0', '0000:00:02.0']);
  });
});
