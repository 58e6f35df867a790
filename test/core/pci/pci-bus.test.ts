import { describe, expect, test } from 'vitest';
import type { Uevent } from '../../../core/device/index.js';
import type { BarMmio, PciDevice } from '../../../core/pci/index.js';
import { type BridgeSpec, pcie } from '../../../hw/sim/index.js';
import { scratch } from '../../hw/sim/fixture.js';
import { PciSystem, TestDriver, express } from './fixture.js';

const slot = (at: string, children: BridgeSpec['children'] = []): BridgeSpec => ({ at, bridge: { hotplug: true }, children });

describe('PciBus', () => {
  test('starts once, stops as often as one likes, and starts again', async () => {
    await using system = await PciSystem.start({ devices: [{ at: '00:01.0', model: scratch() }] });
    expect(() => system.pci.start()).toThrow('EBUSY');
    await system.pci.stop();
    await system.pci.stop();
    expect(system.core.order.size).toBe(0);
    await system.pci.start();
    expect(system.names()).toEqual(['0000:00:01.0']);
    expect(system.violations).toEqual([]);
  });

  test('everything is synchronous as long as no driver waits', () => {
    const system = new PciSystem({ devices: [slot('00:01.0', [{ at: '00.0', model: express() }])] });
    const driver = new TestDriver();
    expect(system.pci.register(driver)).toBeUndefined();
    expect(system.pci.start()).toBeUndefined();
    expect(driver.probed).toEqual(['0000:01:00.0']);
    expect(system.pci.stop()).toBeUndefined();
    expect(driver.removed).toEqual(['0000:01:00.0']);
  });

  test('a start that fails leaves nothing', async () => {
    const system = new PciSystem({
      devices: [
        { at: '00:01.0', model: scratch() },
        { at: '00:02.0', model: scratch() },
      ],
    });
    const [root] = system.machine.pci;
    const { config } = root!;
    root!.config = (bus, devfn) => {
      if (devfn === 0x18) throw new Error('the host is gone');
      return config.call(root, bus, devfn);
    };
    expect(() => system.pci.start()).toThrow('the host is gone');
    expect(system.core.order.size).toBe(0);
    expect(system.pci.devices).toEqual([]);
  });

  test('events carry what Linux puts into them', async () => {
    const seen: Uevent[] = [];
    await using system = new PciSystem({
      devices: [{ at: '00:01.0', model: scratch({ classCode: 0x01_0802, subsystem: { vendor: 0x1af4, device: 0x1100 } }) }],
    });
    system.core.uevents.on((event) => seen.push(event));
    await system.pci.start();
    expect([...seen[0]!.env].slice(3, -1)).toEqual([
      ['PCI_CLASS', '10802'],
      ['PCI_ID', '1AF4:10F0'],
      ['PCI_SUBSYS_ID', '1AF4:1100'],
      ['PCI_SLOT_NAME', '0000:00:01.0'],
      ['MODALIAS', 'pci:v00001AF4d000010F0sv00001AF4sd00001100bc01sc08i02'],
    ]);
  });
});

