import { expect, test } from 'vitest';
import { DeviceCore } from '../../../core/device/index.js';
import { Log } from '../../../core/lib/index.js';
import { PciBus, lspci, snapshot } from '../../../core/pci/index.js';
import { idDatabase } from '../../../core/pci/lspci-names.js';
import { QtestHost } from '../../../hw/remote/qtest.js';
import * as EDU from '../../../hw/regs/edu.js';
import { describeLspci, realLspci, withoutUpperHalves } from '../../helpers/lspci.js';
import { type Qemu, describeQemus } from '../../helpers/qemu.js';

/** Device models of QEMU on several buses; no firmware has seen them. */
const DEVICES = [
  'edu,addr=4',
  'nvme,serial=1,addr=5',
  'pcie-root-port,id=rp1,chassis=1,slot=1,addr=6',
  'e1000e,bus=rp1',
  'pcie-root-port,id=rp2,chassis=2,slot=2,addr=7',
  'pcie-pci-bridge,id=pb,bus=rp2',
  'edu,bus=pb,addr=3',
  'pcie-root-port,id=rp3,chassis=3,slot=3,addr=8',
];

/** QEMU 8.0 brought this one. */
const hasIgb = (qemu: Qemu): boolean => qemu.name !== 'qemu72';

async function enumerated(qemu: Qemu) {
  const devices = hasIgb(qemu) ? [...DEVICES, 'igb,bus=rp3'] : DEVICES;
  const host = new QtestHost({ ...qemu.options, devices });
  await host.start(new Log());
  const core = new DeviceCore({ clock: host.clock });
  const pci = new PciBus(core, host);
  await pci.start();
  return {
    pci,
    core,
    async [Symbol.asyncDispose]() {
      await pci.stop();
      await host.stop();
    },
  };
}

describeQemus('PciBus over qtest', (qemu) => {
  test('finds the devices behind root ports and a PCI bridge, and gives all of them their addresses', async () => {
    await using system = await enumerated(qemu);
    const found = system.pci.devices.map((dev) => `${dev.name} ${dev.vendorId.toString(16)}:${dev.deviceId.toString(16)}`);
    expect(found).toEqual([
      '0000:00:00.0 8086:29c0',
      '0000:00:04.0 1234:11e8',
      '0000:00:05.0 1b36:10',
      '0000:00:06.0 1b36:c',
      '0000:00:07.0 1b36:c',
      '0000:00:08.0 1b36:c',
      '0000:00:1f.0 8086:2918',
      '0000:00:1f.2 8086:2922',
      '0000:00:1f.3 8086:2930',
      '0000:01:00.0 8086:10d3',
      '0000:02:00.0 1b36:e',
      '0000:03:03.0 1234:11e8',
      ...(hasIgb(qemu) ? ['0000:04:00.0 8086:10c9'] : []),
    ]);
    const without = system.pci.devices.filter((dev) =>
      [0, 1, 2, 3, 4, 5].some((n) => dev.bar(n) !== undefined && dev.bar(n)!.address === undefined),
    );
    expect(without.map((dev) => dev.name)).toEqual([]);
  });

  test('the same device answers on the root bus and behind two bridges', async () => {
    await using system = await enumerated(qemu);
    for (const name of ['0000:00:04.0', '0000:03:03.0']) {
      const regs = system.pci.find(name)!.mapBar(0);
      expect(regs.sizeBytes).toBe(EDU.BAR_BYTES);
      expect(regs.read(EDU.IDENT)).toBe(0x0100_00ed);
      regs.write(EDU.LIVENESS, 0x1234_5678);
      expect(regs.read(EDU.LIVENESS)).toBe(0xedcb_a987);
      regs[Symbol.dispose]();
      expect(system.pci.find(name)!.devres.size).toBe(0);
    }
  });

  describeLspci('compared with pciutils', () => {
    test.each([1, 2] as const)('lspci shows of it what pciutils shows, verbose %i', async (verbose) => {
      await using system = await enumerated(qemu);
      const bare = system.pci.devices.map(snapshot).map(({ name, config }) => ({ name, config }));
      const real = withoutUpperHalves(
        realLspci(lspci(bare, { hex: 'xxxx' }), idDatabase(), ['-nn', verbose === 1 ? '-v' : '-vv']),
      );
      expect(lspci(bare, { verbose, naming: 'nn' })).toBe(real);
    });
  });
});
