import { describe, expect, test } from 'vitest';
import { type PciDevice, type PciDriver, PlatformDevice, type VfioDevice, type VfioOps } from '../../../core/index.js';
import { Bench, type BenchOptions, CARD, OTHER_UUID, PAGE, UUID, codeOf, gate } from './bench.js';

const VADDR = 0x7000_0000;
const NEXT = '0000:00:05.0';

/** Operations of a device without anything. */
const ops = (more: Partial<VfioOps> = {}): VfioOps => ({
  name: 'whole',
  info: { pci: true, regions: 0, irqs: 0 },
  regionInfo: (index) => ({ index, sizeBytes: 0, read: false, write: false, mmap: false }),
  irqInfo: (index) => ({ index, count: 0, eventfd: true, maskable: false, automasked: false, noResize: true }),
  setIrqs: () => 0,
  ...more,
});

/** Hands whole cards to users. */
function whole(more: Partial<VfioOps> = {}, managesDma = true): (bench: Bench) => Partial<PciDriver> {
  return ({ kernel }) => ({
    name: 'whole',
    managesDma,
    probe: (dev: PciDevice): VfioDevice => {
      dev.enable();
      dev.setMaster();
      return kernel.vfio.register(dev, ops(more));
    },
    remove: (_dev: PciDevice, state: unknown) => (state as VfioDevice).unregister(),
  });
}

const start = (options: BenchOptions = {}): Promise<Bench> => Bench.start({ driver: whole(), ...options });
const groupOf = (bench: Bench, name = CARD) => bench.vfio.openGroup(bench.vfio.get(name).group.name);

/** One byte as the card reads it; why it is refused. */
function peek(bench: Bench, iova: number): number | string {
  const out = new Uint8Array(1);
  const before = bench.machine.iommuFaults.length;
  if (bench.cards[0]!.context.dma.read(iova, out, 0, 1)) return out[0]!;
  return bench.machine.iommuFaults[before]?.reason ?? 'no fault';
}