describe('hot plug', () => {
  test('a device that is plugged in gets addresses within the window of its port, and a driver', async () => {
    await using system = await PciSystem.start({ devices: [slot('00:01.0'), slot('00:02.0')] });
    const driver = new TestDriver(undefined, (dev) => dev.mapBar(0).read32(0));
    await system.pci.register(driver);
    system.machine.plug({ at: '00:02.0/00.0', model: express() });
    await system.core.settle();
    expect(driver.probed).toEqual(['0000:02:00.0']);
    expect(system.device('0000:02:00.0').bar(0)!.address).toBe(0xc020_0000);
    expect(system.device('0000:02:00.0').state).toBe(0);
  });

  test('a switch that is plugged in is enumerated, when bus numbers were kept for it', async () => {
    await using system = await PciSystem.start({ devices: [slot('00:01.0'), slot('00:02.0')] }, { hotplugBuses: 4 });
    system.machine.plug({
      at: '00:01.0/00.0',
      bridge: { type: 'upstream' },
      children: [{ at: '01.0', bridge: { type: 'downstream' }, children: [{ at: '00.0', model: express() }] }],
    });
    await system.core.settle();
    expect(system.names()).toEqual(['0000:00:01.0', '0000:00:02.0', '0000:01:00.0', '0000:02:01.0', '0000:03:00.0']);
    expect(system.device('0000:03:00.0').mapBar(0).read32(0)).toBe(0);
  });

  test('a device that is pulled out reads all ones at once; its driver is unbound and it is gone soon after', async () => {
    const model = express();
    await using system = await PciSystem.start({ devices: [slot('00:01.0', [{ at: '00.0', model }])] });
    const driver = new TestDriver(undefined, (d) => d.mapBar(0));
    await system.pci.register(driver);
    const dev = system.device('0000:01:00.0');
    const regs = dev.state as BarMmio;
    system.machine.yank('01:00.0');
    expect([dev.isGone, dev.config.read32(0), regs.read32(0), dev.bound]).toEqual([true, 0xffff_ffff, 0xffff_ffff, true]);
    await system.core.settle();
    expect([dev.bound, dev.registered, driver.removed]).toEqual([false, false, ['0000:01:00.0']]);
    expect(() => regs.read32(0)).toThrow('ENODEV');
    expect(system.names()).toEqual(['0000:00:01.0']);
  });

  test('another device in its place is another device, and may have its addresses', async () => {
    await using system = await PciSystem.start({ devices: [slot('00:01.0', [{ at: '00.0', model: express() }])] });
    const before = system.device('0000:01:00.0');
    const address = before.bar(0)!.address;
    system.machine.yank('01:00.0');
    system.machine.plug({ at: '00:01.0/00.0', model: express() });
    expect(before.config.read32(0)).toBe(0xffff_ffff);
    await system.core.settle();
    const after = system.device('0000:01:00.0');
    expect(after).not.toBe(before);
    expect(after.bar(0)!.address).toBe(address);
    expect(before.config.read32(0)).toBe(0xffff_ffff);
  });

  test('a bridge that is pulled out takes all below it along, last first', async () => {
    await using system = await PciSystem.start({
      devices: [
        slot('00:01.0', [
          {
            at: '00.0',
            bridge: { type: 'upstream' },
            children: [
              { at: '00.0', bridge: { type: 'downstream' }, children: [{ at: '00.0', model: express() }] },
              { at: '01.0', bridge: { type: 'downstream' }, children: [{ at: '00.0', model: express() }] },
            ],
          },
        ]),
      ],
    });
    const driver = new TestDriver();
    await system.pci.register(driver);
    system.machine.yank('01:00.0');
    await system.core.settle();
    expect(driver.removed).toEqual(['0000:04:00.0', '0000:03:00.0']);
    expect(system.names()).toEqual(['0000:00:01.0']);
    expect(system.violations).toEqual([]);
  });

  test('a device may vanish in the middle of its own probe', async () => {
    await using system = await PciSystem.start({ devices: [slot('00:01.0', [{ at: '00.0', model: express() }])] });
    const driver = new TestDriver(undefined, (dev) => {
      system.machine.yank('01:00.0');
      return dev.mapBar(0).read32(0);
    });
    await system.pci.register(driver);
    await system.core.settle();
    expect(system.names()).toEqual(['0000:00:01.0']);
    expect(driver.removed).toEqual(['0000:01:00.0']);
  });

  test('what a remove throws is logged, and the device goes nevertheless', async () => {
    await using system = await PciSystem.start({ devices: [slot('00:01.0', [{ at: '00.0', model: express() }])] });
    const driver = new TestDriver();
    driver.remove = () => {
      throw new Error('still busy');
    };
    await system.pci.register(driver);
    system.machine.yank('01:00.0');
    await system.core.settle();
    expect(system.logged('pci_hotplug')).toEqual(['pci: removal of 0000:01:00.0 failed: Error: still busy']);
    expect(system.names()).toEqual(['0000:00:01.0']);
  });

  test('a function that is added to a device with others is found', async () => {
    await using system = await PciSystem.start({ devices: [slot('00:01.0', [{ at: '00.0', model: express() }])] });
    system.machine.plug({ at: '00:01.0/00.1', model: express() });
    await system.core.settle();
    expect(system.names()).toEqual(['0000:00:01.0', '0000:01:00.0', '0000:01:00.1']);
  });
});

