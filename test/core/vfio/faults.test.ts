import { describe, expect, test } from 'vitest';
import {
  AddressSpace,
  Errno,
  type Kernel,
  type MsiDomain,
  type PciDevice,
  type PciDriver,
  VFIO_PCI_IRQ,
  VFIO_PCI_REGION,
  pciId,
} from '../../../core/index.js';
import { failEach, removeAnywhere } from '../../../core/testing/index.js';
import { Machine } from '../../../hw/sim/index.js';
import { Bench, type Card, ID, PAGE, type Port, PortDriver, UUID, cardModel, codeOf, codeOfAsync, eventfds } from './bench.js';

const { MSIX } = VFIO_PCI_IRQ;

/** Makes a part of a card, uses all of it as its user would, and removes it. */
async function useCard(kernel: Kernel): Promise<void> {
  const { mdev, vfio } = kernel;
  const memory = new AddressSpace('user');
  memory.map(0x1000, 0x10_0000, PAGE);
  const dev = await mdev.create(mdev.parents[0]!.types[0]!, UUID);
  if (!dev.bound) throw new Errno('ENODEV', `${UUID}: went at once`);
  const { device } = dev.state as Port;
  const container = vfio.container(memory);
  using guest = vfio.guest();
  {
    await using file = vfio.openDevice(UUID);
    await file.bind(container);
    container.map({ iova: 0x1000, vaddr: 0x1000, sizeBytes: PAGE, read: true, write: true });
    device.writeDma(0x1000, Uint8Array.of(1));
    const fds = eventfds(2);
    guest.irqfd(fds[1]!, { vcpus: [0], vector: 0x41 });
    file.setIrqs({ index: MSIX, action: 'trigger', start: 0, count: 2, eventfds: fds });
    file.read(VFIO_PCI_REGION.BAR0, 0, new Uint8Array(8));
    await Promise.resolve();
    await file.reset();
    container.unmap({ iova: 0, sizeBytes: 0, all: true });
  }
  await mdev.remove(dev);
}

/** A driver that makes parts of its card for users. */
class CardDriver implements PciDriver {
  readonly name = 'card';
  readonly ids = [pciId(ID.vendor, ID.device)];

  constructor(
    readonly kernel: Kernel,
    readonly makesOne = false,
  ) {}

  async probe(dev: PciDevice): Promise<void> {
    const { kernel } = this;
    dev.enable();
    dev.setMaster();
    const store = { slots: 4, prepare: (index: number) => index, mask() {}, unmask() {}, writeMsg() {} };
    const domain: MsiDomain<number> = kernel.ims.createDomain<number>(dev, store);
    const ports = new PortDriver({ kernel, domain, vectors: 4 }, { pasid: true });
    const parent = kernel.mdev.registerParent(dev, ports, [{ name: 'port' }]);
    if (this.makesOne) await kernel.mdev.create(parent.types[0]!, UUID);
  }
}

const host = (): Machine => {
  const made: Card[] = [];
  return new Machine({ cpus: 2, memoryBytes: 2 ** 30, devices: [{ at: '00:04.0', model: cardModel(made) }] });
};

describe('a driver that makes parts for users', () => {
  test('gives everything back whichever acquisition fails, its own and those of its parts', async () => {
    expect(await failEach({ host, driver: (kernel) => new CardDriver(kernel, true) })).toEqual([
      'enable',
      'bus master',
      'ims domain',
      'mdev parent',
      `child ${UUID}`,
      'vfio device',
    ]);
  });

  test('leaves nothing when its card vanishes anywhere while a user has a part of it', async () => {
    const points = await removeAnywhere(
      { host, driver: (kernel) => new CardDriver(kernel) },
      { use: ({ kernel }) => useCard(kernel) },
    );
    for (const point of ['mdev parent', `child ${UUID}`, 'vfio device', 'aux domain', 'ims slot']) {
      expect(points).toContain(`acquire ${point}`);
    }
    expect(points.filter((point) => point === 'turn').length).toBeGreaterThan(3);
  });

  test('a user that meets a failure of any acquisition has what he had, and can try again', async () => {
    const bench = await Bench.start({ port: { pasid: true } });
    bench.give(0x1000, 1);
    const seen: string[] = [];
    for (let n = 1; ; n++) {
      let count = 0;
      let hit: string | undefined;
      const file = await (async () => {
        await bench.create();
        return bench.vfio.openDevice(UUID);
      })();
      const irqs = bench.kernel.irqs.list().length;
      bench.kernel.core.devresHooks = {
        acquiring: (_ledger, label) => {
          if (++count !== n) return;
          hit = label;
          throw new Errno('ENOMEM', `${label}: injected`);
        },
      };
      const container = bench.vfio.container(bench.memory);
      const code = await codeOfAsync(async () => {
        await file.bind(container);
        container.map({ iova: 0, vaddr: 0x1000, sizeBytes: PAGE, read: true });
        file.setIrqs({ index: MSIX, action: 'trigger', start: 0, count: 3, eventfds: eventfds(3) });
      });
      bench.kernel.core.devresHooks = undefined;
      if (hit !== undefined) {
        expect([hit, code, bench.kernel.irqs.list().length]).toEqual([hit, 'ENOMEM', irqs]);
        seen.push(hit.replace(/\d+/, 'n'));
        // What failed can be had now.
        if (codeOf(() => file.info()) === 'EINVAL') await file.bind(container);
        expect(file.setIrqs({ index: MSIX, action: 'trigger', start: 0, count: 3, eventfds: eventfds(3) })).toBe(0);
      }
      await file.close();
      await bench.kernel.mdev.remove(bench.kernel.mdev.find(UUID)!);
      expect(bench.violations).toEqual([]);
      if (hit === undefined) break;
    }
    expect(seen).toEqual(['aux domain', 'ims slot', 'ims slot', 'ims slot', 'irq n', 'irq n', 'irq n']);
    await bench[Symbol.asyncDispose]();
  });
});
