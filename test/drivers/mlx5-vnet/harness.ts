import { Devlinks, type Kernel } from '../../../core/index.js';
import type { HarnessOptions } from '../../../core/testing/index.js';
import { Mlx5VnetDriver } from '../../../drivers/mlx5-vnet/vnet-driver.js';
import { Mlx5Driver } from '../../../drivers/mlx5/mlx5-driver.js';
import type { Mlx5Core } from '../../../drivers/mlx5/mlx5-core.js';
import { SfDriver } from '../../../drivers/mlx5/sf/sf-driver.js';
import { hostSim } from '../../../plugins/host-sim.js';
import { VdpaUser } from '../../../plugins/mlx5-vnet.js';
import { NetGuest } from './fixture.js';
import { UserMemory } from './user-memory.js';
import type { VfioBench } from './vfio-guest.js';

/** Memory that nobody allocates: what a device that has gone did there matters to nobody. */
const UPPER_MEMORY = 0x0f00_0000;
const WHILE_US = 10_000;
/** So that what is not tested is short. */
const NO_PAGES = { boot: 0, init: 0 };
const SF = 'auxiliary/mlx5_core.sf.1';

/** The function, with one sub-function that is for vDPA; its part has no driver yet. */
async function setUp(kernel: Kernel): Promise<void> {
  const { core, pci, dma, irqs, ims, auxiliary } = kernel;
  await core.registerDriver(auxiliary, new SfDriver());
  await core.registerDriver(pci.bus, new Mlx5Driver(dma, irqs, ims, auxiliary, { enableEth: false, enableRdma: false }));
  await core.settle();
  const devlink = Devlinks.get(core, 'pci/0000:00:04.0');
  await devlink.setEswitchMode('switchdev');
  const { index } = await devlink.addPort({ flavour: 'pcisf', pfnum: 0, sfnum: 88 });
  await devlink.setPortFunction(index, { state: 'active' });
  await kernel.clock.sleep(WHILE_US);
  const sf = Devlinks.get(core, SF);
  await sf.setParam('enable_vnet', true, 'driverinit');
  await sf.reload();
  // Event queues are the function's, and stay when they were made.
  const sfCore = auxiliary.find('mlx5_core.sf.1')!.state as Mlx5Core;
  for (let n = 0; n < sfCore.compVectorCount; n++) await sfCore.compEqn(n);
}

/** The harness with `mlx5_core.vnet.1` as the device under test. */
export const vnetHarness: HarnessOptions = {
  host: () => hostSim({ cpus: 2, iommu: true, nic: [{ sfs: 1, pages: NO_PAGES, sfPages: NO_PAGES }] }),
  driver: ({ iommu, irqs, vfio, mdev }) => new Mlx5VnetDriver(iommu, irqs, vfio, mdev, {}),
  bus: 'auxiliary',
  device: (kernel) => kernel.auxiliary.find('mlx5_core.vnet.1'),
  setup: setUp,
};

/** Opens the device for a user, without starting it. */
export async function openVnet({ core, host }: Kernel): Promise<NetGuest> {
  const memory = new UserMemory(host.dma, 'user', UPPER_MEMORY);
  return new NetGuest(await VdpaUser.open(core, 'vhost-vdpa-1', memory.task), memory);
}

/** The harness as a place for users of VFIO. */
export const vfioBench = (kernel: Kernel): VfioBench => ({
  kernel,
  user: (name) => new UserMemory(kernel.host.dma, name, UPPER_MEMORY),
  settle: (us) => kernel.clock.sleep(us),
});