describe('remove and rescan', () => {
  test('a device that is removed frees its addresses, and a rescan finds it again', async () => {
    await using system = await PciSystem.start({
      devices: [
        { at: '00:01.0', bridge: {}, children: [{ at: '00.0', model: express() }] },
        { at: '00:02.0', model: scratch() },
      ],
    });
    const driver = new TestDriver();
    await system.pci.register(driver);
    const address = system.device('0000:01:00.0').bar(0)!.address;
    await system.device('0000:00:01.0').attributes.write('remove', '1');
    expect(system.names()).toEqual(['0000:00:02.0']);
    expect(driver.removed).toEqual(['0000:01:00.0']);
    await system.pci.bus.attributes.write('rescan', '1');
    expect(system.names()).toEqual(['0000:00:02.0', '0000:00:01.0', '0000:01:00.0']);
    expect(system.device('0000:01:00.0').bar(0)!.address).toBe(address);
    expect(driver.probed).toEqual(['0000:00:02.0', '0000:01:00.0', '0000:01:00.0']);
  });

  test('a rescan leaves devices that are known alone', async () => {
    await using system = await PciSystem.start({ devices: [{ at: '00:01.0', model: scratch() }] });
    const dev = system.device('0000:00:01.0');
    await system.pci.rescan();
    expect(system.device('0000:00:01.0')).toBe(dev);
  });

  test('from inside a probe that a scan has called it is refused, since it would wait for itself', async () => {
    await using system = new PciSystem({ devices: [{ at: '00:01.0', model: scratch() }] });
    const driver = new TestDriver(undefined, () => system.pci.rescan());
    await system.pci.register(driver);
    await system.pci.start();
    expect(String(system.device('0000:00:01.0').probeError)).toBe(
      'Errno: EDEADLK: pci: rescan from inside a start would wait for itself',
    );
  });

  test('of a device from inside its own probe is refused, and it stays', async () => {
    await using system = await PciSystem.start({ devices: [{ at: '00:01.0', model: scratch() }] });
    const driver = new TestDriver(undefined, (dev) => system.pci.remove(dev));
    await system.pci.register(driver);
    const dev = system.device('0000:00:01.0');
    expect([String(dev.probeError).slice(0, 14), dev.registered, dev.bar(0)!.address]).toEqual([
      'Errno: EDEADLK',
      true,
      0xc000_0000,
    ]);
  });

  test('two at a time: the second waits for the first', async () => {
    await using system = new PciSystem({ devices: [{ at: '00:01.0', model: scratch() }] });
    let go = (): void => {};
    const gate = new Promise<void>((resolve) => (go = resolve));
    await system.pci.register(new TestDriver(undefined, () => gate));
    const started = system.pci.start();
    const rescanned = system.pci.rescan();
    const order: string[] = [];
    void Promise.resolve(started).then(() => order.push('start'));
    void Promise.resolve(rescanned).then(() => order.push('rescan'));
    go();
    await rescanned;
    await started;
    expect(order).toEqual(['start', 'rescan']);
  });
});

describe('attributes', () => {
  const machine = () => ({
    devices: [
      {
        at: '00:01.0',
        model: scratch({
          classCode: 0x02_0000,
          revision: 3,
          subsystem: { vendor: 0x1af4, device: 0x1100 },
          capabilities: [pcie({ type: 'integrated', flr: true })],
        }),
      },
      slot('00:02.0'),
    ],
  });
  const NAME = '0000:00:01.0';

  test.each([
    ['vendor', '0x1af4\n'],
    ['device', '0x10f0\n'],
    ['subsystem_vendor', '0x1af4\n'],
    ['subsystem_device', '0x1100\n'],
    ['class', '0x020000\n'],
    ['revision', '0x03\n'],
    ['irq', '0\n'],
    ['numa_node', '-1\n'],
    ['power_state', 'D0\n'],
    ['driver_override', '(null)\n'],
  ])('%s', async (name, text) => {
    await using system = await PciSystem.start(machine());
    expect(system.device(NAME).attributes.read(name)).toBe(text);
  });

  test('resource has a line for each BAR, the ROM, and each window of a bridge', async () => {
    await using system = await PciSystem.start(machine());
    const lines = system.device(NAME).attributes.read('resource').split('\n');
    expect(lines[0]).toBe('0x00000000c0200000 0x00000000c0200fff 0x0000000000040200');
    expect(lines.length).toBe(8);
    const bridge = system.device('0000:00:02.0').attributes.read('resource').split('\n');
    expect(bridge.slice(7, 10)).toEqual([
      '0x0000000000001000 0x0000000000001fff 0x0000000000000101',
      '0x00000000c0000000 0x00000000c01fffff 0x0000000000000200',
      '0x0000020000000000 0x00000200001fffff 0x0000000000102201',
    ]);
    expect(bridge.length).toBe(12);
  });

  test('config is a dump of 256 bytes', async () => {
    await using system = await PciSystem.start(machine());
    const lines = system.device(NAME).attributes.read('config').split('\n');
    expect(lines[0]).toBe('00: f4 1a f0 10 00 00 10 00 03 00 00 02 00 00 00 00');
    expect(lines.length).toBe(17);
  });

  test('enable decodes for a user as long as there is no driver', async () => {
    await using system = await PciSystem.start(machine());
    const dev: PciDevice = system.device(NAME);
    expect(() => dev.attributes.write('enable', '0')).toThrow('EIO');
    expect(() => dev.attributes.write('enable', '2')).toThrow('EINVAL');
    await dev.attributes.write('enable', '1\n');
    expect([dev.attributes.read('enable'), dev.config.read16(4)]).toEqual(['1\n', 2]);
    await dev.attributes.write('enable', '0');
    expect([dev.attributes.read('enable'), dev.config.read16(4)]).toEqual(['0\n', 0]);
    await system.pci.register(new TestDriver());
    expect(() => dev.attributes.write('enable', '1')).toThrow('EBUSY');
  });

  test('reset takes 1 alone', async () => {
    await using system = await PciSystem.start(machine());
    const { attributes } = system.device(NAME);
    expect(() => attributes.write('reset', '0')).toThrow('EINVAL');
    expect(await attributes.write('reset', '1')).toBe(1);
  });
});
