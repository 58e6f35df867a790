import { expect, test } from 'vitest';
import { AddressSpace, Devlinks, EventFd, System, VFIO_PCI_IRQ } from 'backplane';
import { hostSim } from 'backplane/plugins/host-sim';
import { mlx5 } from 'backplane/plugins/mlx5';
import { VNET_CONTROL, VNET_REGIONS, mlx5Vnet } from 'backplane/plugins/mlx5-vnet';
import type { NicOptions } from 'backplane/plugins/models';
import { WHILE_US, refusal } from './nic-bench.js';

const { MSIX } = VFIO_PCI_IRQ;
const UUID = '83b8f4f2-509f-382f-3c1e-e6bfe0fa1001';
const QUEUES = 4;

/** A sub-function whose queues a user has by VFIO. */
async function start(nic: NicOptions) {
  const sim = hostSim({ cpus: 2, iommu: true, nic: [{ sfs: 1, ...nic }] });
  const system = await System.start(sim.plugin, mlx5({ enableEth: false, enableRdma: false }), mlx5Vnet({ pairs: QUEUES / 2 }));
  const devlink = Devlinks.get(system.core, 'pci/0000:00:04.0');
  await devlink.setEswitchMode('switchdev');
  const { index } = await devlink.addPort({ flavour: 'pcisf', pfnum: 0, sfnum: 88 });
  await devlink.setPortFunction(index, { state: 'active' });
  await sim.settle(WHILE_US);
  const sf = Devlinks.get(system.core, 'auxiliary/mlx5_core.sf.1');
  await sf.setParam('enable_vnet', true, 'driverinit');
  await sf.reload();
  const { mdev, vfio, irqs } = system.kernel;
  const parent = mdev.parents.find(({ dev }) => dev.name === 'mlx5_core.vnet.1')!;
  const dev = await mdev.create(parent.type('queues')!, UUID);
  const file = vfio.openDevice(UUID);
  await file.bind(vfio.container(new AddressSpace('user')));
  const fds = Array.from({ length: QUEUES }, (_, k) => new EventFd(`queue ${k}`));
  /** Gives vectors from `from` on their eventfds. */
  const enable = (count: number, from = 0): number =>
    file.setIrqs({ index: MSIX, action: 'trigger', start: from, count, eventfds: fds.slice(from, from + count) });
  const requested = (): string[] => {
    return irqs.list().flatMap(({ actions }) => actions.flatMap((one) => (one.dev === dev ? [one.name] : [])));
  };
  return { system, sim, dev, file, fds, enable, requested, devlink, port: index };
}

const names = (count: number): string[] => Array.from({ length: count }, (_, k) => `vfio-msix[${k}](${UUID})`);

test.each<[string, NicOptions]>([
  ['MSI-X', { msix: 32 }],
  ['IMS', { msix: 2, imsCapacity: 32 }],
  ['both', { msix: 6, imsCapacity: 26 }],
])('4.6.8 a sub-function’s queues have a vector each, and nobody can tell that they are of %s', async (_what, nic) => {
  const { system, file, fds, enable, requested } = await start(nic);
  expect(file.irqInfo(MSIX)).toEqual({
    index: MSIX,
    count: QUEUES,
    eventfd: true,
    maskable: false,
    automasked: false,
    noResize: false,
  });
  const count = new Uint8Array(4);
  file.read(VNET_REGIONS.control, VNET_CONTROL.queueCount, count);
  expect([count[0], enable(QUEUES), requested()]).toEqual([QUEUES, 0, names(QUEUES)]);
  file.setIrqs({ index: MSIX, action: 'trigger', start: 0, count: QUEUES });
  expect(fds.map((fd) => fd.count)).toEqual([1, 1, 1, 1]);
  expect(file.setIrqs({ index: MSIX, action: 'trigger', start: 0, count: 0 })).toBe(0);
  expect(requested()).toEqual([]);
  await file.close();
  await system.stop();
});

test('4.6.8 too few vectors: how many there are at first, ENOSPC later', async () => {
  const { system, file, enable, requested } = await start({ msix: 7 });
  expect([enable(QUEUES), requested()]).toEqual([3, []]);
  expect([enable(3), requested()]).toEqual([0, names(3)]);
  expect(await refusal(() => enable(1, 3))).toMatch(/^ENOSPC/);
  expect(requested()).toEqual(names(3));
  await file.close();
  await system.stop();
});

test('4.6.8 the sub-function goes with the file open: ENODEV, and nothing is left', async () => {
  const { system, sim, dev, file, enable, requested, devlink, port } = await start({ msix: 32 });
  enable(QUEUES);
  await devlink.deletePort(port);
  // Longer than a driver waits for a user.
  await sim.settle(120_000_000);
  expect([dev.registered, requested()]).toEqual([false, []]);
  expect(await refusal(() => enable(1))).toMatch(/^ENODEV/);
  expect(await refusal(() => file.info())).toMatch(/^ENODEV/);
  await file.close();
  await system.stop();
});
