import { describe, expect, test } from 'vitest';
import { VFIO_PCI_REGION } from 'backplane';
import { PAGE, VfioBench, codeOf, uuid } from './vfio-bench.js';

const { BAR0, BAR1, BAR2, CONFIG } = VFIO_PCI_REGION;

describe('4.3 mediated devices', () => {
  test('4.3.1 what a parent shows of its types', async () => {
    await using bench = await VfioBench.start();
    const { attributes } = bench.system.device('0000:00:04.0');
    const read = (name: string): string => attributes.read(`mdev_supported_types/${name}`).trim();
    expect([read('parts-1/device_api'), read('parts-1/name'), read('parts-2/name'), read('parts-1/available_instances')]).toEqual(
      ['vfio-pci', 'one part', '2', '2'],
    );
    expect([
      await codeOf(() => read('parts-1/description')),
      await codeOf(() => read('parts-3/name')),
      await codeOf(() => read('parts-1/create')),
    ]).toEqual(['ENOENT', 'ENOENT', expect.not.stringMatching(/^ok$/)]);
  });

  test('86 a UUID in capitals, with a newline, makes a device of its lower case', async () => {
    await using bench = await VfioBench.start();
    const text = '83B8F4F2-509F-382F-3C1E-E6BFE0FA1001\n';
    expect([await bench.create(text), bench.available(), bench.available('2')]).toEqual(['ok', 1, 1]);
    const dev = bench.mdev.find('83b8f4f2-509f-382f-3c1e-e6bfe0fa1001')!;
    expect([
      dev.bound,
      dev.parent?.name,
      dev.attributes.read('mdev_type').trim().endsWith('mdev_supported_types/parts-1'),
    ]).toEqual([true, '0000:00:04.0', true]);
    expect(bench.vfio.get(dev.name).isEmulated).toBe(true);
  });

  test.each([
    ['', 'EINVAL'],
    ['83b8f4f2', 'EINVAL'],
    [`${uuid(1)}xx`, 'EINVAL'],
    [uuid(1).replace('-', '_'), 'EINVAL'],
    [uuid(1).replace('8', 'g'), 'EINVAL'],
    [uuid(1), 'ok'],
  ])('4.3.4 "%s" is %s', async (text, code) => {
    await using bench = await VfioBench.start();
    expect(await bench.create(text)).toBe(code);
  });

  test('4.3.4 EEXIST on any parent goes before EUSERS', async () => {
    await using bench = await VfioBench.start();
    expect([
      await bench.create(uuid(1)),
      await bench.create(uuid(2), '2'),
      await bench.create(uuid(1)),
      await bench.create(uuid(3)),
    ]).toEqual(['ok', 'ok', 'EEXIST', 'EUSERS']);
    expect([await bench.create(uuid(1), '1', '0000:00:05.0'), await bench.create(uuid(3), '1', '0000:00:05.0')]).toEqual([
      'EEXIST',
      'ok',
    ]);
  });

  test('4.3.5 removing: numbers alone, once, and after its user', async () => {
    await using bench = await VfioBench.start();
    const { file, part } = await bench.open();
    const dev = bench.mdev.find(uuid(1))!;
    const write = (text: string): Promise<string> => codeOf(() => dev.attributes.write('remove', text));
    expect([await write('x'), await write('0'), bench.available()]).toEqual(['EINVAL', 'ok', 1]);
    const removing = write('1');
    await bench.sim.settle(0);
    expect([await codeOf(() => bench.mdev.remove(dev)), part.requests]).toEqual(['EAGAIN', [0]]);
    await bench.sim.settle(20_000_000);
    expect(part.requests).toEqual([0, 1, 2]);
    await file.close();
    expect([await removing, bench.available(), bench.mdev.find(uuid(1)), await codeOf(() => bench.mdev.remove(dev))]).toEqual([
      'ok',
      2,
      undefined,
      'ENODEV',
    ]);
  });

  test('4.3.6 a parent that goes takes its devices, and its types', async () => {
    await using bench = await VfioBench.start();
    await bench.create(uuid(1));
    await bench.create(uuid(2), '2');
    const dev = bench.system.device('0000:00:04.0');
    await bench.system.core.unbind(dev);
    expect([bench.mdev.find(uuid(1)), bench.mdev.find(uuid(2)), bench.vfio.list()]).toEqual([undefined, undefined, []]);
    expect([await bench.create(uuid(1)), bench.mdev.parents.length]).toEqual(['ENOENT', 1]);
  });
});