describe('a group', () => {
  test('4.7.1 is open once: EBUSY; and one without VFIO device is ENODEV', async () => {
    await using bench = await start();
    const file = groupOf(bench);
    expect(codeOf(() => groupOf(bench))).toBe('EBUSY');
    expect(codeOf(() => bench.vfio.openGroup('77'))).toBe('ENODEV');
    file.close();
    file.close();
    expect(codeOf(() => groupOf(bench))).toBe('ok');
  });

  test('4.7.1 a device that was opened by itself keeps it closed: EBUSY, and the other way round', async () => {
    await using bench = await start();
    const device = bench.vfio.openDevice(CARD);
    const group = groupOf(bench);
    const container = bench.vfio.container(bench.memory);
    expect(codeOf(() => device.bind(container))).toBe('EBUSY');
    group.close();
    await device.bind(container);
    expect(codeOf(() => groupOf(bench))).toBe('EBUSY');
    await device.close();
    expect(codeOf(() => groupOf(bench))).toBe('ok');
  });

  test('4.7.1 SET_CONTAINER: EBADF for a closed one, EBADFD for what is none, EINVAL for a second', async () => {
    await using bench = await start();
    const group = groupOf(bench);
    const closed = bench.vfio.container(bench.memory);
    closed.close();
    expect(codeOf(() => group.setContainer(closed))).toBe('EBADF');
    const any: { setContainer(descriptor: object): void } = group;
    expect(codeOf(() => any.setContainer(group))).toBe('EBADFD');
    const container = bench.vfio.container(bench.memory);
    group.setContainer(container);
    expect(codeOf(() => group.setContainer(container))).toBe('EINVAL');
    expect(group.status()).toEqual({ viable: true, containerSet: true });
  });

  test('4.7.1 UNSET_CONTAINER: EINVAL without one, EBUSY while a device is open', async () => {
    await using bench = await start();
    const group = groupOf(bench);
    expect(codeOf(() => group.unsetContainer())).toBe('EINVAL');
    const container = bench.vfio.container(bench.memory);
    group.setContainer(container);
    container.setIommu('type1v2');
    const device = await group.getDevice(CARD);
    expect(codeOf(() => group.unsetContainer())).toBe('EBUSY');
    await device.close();
    group.unsetContainer();
    expect([group.status().containerSet, container.type]).toEqual([false, undefined]);
  });

  test('4.7.1 UNSET_CONTAINER is EBUSY also while a device is being opened', async () => {
    const opening = gate();
    await using bench = await start({ driver: whole({ open: () => opening.passed }) });
    const group = groupOf(bench);
    const container = bench.vfio.container(bench.memory);
    group.setContainer(container);
    container.setIommu('type1v2');
    const getting = group.getDevice(CARD);
    expect(codeOf(() => group.unsetContainer())).toBe('EBUSY');
    group.close();
    expect(bench.vfio.get(CARD).group.container).toBe(container);
    opening.pass();
    const device = await getting;
    expect(device.info().pci).toBe(true);
    await device.close();
    expect(bench.vfio.get(CARD).group.container).toBeUndefined();
  });

  test('4.7.1 GET_DEVICE_FD: ENODEV for another name, EINVAL without container or without type', async () => {
    await using bench = await start({ cards: 2 });
    const group = groupOf(bench);
    expect(codeOf(() => group.getDevice(NEXT))).toBe('ENODEV');
    expect(codeOf(() => group.getDevice(CARD))).toBe('EINVAL');
    const container = bench.vfio.container(bench.memory);
    group.setContainer(container);
    expect(codeOf(() => group.getDevice(CARD))).toBe('EINVAL');
    container.setIommu('type1v2');
    const [one, two] = [await group.getDevice(CARD), await group.getDevice(CARD)];
    expect(bench.vfio.get(CARD).openCount).toBe(2);
    expect(codeOf(() => one.bind(container))).toBe('EINVAL');
    await one.close();
    expect([codeOf(() => one.info()), two.info().pci]).toEqual(['EBADF', true]);
  });

  test.each(['now', 'later'] as const)('4.4.3 GET_DEVICE_FD: what open throws %s undoes it', async (when) => {
    const fail = (): Promise<never> => Promise.reject(new RangeError('no'));
    const open = (): Promise<never> => {
      if (when === 'later') return fail();
      throw new RangeError('no');
    };
    await using bench = await start({ driver: whole({ open }) });
    const group = groupOf(bench);
    const container = bench.vfio.container(bench.memory);
    group.setContainer(container);
    container.setIommu('type1v2');
    await expect((async () => group.getDevice(CARD))()).rejects.toThrow('no');
    group.unsetContainer();
    expect([bench.vfio.get(CARD).openCount, bench.vfio.get(CARD).container]).toEqual([0, undefined]);
  });

  test('4.7.1 SET_IOMMU: EINVAL without group and a second time, ENODEV for a type that there is not', async () => {
    await using bench = await start();
    const group = groupOf(bench);
    const container = bench.vfio.container(bench.memory);
    expect([container.supports('type1v2'), container.supports('spapr')]).toEqual([true, false]);
    expect(codeOf(() => container.setIommu('type1v2'))).toBe('EINVAL');
    group.setContainer(container);
    expect(codeOf(() => container.setIommu('spapr' as 'type1v2'))).toBe('ENODEV');
    container.setIommu('type1v2');
    expect(codeOf(() => container.setIommu('type1v2'))).toBe('EINVAL');
  });

  test('closed, all of it is EBADF; what was opened through it stays, and keeps its container', async () => {
    await using bench = await start();
    bench.give(VADDR, 1);
    const group = groupOf(bench);
    const container = bench.vfio.container(bench.memory);
    group.setContainer(container);
    container.setIommu('type1v2');
    const device = await group.getDevice(CARD);
    group.close();
    container.map({ iova: 0, vaddr: VADDR, sizeBytes: PAGE, read: true });
    for (const use of [
      () => group.status(),
      () => group.setContainer(container),
      () => group.unsetContainer(),
      () => group.getDevice(CARD),
    ]) {
      expect(codeOf(use)).toBe('EBADF');
    }
    expect([device.info().pci, peek(bench, 0), codeOf(() => groupOf(bench))]).toEqual([true, 0, 'EBUSY']);
    await device.close();
    expect([peek(bench, 0), container.mappingCount]).toEqual(['no-entry', 0]);
    expect(codeOf(() => groupOf(bench))).toBe('ok');
  });

  test('a group without an IOMMU is a mediated device’s, and has a container as well', async () => {
    await using bench = await Bench.start();
    const { device } = await bench.create();
    const other = await bench.create(OTHER_UUID);
    expect(device.group.name).not.toBe(other.device.group.name);
    const group = bench.vfio.openGroup(device.group.name);
    const container = bench.vfio.container(bench.memory);
    expect(group.status()).toEqual({ viable: true, containerSet: false });
    group.setContainer(container);
    container.setIommu('type1v2');
    expect(codeOf(() => group.getDevice(OTHER_UUID))).toBe('ENODEV');
    const file = await group.getDevice(UUID);
    expect(file.info().regions).toBe(9);
  });
});

