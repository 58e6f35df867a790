import { describe, expect, test } from 'vitest';
import {
  AddressSpace,
  Kernel,
  type PciDevice,
  type PciDriver,
  PROT,
  type VfioContainer,
  type VfioDevice,
  type VfioOps,
  pciId,
} from 'backplane';
import { hostSim } from 'backplane/plugins/host-sim';
import { PAGE, VfioBench, codeOf, uuid } from './vfio-bench.js';

const VADDR = 0x7000_0000;
const RW = { read: true, write: true } as const;
/** A user without memory. */
const nobody = (): AddressSpace => new AddressSpace('nobody');

describe('4.7.2 a type 1 container', () => {
  async function mapped(): Promise<{
    bench: VfioBench;
    container: VfioContainer;
    map: (iova: number, pages?: number, more?: object) => Promise<string>;
  }> {
    const bench = await VfioBench.start();
    bench.pages(VADDR, 16);
    const { container } = await bench.open();
    const map = (iova: number, pages = 1, more: object = {}): Promise<string> =>
      codeOf(() => container.map({ iova, vaddr: VADDR, sizeBytes: pages * PAGE, ...RW, ...more }));
    return { bench, container, map };
  }

  test('95 MAP', async () => {
    const { bench, container, map } = await mapped();
    await using _ = bench;
    expect(await map(0x1000, 3)).toBe('ok');
    expect([await map(0x3000), await map(0), await map(0x1000, 1), await map(0x4000)]).toEqual(['EEXIST', 'ok', 'EEXIST', 'ok']);
    expect([
      await map(0x8800),
      await map(0x8000, 0),
      await map(0x8000, 1, { sizeBytes: 100 }),
      await map(0x8000, 1, { vaddr: VADDR + 1 }),
      await map(0x8000, 1, { read: false, write: false }),
      await map(2 ** 64 - PAGE, 2),
      await map(0x8000, 2, { vaddr: 2 ** 64 - PAGE }),
      await map(0x8000, 1, { vaddr: 0x1000 }),
    ]).toEqual(['EINVAL', 'EINVAL', 'EINVAL', 'EINVAL', 'EINVAL', 'EOVERFLOW', 'EOVERFLOW', 'EFAULT']);
    expect([container.mappingCount, await map(0xfee0_0000)]).toEqual([3, 'EINVAL']);
  });

  test('95 UNMAP', async () => {
    const { bench, container, map } = await mapped();
    await using _ = bench;
    await map(0x1000, 3);
    await map(0x8000, 1);
    const unmap = async (iova: number, sizeBytes: number, all = false): Promise<string | number> => {
      let size = -1;
      const code = await codeOf(() => (size = container.unmap({ iova, sizeBytes, all })));
      return code === 'ok' ? size : code;
    };
    expect([
      await unmap(0x1000, 0x1000),
      await unmap(0x3000, 0x2000),
      await unmap(0x1_0000, 0x1000),
      await unmap(0x1000, 0x3000),
    ]).toEqual(['EINVAL', 'EINVAL', 0, 0x3000]);
    expect([await unmap(0x800, 0x1000), await unmap(0, 0), await unmap(0, 100), await unmap(2 ** 64 - PAGE, 2 * PAGE)]).toEqual([
      'EINVAL',
      'EINVAL',
      'EINVAL',
      'EOVERFLOW',
    ]);
    expect([
      await unmap(0x1000, 0, true),
      await unmap(0, 0x1000, true),
      await unmap(0, 0, true),
      await unmap(0, 0, true),
    ]).toEqual(['EINVAL', 'EINVAL', 0x1000, 0]);
    expect(container.mappingCount).toBe(0);
  });

  test('4.7.1 without a group there is no type, without a type no mapping, and closed there is nothing', async () => {
    await using bench = await VfioBench.start();
    const container = bench.vfio.container(bench.user);
    expect([
      await codeOf(() => container.setIommu('type1v2')),
      await codeOf(() => container.unmap({ iova: 0, sizeBytes: 0, all: true })),
    ]).toEqual(['EINVAL', 'EINVAL']);
    container.close();
    expect(await codeOf(() => container.setIommu('type1v2'))).toBe('EBADF');
    expect([container.supports('type1v2'), container.supports('spapr')]).toEqual([true, false]);
  });

  test('hardware with the PASID of a part reaches what its user has mapped, as he allows it, and nothing after the unmap', async () => {
    await using bench = await VfioBench.start();
    const paddr = bench.pages(VADDR, 4);
    const { container, part } = await bench.open();
    const pasid = part.device.pasid!;
    const { dma } = bench.card.context;
    const can = (iova: number, isWrite: boolean): boolean => dma.reach(iova, 1, isWrite, pasid) === 1;
    expect([pasid > 0, can(0x1000, false)]).toEqual([true, false]);
    container.map({ iova: 0x1000, vaddr: VADDR, sizeBytes: 2 * PAGE, read: true });
    container.map({ iova: 0x9000, vaddr: VADDR + 2 * PAGE, sizeBytes: PAGE, ...RW });
    expect([can(0x1000, false), can(0x1000, true), can(0x9000, true), can(0x3000, false)]).toEqual([true, false, true, false]);
    expect(dma.write32(0x9004, 0x1234_5678, pasid)).toBe(true);
    expect(bench.sim.dma.read32(paddr + 2 * PAGE + 4)).toBe(0x1234_5678);
    container.unmap({ iova: 0x9000, sizeBytes: PAGE });
    expect([can(0x9000, false), can(0x1000, false), dma.reach(0x1000, 1, false)]).toEqual([false, true, 0]);
  });

  test('two users have two address spaces; two parts of one user have his', async () => {
    await using bench = await VfioBench.start();
    bench.pages(VADDR, 2);
    const one = await bench.open(1);
    await bench.create(uuid(2));
    const second = bench.vfio.openDevice(uuid(2));
    await second.bind(one.container);
    expect(bench.part(2).device.pasid).toBe(one.part.device.pasid);
    await second.close();
    const other = bench.vfio.openDevice(uuid(2));
    await other.bind(bench.vfio.container(bench.user));
    expect(bench.part(2).device.pasid).not.toBe(one.part.device.pasid);
    one.container.map({ iova: 0x1000, vaddr: VADDR, sizeBytes: PAGE, ...RW });
    const { dma } = bench.card.context;
    expect([one.part, bench.part(2)].map(({ device }) => dma.reach(0x1000, 1, false, device.pasid))).toEqual([1, 0]);
    await other.close();
    await one.file.close();
    expect(bench.part(1).device.pasid).toBeUndefined();
  });
});