describe('4.4 a device and its user', () => {
  test('88 before it has a container nothing can be done: EINVAL; after closing EBADF', async () => {
    await using bench = await VfioBench.start();
    await bench.create(uuid(1));
    const file = bench.vfio.openDevice(uuid(1));
    const uses = (): Promise<string[]> =>
      Promise.all(
        [
          () => file.info(),
          () => file.regionInfo(BAR0),
          () => file.irqInfo(2),
          () => file.setIrqs({ index: 2, action: 'trigger', start: 0, count: 0 }),
          () => file.read(BAR0, 0, new Uint8Array(1)),
          () => file.write(BAR0, 0, new Uint8Array(1)),
          () => file.mmap(BAR2, 0, PAGE),
          () => file.reset(),
        ].map((use) => codeOf(use)),
      );
    expect(new Set(await uses())).toEqual(new Set(['EINVAL']));
    await file.bind(bench.vfio.container(bench.user));
    await file.close();
    expect(new Set(await uses())).toEqual(new Set(['EBADF']));
    expect(await codeOf(() => bench.vfio.openDevice(uuid(9)))).toBe('ENODEV');
  });

  test('4.4.3 the first opens it and the last closes it; a second by itself is refused', async () => {
    await using bench = await VfioBench.start();
    const { part, file, container } = await bench.open();
    const second = bench.vfio.openDevice(uuid(1));
    expect([part.isOpen, await codeOf(() => second.bind(container)), await codeOf(() => file.bind(container))]).toEqual([
      true,
      'EINVAL',
      'EINVAL',
    ]);
    await second.close();
    expect(part.isOpen).toBe(true);
    await file.close();
    expect(part.isOpen).toBe(false);
  });

  test('4.4.3 through its group several may have it', async () => {
    await using bench = await VfioBench.start();
    await bench.create(uuid(1));
    const group = bench.vfio.openGroup(bench.vfio.get(uuid(1)).group.name);
    const container = bench.vfio.container(bench.user);
    expect(await codeOf(() => group.getDevice(uuid(1)))).toBe('EINVAL');
    group.setContainer(container);
    expect(await codeOf(() => group.getDevice(uuid(1)))).toBe('EINVAL');
    container.setIommu('type1v2');
    const [one, other] = [await group.getDevice(uuid(1)), await group.getDevice(uuid(1))];
    expect([await codeOf(() => one.bind(container)), await codeOf(() => group.unsetContainer())]).toEqual(['EINVAL', 'EBUSY']);
    await one.close();
    expect(bench.part().isOpen).toBe(true);
    await other.close();
    expect([bench.part().isOpen, await codeOf(() => group.getDevice(uuid(2)))]).toEqual([false, 'ENODEV']);
    group.unsetContainer();
    group.close();
  });

  test('4.4.7 4.6.6 numbers, sizes and flags', async () => {
    await using bench = await VfioBench.start();
    const { file } = await bench.open();
    expect(file.info()).toMatchObject({ pci: true, regions: 9, irqs: 5, reset: false });
    expect([BAR0, BAR1, BAR2, CONFIG].map((index) => file.regionInfo(index).sizeBytes)).toEqual([16, 0, PAGE, 64]);
    expect([0, 1, 2, 4].map((index) => file.irqInfo(index).count)).toEqual([1, 1, 5, 1]);
    expect([0, 1, 2, 4].map((index) => Object.values(file.irqInfo(index)).slice(2).map(Number))).toEqual([
      [1, 1, 1, 0],
      [1, 0, 0, 1],
      [1, 0, 0, 0],
      [1, 0, 0, 1],
    ]);
    expect([
      await codeOf(() => file.irqInfo(3)),
      await codeOf(() => file.irqInfo(5)),
      await codeOf(() => file.regionInfo(9)),
      await codeOf(() => file.reset()),
    ]).toEqual(['EINVAL', 'EINVAL', 'EINVAL', 'ENOTTY']);
    await file.close();
  });

  test('4.4.9 accesses are in aligned pieces, and end with the region', async () => {
    await using bench = await VfioBench.start();
    const { part, file } = await bench.open();
    expect(file.read(BAR0, 1, new Uint8Array(9))).toBe(9);
    expect(part.accesses.splice(0)).toEqual(['r1 0+1', 'r2 0+2', 'r4 0+4', 'r2 0+8']);
    expect(file.write(BAR0, 12, new Uint8Array(8))).toBe(4);
    expect(part.accesses.splice(0)).toEqual(['w4 0+12 0']);
    const codes = [
      () => file.read(BAR0, 16, new Uint8Array(1)),
      () => file.read(BAR1, 0, new Uint8Array(1)),
      () => file.read(9, 0, new Uint8Array(1)),
      () => file.write(CONFIG, 0, new Uint8Array(1)),
    ];
    expect(await Promise.all(codes.map((fn) => codeOf(fn)))).toEqual(['EINVAL', 'EINVAL', 'EINVAL', 'EINVAL']);
    await file.close();
  });

  test('4.4.8a pages are mapped where the region allows it, until the file is closed', async () => {
    await using bench = await VfioBench.start();
    const { file } = await bench.open();
    const map = (region: number, offset: number, size: number): Promise<string> => codeOf(() => file.mmap(region, offset, size));
    expect([
      await map(BAR0, 0, PAGE),
      await map(BAR2, 0, 2 * PAGE),
      await map(BAR2, PAGE, PAGE),
      await map(BAR2, 1, PAGE),
      await map(BAR2, 0, 0),
    ]).toEqual(['EINVAL', 'EINVAL', 'EINVAL', 'EINVAL', 'EINVAL']);
    const page = file.mmap(BAR2, 0, PAGE);
    expect(page.read32(0)).toBe(0xffff_ffff);
    await file.close();
    expect(await codeOf(() => page.read32(0))).toBe('ENODEV');
  });

  test('who still has it open when the system stops has nothing left, and keeps nobody waiting', async () => {
    const bench = await VfioBench.start();
    const { part, file } = await bench.open();
    await bench[Symbol.asyncDispose]();
    expect([file.isClosed, part.isOpen]).toEqual([true, false]);
  });
});