describe('a whole device', () => {
  test('reaches what its user maps, and nothing before or after', async () => {
    await using bench = await start();
    bench.give(VADDR, 2);
    await using file = bench.vfio.openDevice(CARD);
    const container = bench.vfio.container(bench.memory);
    await file.bind(container);
    expect(peek(bench, 0x10000)).toBe('no-entry');
    container.map({ iova: 0x10000, vaddr: VADDR, sizeBytes: 2 * PAGE, read: true });
    expect([peek(bench, 0x10000), peek(bench, 0x12000)]).toEqual([0, 'no-entry']);
    await file.close();
    expect(peek(bench, 0x10000)).toBe('no-entry');
    expect(bench.kernel.iommu.group(bench.dev)!.owner).toBeUndefined();
  });

  test('between SET_CONTAINER and SET_IOMMU reaches nothing at all', async () => {
    await using bench = await start();
    const group = groupOf(bench);
    group.setContainer(bench.vfio.container(bench.memory));
    expect(peek(bench, 0)).toBe('blocked');
  });

  test('in a container of two groups sees the same mappings; the last to leave ends them', async () => {
    await using bench = await start({ cards: 2 });
    bench.give(VADDR, 1);
    const container = bench.vfio.container(bench.memory);
    const groups = [groupOf(bench), groupOf(bench, NEXT)];
    groups[0]!.setContainer(container);
    container.setIommu('type1v2');
    container.map({ iova: 0x10000, vaddr: VADDR, sizeBytes: PAGE, read: true });
    groups[1]!.setContainer(container);
    const out = new Uint8Array(1);
    expect(bench.cards.map((card) => card.context.dma.read(0x10000, out, 0, 1))).toEqual([true, true]);
    groups[0]!.close();
    expect(bench.cards.map((card) => card.context.dma.read(0x10000, out, 0, 1))).toEqual([false, true]);
    container.close();
    expect(bench.cards[1]!.context.dma.read(0x10000, out, 0, 1)).toBe(true);
    groups[1]!.close();
    expect([bench.cards[1]!.context.dma.read(0x10000, out, 0, 1), container.mappingCount]).toEqual([false, 0]);
  });

  test('bound by itself to a container that has groups without type gives all of them one', async () => {
    await using bench = await start({ cards: 2 });
    bench.give(VADDR, 1);
    const container = bench.vfio.container(bench.memory);
    const group = groupOf(bench);
    group.setContainer(container);
    const file = bench.vfio.openDevice(NEXT);
    await file.bind(container);
    container.map({ iova: 0x10000, vaddr: VADDR, sizeBytes: PAGE, read: true });
    expect(peek(bench, 0x10000)).toBe(0);
    await file.close();
    expect([peek(bench, 0x10000), container.type]).toEqual([0, 'type1v2']);
  });

  test('4.4.2 where no IOMMU translates is EINVAL', async () => {
    await using bench = await start();
    const { platform } = bench.kernel;
    let code = '';
    await platform.register({ name: 'stray', probe: (dev) => void (code = codeOf(() => bench.vfio.register(dev, ops()))) });
    const dev = new PlatformDevice({ name: 'stray' });
    await platform.add(dev);
    expect(code).toBe('EINVAL');
    await bench.kernel.core.remove(dev);
  });

  test('is registered once: EEXIST', async () => {
    await using bench = await start({ driver: (it) => ({ ...whole()(it), name: 'twice' }) });
    expect(codeOf(() => bench.vfio.register(bench.dev, ops()))).toBe('EEXIST');
  });
});