describe('4.7.4 the driver of a part', () => {
  test('reads and writes memory of the user', async () => {
    await using bench = await VfioBench.start();
    bench.pages(VADDR, 2);
    bench.pages(VADDR + 2 * PAGE, 1, PROT.READ);
    const { container, part } = await bench.open();
    const { device } = part;
    container.map({ iova: 0x1000, vaddr: VADDR, sizeBytes: PAGE, ...RW });
    container.map({ iova: 0x2000, vaddr: VADDR + 2 * PAGE, sizeBytes: PAGE, read: true });
    device.writeDma(0x1ffc, Uint8Array.of(1, 2, 3, 4));
    const out = new Uint8Array(8);
    device.readDma(0x1ffc, out);
    expect([...out]).toEqual([1, 2, 3, 4, 0, 0, 0, 0]);
    expect(await codeOf(() => device.writeDma(0x1ffe, Uint8Array.of(1, 2, 3, 4)))).toBe('EPERM');
    expect([await codeOf(() => device.readDma(0x3000, out)), await codeOf(() => device.readDma(0x2ffc, out))]).toEqual([
      'EINVAL',
      'EINVAL',
    ]);
  });

  test('pins pages, all or none; an unmap has them back', async () => {
    await using bench = await VfioBench.start();
    const paddr = bench.pages(VADDR, 4);
    const { container, part, file } = await bench.open();
    const { device } = part;
    container.map({ iova: 0x1000, vaddr: VADDR, sizeBytes: 3 * PAGE, read: true });
    expect(device.pinPages(0x2000, 2, false)).toEqual([paddr + PAGE, paddr + 2 * PAGE]);
    const pin = (iova: number, count: number, isWrite = false): Promise<string> =>
      codeOf(() => device.pinPages(iova, count, isWrite));
    expect([
      await pin(0x3000, 2),
      await pin(0x1000, 1, true),
      await pin(0x1001, 1),
      await pin(0x1000, 0),
      await pin(0x1000, 513),
    ]).toEqual(['EINVAL', 'EPERM', 'EINVAL', 'EINVAL', 'E2BIG']);
    expect(await codeOf(() => device.unpinPages(0x1000, 1))).toBe('EINVAL');
    part.dmaUnmap = () => {
      part.unmapped.push([0x1000, 3 * PAGE]);
      device.unpinPages(0x2000, 2);
    };
    expect([container.unmap({ iova: 0x1000, sizeBytes: 3 * PAGE }), part.unmapped]).toEqual([3 * PAGE, [[0x1000, 3 * PAGE]]]);
    await file.close();
    expect(await pin(0x2000, 1)).toBe('EINVAL');
  });

  test('one that keeps what is unmapped breaks a rule', async () => {
    await using bench = await VfioBench.start();
    bench.pages(VADDR, 1);
    const { container, part } = await bench.open();
    container.map({ iova: 0x1000, vaddr: VADDR, sizeBytes: PAGE, ...RW });
    part.device.pinPages(0x1000, 1, true);
    let told = 0;
    part.dmaUnmap = () => void told++;
    expect([await codeOf(() => container.unmap({ iova: 0x1000, sizeBytes: PAGE })), told, bench.rules.length]).toEqual([
      'EINVAL',
      10,
      1,
    ]);
    part.device.unpinPages(0x1000, 1);
    expect(container.unmap({ iova: 0x1000, sizeBytes: PAGE })).toBe(PAGE);
  });
});

