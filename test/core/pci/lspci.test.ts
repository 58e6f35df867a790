import { beforeAll, describe, expect, test } from 'vitest';
import { type LspciDevice, type LspciOptions, lspci, snapshot } from '../../../core/pci/index.js';
import { idDatabase } from '../../../core/pci/lspci-names.js';
import {
  aer,
  deviceSerialNumber,
  msi,
  msix,
  pcie,
  powerManagement,
  rawCapability,
  rawExtended,
  vendorExtended,
  vendorSpecific,
} from '../../../hw/sim/index.js';
import { describeLspci, realLspci, withoutUpperHalves } from '../../helpers/lspci.js';
import { scratch } from '../../hw/sim/fixture.js';
import { PciSystem, TestDriver } from './fixture.js';

/** A device with one of every capability that is taken apart. */
const nic = scratch({
  vendor: 0x8086,
  device: 0x10d3,
  classCode: 0x02_0000,
  revision: 2,
  interruptPin: 'A',
  subsystem: { vendor: 0x1af4, device: 0x1100 },
  capabilities: [
    powerManagement({ noSoftReset: true }),
    msi({ vectors: 4, maskable: true }),
    msix({ vectors: 8, table: { bar: 0, offset: 0x800 }, pba: { bar: 0, offset: 0xc00 } }),
    pcie({ flr: true, linkSpeed: 3, linkWidth: 4 }),
    vendorSpecific(new Uint8Array(5)),
    rawCapability(0x13, new Uint8Array([0x06, 0x03, 0x00, 0x00])),
    rawCapability(0x12, new Uint8Array([0x10, 0x00, 0x48, 0x00, 0x00, 0x00])),
    rawCapability(0x3f, new Uint8Array(2)),
  ],
  extended: [
    aer(),
    deviceSerialNumber('52-54-00-ff-ff-12-34-56'),
    vendorExtended(0x1234, 1, new Uint8Array(8)),
    rawExtended(0x1b, 1, new Uint8Array([0x06, 0x14, 0x03, 0x00])),
    rawExtended(0x0f, 1, new Uint8Array([3, 0, 0, 0x80])),
    rawExtended(0x13, 1, new Uint8Array([1, 0, 0, 1, 0x20, 0, 0, 0, 0x10, 0, 0, 0])),
    rawExtended(0x0d, 1, new Uint8Array([0x1f, 0, 0x0d, 0])),
    rawExtended(0x23, 1, new Uint8Array([0x86, 0x80, 0x01, 0x02, 0x34, 0x12, 0, 0])),
    rawExtended(0x7f, 1, new Uint8Array(4)),
  ],
});

let devices: LspciDevice[] = [];

beforeAll(async () => {
  await using system = await PciSystem.start({
    devices: [
      { at: '00:00.0', model: scratch({ vendor: 0x8086, device: 0x29c0, classCode: 0x06_0000 }) },
      { at: '00:01.0', model: scratch({ subsystem: { vendor: 0x1af4, device: 0x10f0 } }, { kind: 'io', sizeBytes: 32 }) },
      {
        at: '00:02.0',
        bridge: { hotplug: true, slot: 3 },
        children: [
          { at: '00.0', model: nic },
          { at: '00.1', model: nic },
        ],
      },
      {
        at: '00:03.0',
        bridge: {},
        children: [
          {
            at: '00.0',
            bridge: { type: 'to-pci' },
            children: [
              {
                at: '05.0',
                model: scratch({ vendor: 0x1234, device: 0x11e8, classCode: 0x00_ff00 }, { kind: 'mem64', prefetch: true }),
              },
              { at: '06.0', model: scratch({ vendor: 0x1b36, device: 0x0010, classCode: 0x01_0802 }) },
            ],
          },
        ],
      },
      { at: '00:04.0', bridge: {} },
    ],
  });
  const take = (dev: Parameters<TestDriver['probe']>[0]): void => {
    dev.mapBar(0);
    dev.setMaster();
  };
  await system.pci.register(new TestDriver([{ vendor: 0x8086, device: 0x10d3 }], take, 'e1000e'));
  devices = system.pci.devices.map(snapshot);
});

