import { describe, expect, test } from 'vitest';
import {
  AddressSpace,
  type EmulatedDevice,
  type EmulatedIrq,
  MdevBus,
  type MdevDevice,
  type MdevDriver,
  type PciDevice,
  PciDriver,
  Plugin,
  System,
  VFIO_PCI_IRQ,
  VFIO_PCI_REGION,
  Vfio,
  type VfioDevice,
  inject,
  injectable,
  pciId,
} from '../../../core/index.js';
import { hostSim } from '../../../plugins/host-sim.js';
import { ID, UUID, cardModel, eventfds } from './bench.js';

/** A counter that its user reads, and that interrupts at each read. */
class Counter implements EmulatedDevice {
  readonly regions = [{ index: VFIO_PCI_REGION.BAR0, sizeBytes: 4 }];
  readonly irqs: readonly EmulatedIrq[] = [{ index: VFIO_PCI_IRQ.MSIX, count: 1 }];
  device: VfioDevice | undefined = undefined;
  #reads = 0;

  readRegion(): number {
    this.device?.signal(VFIO_PCI_IRQ.MSIX, 0);
    return ++this.#reads;
  }
  writeRegion(): void {
    this.#reads = 0;
  }
}

@injectable()
class CounterDriver implements MdevDriver<Counter> {
  readonly name = 'counter_mdev';
  readonly deviceApi = 'vfio-pci';
  readonly maxInstances = 1;

  constructor(@inject(Vfio) private readonly vfio: Vfio) {}

  probe(dev: MdevDevice): Counter {
    const counter = new Counter();
    counter.device = this.vfio.registerEmulated(dev, counter);
    return counter;
  }
}

@injectable()
class CardDriver implements PciDriver {
  readonly name = 'card';
  readonly ids = [pciId(ID.vendor, ID.device)];

  constructor(
    @inject(MdevBus) private readonly mdev: MdevBus,
    @inject(CounterDriver) private readonly counters: CounterDriver,
  ) {}

  probe(dev: PciDevice): void {
    this.mdev.registerParent(dev, this.counters, [{ name: 'counter' }]);
  }
}

const plugin = (): Plugin =>
  new Plugin('card', ({ bind }) => {
    bind(CounterDriver).to(CounterDriver);
    bind(PciDriver).to(CardDriver);
  });

describe('a plugin whose driver makes parts for users', () => {
  test('is given the services by name, and its devices can be used', async () => {
    const sim = hostSim({ devices: [{ at: '00:04.0', model: cardModel([]) }] });
    await using system = await System.start(sim.plugin, plugin());
    const { vfio, mdev } = system.kernel;
    await mdev.create(mdev.parents[0]!.type('counter')!, UUID);
    await using file = vfio.openDevice(UUID);
    await file.bind(vfio.container(new AddressSpace('user')));
    const [fd] = eventfds(1);
    file.setIrqs({ index: VFIO_PCI_IRQ.MSIX, action: 'trigger', start: 0, count: 1, eventfds: [fd] });
    const out = new Uint8Array(4);
    file.read(VFIO_PCI_REGION.BAR0, 0, out);
    expect([out[0], fd!.count]).toEqual([1, 1]);
  });

  test('takes them along when it is unloaded, and brings them back when it is loaded', async () => {
    const sim = hostSim({ devices: [{ at: '00:04.0', model: cardModel([]) }] });
    await using system = await System.start(sim.plugin, plugin());
    const { mdev, vfio } = system.kernel;
    await mdev.create(mdev.parents[0]!.types[0]!, UUID);
    await system.unload('card');
    expect([mdev.parents, mdev.devices, mdev.drivers, vfio.list()]).toEqual([[], [], [], []]);
    await system.load(plugin());
    await mdev.create(mdev.parents[0]!.types[0]!, UUID);
    expect(vfio.list().map(({ name }) => name)).toEqual([UUID]);
  });

  test('that is unloaded waits for a user', async () => {
    const sim = hostSim({ devices: [{ at: '00:04.0', model: cardModel([]) }] });
    await using system = await System.start(sim.plugin, plugin());
    const { mdev, vfio } = system.kernel;
    const dev = await mdev.create(mdev.parents[0]!.types[0]!, UUID);
    const file = vfio.openDevice(UUID);
    const going = system.unload('card');
    await sim.settle(0);
    expect(dev.bound).toBe(true);
    await file.close();
    await going;
    expect([dev.registered, mdev.parents]).toEqual([false, []]);
  });
});