describe('4.7.1 4.7.6 whole functions', () => {
  const ops: VfioOps = {
    name: 'whole',
    info: { pci: true, regions: 0, irqs: 0 },
    regionInfo: (index) => ({ index, sizeBytes: 0, read: false, write: false, mmap: false }),
    irqInfo: (index) => ({ index, count: 0, eventfd: true, maskable: false, automasked: false, noResize: true }),
    setIrqs: () => 0,
  };
  async function started(
    managesDma: boolean,
    interrupts: 'remapped' | 'plain' = 'remapped',
  ): Promise<{ kernel: Kernel; dev: PciDevice }> {
    const kernel = new Kernel(hostSim({ edu: 1, interrupts, clock: 'manual' }));
    await kernel.start();
    const whole: PciDriver<VfioDevice> = {
      name: 'whole',
      ids: [pciId(0x1234, 0x11e8)],
      managesDma,
      probe: (dev) => {
        dev.enable();
        return kernel.vfio.register(dev, ops);
      },
      remove: (_dev, device) => device.unregister(),
    };
    await kernel.core.registerDriver(kernel.pci.bus, whole);
    return { kernel, dev: kernel.pci.find('0000:00:04.0')! };
  }

  test('97 one whose driver uses its DMA cannot be had: EPERM; one that a user has, no driver gets: EBUSY', async () => {
    const native = await started(false);
    const group = native.kernel.vfio.openGroup(native.kernel.vfio.get(native.dev.name).group.name);
    expect([group.status().viable, await codeOf(() => group.setContainer(native.kernel.vfio.container(nobody())))]).toEqual([
      false,
      'EPERM',
    ]);
    group.close();
    await native.kernel.stop();
    const { kernel, dev } = await started(true);
    const file = kernel.vfio.openDevice(dev.name);
    await file.bind(kernel.vfio.container(nobody()));
    const { iommu } = kernel;
    expect(await codeOf(() => iommu.useDefaultDomain(dev))).toBe('EBUSY');
    await file.close();
    expect(await codeOf(() => iommu.useDefaultDomain(dev))).toBe('ok');
    iommu.unuseDefaultDomain(dev);
    await kernel.stop();
  });

  test('4.7.3 without isolated messages it is EPERM, unless that is allowed', async () => {
    const { kernel, dev } = await started(true, 'plain');
    const file = kernel.vfio.openDevice(dev.name);
    expect(await codeOf(() => file.bind(kernel.vfio.container(nobody())))).toBe('EPERM');
    await file.close();
    await kernel.stop();
  });

  test('4.7.1 a group is open once, and its device not by itself meanwhile', async () => {
    const { kernel, dev } = await started(true);
    const { vfio } = kernel;
    const group = vfio.openGroup(vfio.get(dev.name).group.name);
    expect([await codeOf(() => vfio.openGroup(vfio.get(dev.name).group.name)), await codeOf(() => vfio.openGroup('99'))]).toEqual(
      ['EBUSY', 'ENODEV'],
    );
    const container = vfio.container(nobody());
    const file = vfio.openDevice(dev.name);
    expect(await codeOf(() => file.bind(container))).toBe('EBUSY');
    group.setContainer(container);
    expect([await codeOf(() => group.setContainer(container)), group.status()]).toEqual([
      'EINVAL',
      { viable: true, containerSet: true },
    ]);
    group.unsetContainer();
    expect([await codeOf(() => group.unsetContainer()), await codeOf(() => group.getDevice(dev.name))]).toEqual([
      'EINVAL',
      'EINVAL',
    ]);
    group.close();
    await file.bind(container);
    expect(await codeOf(() => vfio.openGroup(vfio.get(dev.name).group.name))).toBe('EBUSY');
    await file.close();
    await kernel.stop();
  });
});
