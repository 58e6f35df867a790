import { type Device, type Kernel, type NetDevice, NetDevices } from '../../../core/index.js';
import type { HarnessOptions } from '../../../core/testing/index.js';
import { Mlx5EthDriver } from '../../../drivers/mlx5-eth/eth-driver.js';
import type { Mlx5Core } from '../../../drivers/mlx5/mlx5-core.js';
import { Mlx5Driver } from '../../../drivers/mlx5/mlx5-driver.js';
import { nic } from '../../../hw/models/nic/index.js';
import { Machine } from '../../../hw/sim/index.js';
import { SMALL, frame } from './fixture.js';

/** With the part `mlx5_core.eth.0` as the device under test; its function is up. */
export const partHarness: HarnessOptions = {
  host: () => new Machine({ cpus: 2, devices: [{ at: '00:04.0', model: nic({ sfs: 0 }) }] }),
  bus: 'auxiliary',
  driver: ({ irqs }: Kernel) => new Mlx5EthDriver(irqs, { ...SMALL, channels: 1 }),
  setup: async (kernel: Kernel) => {
    await kernel.core.registerDriver(kernel.pci.bus, functionDriver(kernel));
    // Event queues are the function's, and stay when they were made.
    const core = kernel.pci.find('0000:00:04.0')!.state as Mlx5Core;
    await core.compEqn(0);
  },
};

/** With the function as the device under test; the driver of its part is there. */
export const functionHarness: HarnessOptions = {
  host: () => new Machine({ cpus: 2, devices: [{ at: '00:04.0', model: nic({ sfs: 0 }) }] }),
  driver: (kernel: Kernel) => functionDriver(kernel),
  setup: async (kernel: Kernel) => {
    await kernel.core.registerDriver(kernel.core.buses.get('auxiliary')!, new Mlx5EthDriver(kernel.irqs, SMALL));
  },
};

const functionDriver = ({ dma, irqs, ims, auxiliary }: Kernel): Mlx5Driver =>
  new Mlx5Driver(dma, irqs, ims, auxiliary, { eventEqSize: 64, ioEqSize: 64, enableRdma: false });

const LOOPED = frame('02:00:00:00:00:99', '02:00:00:00:00:98', 64);

/** The network device of the system, if there is one. */
export function ethOf(kernel: Kernel): NetDevice | undefined {
  return NetDevices.list(kernel.core)[0]?.[1];
}

/** Opens it, sends some frames, and closes it. */
export async function useIt({ kernel }: { readonly kernel: Kernel; readonly device: Device }): Promise<void> {
  const eth = ethOf(kernel);
  if (eth === undefined) return;
  await eth.open();
  for (let n = 0; n < 5; n++) eth.send(0, LOOPED, 0, LOOPED.length);
  await kernel.clock.sleep(100);
  await eth.statistics();
  await eth.close();
}

/** What users do, in no order. */
export const OPERATIONS = {
  open: ({ kernel }: { kernel: Kernel }) => ethOf(kernel)?.open(),
  close: ({ kernel }: { kernel: Kernel }) => ethOf(kernel)?.close(),
  send: ({ kernel }: { kernel: Kernel }) => ethOf(kernel)?.send(0, LOOPED, 0, LOOPED.length),
  fill: ({ kernel }: { kernel: Kernel }) => {
    const eth = ethOf(kernel);
    if (eth !== undefined) for (let n = 0; n < 70; n++) eth.send(0, LOOPED, 0, LOOPED.length, n % 3 !== 2);
  },
  ready: ({ kernel }: { kernel: Kernel }) => ethOf(kernel)?.ready(0, 1000),
  mtu: ({ kernel }: { kernel: Kernel }) => ethOf(kernel)?.setMtu(ethOf(kernel)!.info().mtu === 1500 ? 4000 : 1500),
  statistics: ({ kernel }: { kernel: Kernel }) => ethOf(kernel)?.ethtoolStatistics(),
  time: ({ kernel }: { kernel: Kernel }) => kernel.clock.sleep(50),
};