describe('lspci', () => {
  test('one line a device: address, class, vendor and device', () => {
    expect(lspci(devices)).toBe(
      [
        '00:00.0 Host bridge: Intel Corporation 82G33/G31/P35/P31 Express DRAM Controller',
        '00:01.0 Unassigned class [ff00]: Red Hat, Inc. Device 10f0',
        '00:02.0 PCI bridge: Red Hat, Inc. QEMU PCIe Root port',
        '00:03.0 PCI bridge: Red Hat, Inc. QEMU PCIe Root port',
        '00:04.0 PCI bridge: Red Hat, Inc. QEMU PCIe Root port',
        '01:00.0 Ethernet controller: Intel Corporation 82574L Gigabit Network Connection (rev 02)',
        '01:00.1 Ethernet controller: Intel Corporation 82574L Gigabit Network Connection (rev 02)',
        '02:00.0 PCI bridge: Red Hat, Inc. QEMU PCIe Root port',
        '03:05.0 Unclassified device [00ff]: Device 1234:11e8',
        '03:06.0 Non-Volatile memory controller: Red Hat, Inc. QEMU NVM Express Controller',
        '',
      ].join('\n'),
    );
  });

  test('-k tells the driver in use, -v also sizes', () => {
    const own = devices.filter((dev) => dev.name === '0000:01:00.0');
    expect(lspci(own, { kernel: true }).split('\n').slice(1)).toEqual([
      '\tSubsystem: Red Hat, Inc. QEMU Virtual Machine',
      '\tKernel driver in use: e1000e',
      '',
    ]);
    expect(lspci(own, { verbose: 1 })).toContain('\tMemory at c0000000 (32-bit, non-prefetchable) [size=4K]\n');
  });

  test('-t draws the buses', () => {
    expect(lspci(devices, { tree: true })).toBe(
      [
        '-[0000:00]-+-00.0',
        '           +-01.0',
        '           +-02.0-[01]--+-00.0',
        '           |            \\-00.1',
        '           +-03.0-[02-03]----00.0-[03]--+-05.0',
        '           |                            \\-06.0',
        '           \\-04.0-[04]--',
        '',
      ].join('\n'),
    );
  });

  test('segments are shown as soon as there is more than one', () => {
    const [first] = devices;
    expect(lspci([first!, { ...first!, name: '0001:00:00.0' }]).match(/^\S+/gm)).toEqual(['0000:00:00.0', '0001:00:00.0']);
    expect(lspci([first!], { domains: true })).toMatch(/^0000:00:00\.0 /);
  });

  test('a list of capabilities that loops is shown as one', () => {
    const config = devices[0]!.config.slice();
    config[0x06] = 0x10;
    config[0x34] = 0x40;
    config.set([0x09, 0x40, 0x04, 0x00], 0x40);
    expect(lspci([{ name: '0000:00:00.0', config }], { verbose: 1 })).toContain('\tCapabilities: [40] <chain looped>\n');
  });
});

describeLspci('the lspci of pciutils reads our dump, and', () => {
  const formats: [string, string[], LspciOptions][] = [
    ['lists the same', [], {}],
    ['-n', ['-n'], { naming: 'n' }],
    ['-nn', ['-nn'], { naming: 'nn' }],
    ['-D', ['-D'], { domains: true }],
    ['-v', ['-v'], { verbose: 1 }],
    ['-vvnn', ['-vvnn'], { verbose: 2, naming: 'nn' }],
    ['-x', ['-x'], { hex: 'x' }],
    ['-xxx', ['-xxx'], { hex: 'xxx' }],
    ['-xxxx', ['-xxxx'], { hex: 'xxxx' }],
    ['-t', ['-t'], { tree: true }],
    ['-tv', ['-tv'], { tree: true, verbose: 1 }],
  ];

  test.each(formats)('%s', (_what, args, options) => {
    // Sizes and drivers are not in a dump.
    const bare = devices.map(({ name, config }) => ({ name, config }));
    const dump = lspci(bare, { hex: 'xxxx' });
    expect(lspci(bare, options)).toBe(withoutUpperHalves(realLspci(dump, idDatabase(), args)));
  });

  test('several roots in the same tree', () => {
    const bare = ['0000:00:00.0', '0000:80:01.0', '0001:00:00.0'].map((name) => ({ name, config: devices[0]!.config }));
    const dump = lspci(bare, { hex: 'xxxx' });
    expect(lspci(bare, { tree: true })).toBe(realLspci(dump, idDatabase(), ['-t']));
  });
});