describe('who owns a group', () => {
  test('97 while a native driver is bound, to claim it is EPERM', async () => {
    await using bench = await start({ driver: whole({}, false) });
    const group = groupOf(bench);
    expect(group.status()).toEqual({ viable: false, containerSet: false });
    expect(codeOf(() => group.setContainer(bench.vfio.container(bench.memory)))).toBe('EPERM');
    const device = bench.vfio.openDevice(CARD);
    group.close();
    expect(codeOf(() => device.bind(bench.vfio.container(bench.memory)))).toBe('EPERM');
    expect(group).toBeDefined();
    expect(bench.vfio.get(CARD).group.container).toBeUndefined();
  });

  test('97 another user’s group cannot be claimed: EPERM', async () => {
    await using bench = await start();
    bench.kernel.iommu.group(bench.dev)!.claimOwner({});
    const group = groupOf(bench);
    expect(codeOf(() => group.setContainer(bench.vfio.container(bench.memory)))).toBe('EPERM');
    bench.kernel.iommu.group(bench.dev)!.releaseOwner();
    expect(codeOf(() => group.setContainer(bench.vfio.container(bench.memory)))).toBe('ok');
  });

  test.each(['plain', 'virtual'] as const)(
    '4.7.3 %s: where nothing isolates messages it is EPERM, unless that is allowed',
    async (interrupts) => {
      // A unit that a hypervisor emulates isolates them as well.
      const code = interrupts === 'plain' ? 'EPERM' : 'ok';
      await using bench = await start({ interrupts });
      await using file = bench.vfio.openDevice(CARD);
      const container = bench.vfio.container(bench.memory);
      expect(codeOf(() => file.bind(container))).toBe(code);
      if (code === 'ok') return;
      expect([container.type, bench.kernel.iommu.group(bench.dev)!.owner]).toEqual([undefined, undefined]);
      const group = groupOf(bench);
      group.setContainer(container);
      expect(codeOf(() => container.setIommu('type1v2'))).toBe('EPERM');
      await using unsafe = await start({ interrupts, kernel: { vfio: { allowUnsafeInterrupts: true } } });
      await using allowed = unsafe.vfio.openDevice(CARD);
      expect(codeOf(() => allowed.bind(unsafe.vfio.container(unsafe.memory)))).toBe('ok');
    },
  );

  test('4.7.3 a mediated device is handed out anywhere', async () => {
    await using bench = await Bench.start({
      interrupts: 'plain',
      driver: (it) => ({
        probe: (dev) => {
          it.parent = it.kernel.mdev.registerParent(dev, it.portDriver, [{ name: 'port' }]);
        },
      }),
      shape: (it) => Object.assign(it, { irqs: [] }),
    });
    expect((await bench.open()).file.info().pci).toBe(true);
  });
});
