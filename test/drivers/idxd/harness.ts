import type { Driver } from '../../../core/index.js';
import type { Kernel } from '../../../core/kernel.js';
import type { HarnessOptions } from '../../../core/testing/index.js';
import { IdxdDeviceDriver } from '../../../drivers/idxd/device-driver.js';
import { DmaengineDriver } from '../../../drivers/idxd/dmaengine-driver.js';
import { DsaBus } from '../../../drivers/idxd/dsa-bus.js';
import { IdxdDriver } from '../../../drivers/idxd/idxd-driver.js';
import { type DsaDevice, type DsaProfile, dsa } from '../../../hw/models/dsa/index.js';
import { Machine } from '../../../hw/sim/index.js';
import { StubDriver } from './fixture.js';

/** A harness, and the silicon of the session that was opened last. */
export interface IdxdHarness extends HarnessOptions {
  silicon(): DsaDevice;
}

/** The accelerator as few parts as there can be: what is tried at every access is tried soon. */
export const SMALL = { workQueues: 1, engines: 1, groups: 1 } as const satisfies DsaProfile;

/** On the machine: a device, and its way there. */
function machine(profile: DsaProfile, options: { iommu?: boolean }): { host: () => Machine; silicon: () => DsaDevice } {
  let silicon: DsaDevice | undefined;
  const model = dsa({ ...profile, onCreate: (made) => (silicon = made) });
  return { host: () => new Machine({ ...options, devices: [{ at: '00:05.0', model }] }), silicon: () => silicon! };
}

/** With the PCI function as the device under test. */
export function functionHarness(profile: DsaProfile = {}, options: { iommu?: boolean } = {}): IdxdHarness {
  let bus: DsaBus | undefined;
  return {
    ...machine(profile, options),
    driver: (kernel) => driverOf(kernel, (bus = new DsaBus())),
    setup: (kernel) =>
      addBus(kernel, bus!, new IdxdDeviceDriver(), new StubDriver(), new DmaengineDriver(kernel.dma, kernel.irqs)),
  };
}

/** With `dsa0` as the device under test: its first queue is in its first group, and is configured for driver `stub`. */
export function deviceHarness(profile: DsaProfile = {}): IdxdHarness {
  return {
    ...machine(profile, {}),
    driver: new IdxdDeviceDriver(),
    bus: 'dsa',
    device: ({ core }) => core.buses.get('dsa')?.find('dsa0'),
    setup: async (kernel) => {
      const bus = new DsaBus();
      await addBus(kernel, bus, new StubDriver());
      await kernel.core.registerDriver(kernel.pci.bus, driverOf(kernel, bus));
      await configure(kernel);
    },
  };
}

const driverOf = ({ core, ims, dma, iommu }: Kernel, bus: DsaBus): IdxdDriver => new IdxdDriver(core, bus, ims, dma, iommu, {});

async function addBus({ core }: Kernel, bus: DsaBus, ...drivers: readonly Driver[]): Promise<void> {
  core.registerBus(bus);
  for (const driver of drivers) await core.registerDriver(core.buses.get(bus.name)!, driver);
}

const SETTINGS = { group_id: 0, mode: 'dedicated', size: 16, priority: 10, type: 'kernel', name: 'test', driver_name: 'stub' };

/** Writes to the attributes of a part. */
export async function write(kernel: Kernel, part: string, attribute: string, text: string | number): Promise<void> {
  const dev = kernel.core.buses.get('dsa')?.find(part);
  await dev?.attributes.write(attribute, `${text}\n`);
}

/** Queue 0, dedicated, in group 0 with engine 0. */
export async function configure(kernel: Kernel): Promise<void> {
  await write(kernel, 'engine0.0', 'group_id', 0);
  for (const [name, value] of Object.entries(SETTINGS)) await write(kernel, 'wq0.0', name, value);
}

/** Binds a part to a driver on its bus. */
export async function bind({ core }: Kernel, part: string, driver: string): Promise<void> {
  const bus = core.buses.get('dsa')!;
  await bus.attributesOf(bus.findDriver(driver)!).write('bind', part);
}
