import { describe, expect, test } from 'vitest';
import {
  EventFd,
  VFIO_PCI_IRQ,
  VFIO_PCI_REGION,
  VFIO_PCI_REGIONS,
  type VfioFeature,
  type VfioFile,
} from '../../../core/index.js';
import { Bench, PAGE, UUID, codeOf, codeOfAsync, gate } from './bench.js';

const { BAR0, BAR2, BAR4, CONFIG, ROM } = VFIO_PCI_REGION;
const { INTX, MSI, MSIX, ERR, REQ } = VFIO_PCI_IRQ;
/** Numbers that a careless or a hostile user gives for a small one. */
const ODD = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 32, 2 ** 53, Number.MAX_VALUE];

/** Everything that can be done with a descriptor. */
const CALLS: readonly (readonly [string, (file: VfioFile) => unknown])[] = [
  ['info', (file) => file.info()],
  ['regionInfo', (file) => file.regionInfo(BAR0)],
  ['irqInfo', (file) => file.irqInfo(MSIX)],
  ['setIrqs', (file) => file.setIrqs({ index: MSIX, action: 'trigger', start: 0, count: 0 })],
  ['reset', (file) => file.reset()],
  ['read', (file) => file.read(BAR0, 0, new Uint8Array(1))],
  ['write', (file) => file.write(BAR0, 0, new Uint8Array(1))],
  ['mmap', (file) => file.mmap(BAR2, 0, PAGE)],
  ['feature', (file) => file.feature({ index: 1, get: true })],
];

describe('a descriptor without access', () => {
  test.each(CALLS)('88 %s is EINVAL before bind', async (_what, call) => {
    await using bench = await Bench.start();
    const port = await bench.create();
    await using file = bench.vfio.openDevice(UUID);
    expect(codeOf(() => call(file))).toBe('EINVAL');
    expect(port.log).toEqual([]);
  });

  test.each([...CALLS, ['bind', (file: VfioFile) => file.bind(new Error() as never)] as const])(
    '%s is EBADF when it is closed',
    async (_what, call) => {
      await using bench = await Bench.start();
      const { port, file } = await bench.open();
      await file.close();
      await file.close();
      expect([codeOf(() => call(file)), file.isClosed, port.device.openCount]).toEqual(['EBADF', true, 0]);
    },
  );

  test('88 while the driver’s open is under way nothing can be done, and closing waits for it', async () => {
    const opening = gate();
    await using bench = await Bench.start({ shape: (it) => Object.assign(it, { open: () => opening.passed }) });
    const port = await bench.create();
    const file = bench.vfio.openDevice(UUID);
    const binding = file.bind(bench.vfio.container(bench.memory));
    expect(codeOf(() => file.info())).toBe('EINVAL');
    expect(codeOf(() => file.bind(bench.vfio.container(bench.memory)))).toBe('EINVAL');
    const closing = file.close();
    expect(file.isClosed).toBe(false);
    opening.pass();
    await binding;
    await closing;
    expect([file.isClosed, port.device.openCount, port.device.group.container]).toEqual([true, 0, undefined]);
  });
});

describe('bind', () => {
  test('4.4.3 a second one is EINVAL, and so is one of another descriptor', async () => {
    await using bench = await Bench.start();
    const { file } = await bench.open();
    const container = bench.vfio.container(bench.memory);
    expect(codeOf(() => file.bind(container))).toBe('EINVAL');
    await using other = bench.vfio.openDevice(UUID);
    expect(codeOf(() => other.bind(container))).toBe('EINVAL');
    await file.close();
    await other.bind(container);
    expect(other.info().pci).toBe(true);
  });

  test.each(['now', 'later'] as const)(
    '4.4.3 what the driver’s open throws %s undoes it, and it can be bound then',
    async (when) => {
      let fails = true;
      const opened = gate();
      const open = (): void | Promise<void> => {
        if (!fails) return undefined;
        const error = new RangeError('no port');
        if (when === 'later') return Promise.reject(error);
        throw error;
      };
      await using bench = await Bench.start({ shape: (it) => Object.assign(it, { open }) });
      const port = await bench.create();
      const file = bench.vfio.openDevice(UUID);
      const container = bench.vfio.container(bench.memory);
      await expect((async () => file.bind(container))()).rejects.toThrow('no port');
      expect([port.device.openCount, port.device.group.container, container.type]).toEqual([0, undefined, undefined]);
      expect(codeOf(() => file.info())).toBe('EINVAL');
      expect(codeOf(() => port.device.readDma(0, new Uint8Array(1)))).toBe('EINVAL');
      fails = false;
      opened.pass();
      await file.bind(container);
      expect([port.device.openCount, container.type]).toEqual([1, 'type1v2']);
    },
  );

  test('a closed container is EBADF, and one of another group’s is for both', async () => {
    await using bench = await Bench.start();
    await bench.create();
    const file = bench.vfio.openDevice(UUID);
    const container = bench.vfio.container(bench.memory);
    container.close();
    expect(codeOf(() => file.bind(container))).toBe('EBADF');
  });

  test('a device that there is not is ENODEV', async () => {
    await using bench = await Bench.start();
    expect(codeOf(() => bench.vfio.openDevice(UUID))).toBe('ENODEV');
  });
});

describe('info', () => {
  test('4.4.7 numbers regions and interrupts as of a PCI function', async () => {
    await using bench = await Bench.start();
    const { file } = await bench.open();
    expect(file.info()).toEqual({ reset: true, pci: true, regions: 9, irqs: 5 });
    const nothing = { sizeBytes: 0, read: false, write: false, mmap: false };
    expect(Array.from({ length: VFIO_PCI_REGIONS }, (_, index) => file.regionInfo(index))).toEqual([
      { index: BAR0, sizeBytes: 32, read: true, write: true, mmap: false },
      { index: 1, ...nothing },
      { index: BAR2, sizeBytes: PAGE, read: true, write: true, mmap: true },
      { index: 3, ...nothing },
      { index: BAR4, sizeBytes: 8, read: false, write: true, mmap: false },
      { index: 5, ...nothing },
      { index: ROM, ...nothing },
      { index: CONFIG, sizeBytes: 6, read: true, write: false, mmap: false },
      { index: 8, ...nothing },
    ]);
  });

  test('4.6.6 all interrupts take eventfds; the line masks itself; more vectors of MSI-X can be had at any time', async () => {
    await using bench = await Bench.start();
    const { file } = await bench.open();
    const common = { eventfd: true, maskable: false, automasked: false };
    expect([INTX, MSI, MSIX, REQ].map((index) => file.irqInfo(index))).toEqual([
      { index: INTX, count: 1, eventfd: true, maskable: true, automasked: true, noResize: false },
      { index: MSI, count: 2, ...common, noResize: true },
      { index: MSIX, count: 8, ...common, noResize: false },
      { index: REQ, count: 1, ...common, noResize: true },
    ]);
    // It tells of no errors.
    expect(codeOf(() => file.irqInfo(ERR))).toBe('EINVAL');
  });

  test.each([9, 5, ...ODD])('4.4.7 index %d is EINVAL', async (index) => {
    await using bench = await Bench.start();
    const { file } = await bench.open();
    if (index !== 5) expect(codeOf(() => file.regionInfo(index))).toBe('EINVAL');
    expect(codeOf(() => file.irqInfo(index))).toBe('EINVAL');
    if (index === 5) return;
    expect(codeOf(() => file.read(index, 0, new Uint8Array(1)))).toBe('EINVAL');
    expect(codeOf(() => file.mmap(index, 0, PAGE))).toBe('EINVAL');
  });
});

describe('read and write', () => {
  test('4.4.9 are made in naturally aligned pieces of 4, 2 and 1 bytes, little-endian', async () => {
    await using bench = await Bench.start();
    const { port, file } = await bench.open();
    expect(file.write(BAR0, 1, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 0x88, 0x99, 0xaa))).toBe(10);
    expect(port.log).toEqual([
      'write 0+1 1 0x1',
      'write 0+2 2 0x302',
      'write 0+4 4 0x7060504',
      'write 0+8 2 0x9988',
      'write 0+10 1 0xaa',
    ]);
    port.log.length = 0;
    const out = new Uint8Array(10);
    expect([file.read(BAR0, 1, out), [...out]]).toEqual([10, [1, 2, 3, 4, 5, 6, 7, 0x88, 0x99, 0xaa]]);
    expect(port.log).toEqual(['read 0+1 1', 'read 0+2 2', 'read 0+4 4', 'read 0+8 2', 'read 0+10 1']);
  });

  test('4.4.8a end at the end of the region', async () => {
    await using bench = await Bench.start();
    const { port, file } = await bench.open();
    const out = new Uint8Array(8).fill(0xee);
    port.bytes.setUint32(28, 0x04030201, true);
    expect([file.read(BAR0, 28, out), [...out]]).toEqual([4, [1, 2, 3, 4, 0xee, 0xee, 0xee, 0xee]]);
    expect(file.write(BAR0, 31, Uint8Array.of(9, 9))).toBe(1);
    expect(file.read(CONFIG, 4, out)).toBe(2);
    expect([file.read(BAR0, 0, new Uint8Array(0)), file.read(BAR0, 0, new Uint8Array(PAGE))]).toEqual([0, 32]);
  });

  test.each([32, ...ODD])('4.4.8a from %d on, outside the region, are EINVAL', async (offset) => {
    await using bench = await Bench.start();
    const { port, file } = await bench.open();
    expect(codeOf(() => file.read(BAR0, offset, new Uint8Array(4)))).toBe('EINVAL');
    expect(codeOf(() => file.write(BAR0, offset, new Uint8Array(4)))).toBe('EINVAL');
    expect(port.log).toEqual([]);
  });

  test('4.4.8a what a region does not allow is EINVAL', async () => {
    await using bench = await Bench.start();
    const { port, file } = await bench.open();
    expect(codeOf(() => file.write(CONFIG, 0, new Uint8Array(1)))).toBe('EINVAL');
    expect(codeOf(() => file.read(BAR4, 0, new Uint8Array(1)))).toBe('EINVAL');
    expect(codeOf(() => file.read(ROM, 0, new Uint8Array(1)))).toBe('EINVAL');
    expect(codeOf(() => file.write(ROM, 0, new Uint8Array(1)))).toBe('EINVAL');
    expect(port.log).toEqual([]);
  });

  test('a value is unsigned, and more than its width is cut', async () => {
    await using bench = await Bench.start({ shape: (it) => Object.assign(it, { readRegion: () => -1 }) });
    const { port, file } = await bench.open();
    const out = new Uint8Array(4);
    file.read(BAR0, 0, out);
    expect([...out]).toEqual([255, 255, 255, 255]);
    file.write(BAR0, 0, out);
    expect(port.log).toEqual(['write 0+0 4 0xffffffff']);
  });
});

describe('mmap', () => {
  test('4.4.8a shows whole pages until the descriptor is closed', async () => {
    await using bench = await Bench.start();
    const { port, file } = await bench.open();
    const page = file.mmap(BAR2, 0, PAGE);
    expect([port.log, page.sizeBytes, page.revoked]).toEqual([['mmap 0 4096'], PAGE, false]);
    await file.close();
    expect(page.revoked).toBe(true);
  });

  test.each<[number, number, number, string]>([
    [BAR0, 0, PAGE, 'a region that is not shown'],
    [BAR2, 1, PAGE, 'no whole page'],
    [BAR2, 0, 1, 'less than a page'],
    [BAR2, 0, 0, 'nothing'],
    [BAR2, PAGE, PAGE, 'behind its end'],
    [BAR2, 0, 2 * PAGE, 'over its end'],
    [BAR2, -PAGE, PAGE, 'before it'],
    [BAR2, 0, -PAGE, 'backwards'],
    [BAR2, 2 ** 53, PAGE, 'far away'],
    [BAR2, 0, Number.POSITIVE_INFINITY, 'everything'],
    [BAR2, Number.NaN, PAGE, 'no place'],
  ])('4.4.8a region %d at %d, %d bytes, is EINVAL: %s', async (region, offset, sizeBytes) => {
    await using bench = await Bench.start();
    const { port, file } = await bench.open();
    expect(codeOf(() => file.mmap(region, offset, sizeBytes))).toBe('EINVAL');
    expect(port.log).toEqual([]);
  });

  test('4.4.8a of a region that is shorter than a page its page is shown', async () => {
    await using bench = await Bench.start({
      shape: (it) => Object.assign(it, { regions: [{ index: BAR2, sizeBytes: 32, mmap: true }] }),
    });
    const { file } = await bench.open();
    expect(file.mmap(BAR2, 0, PAGE).sizeBytes).toBe(PAGE);
  });

  test('without a driver that can, it is EINVAL', async () => {
    await using bench = await Bench.start({ shape: (it) => Object.assign(it, { mmap: undefined }) });
    const { file } = await bench.open();
    expect(codeOf(() => file.mmap(BAR2, 0, PAGE))).toBe('EINVAL');
  });
});

describe('feature', () => {
  const known = { feature: ({ index, data }: VfioFeature) => (index === 3 ? (data ?? 'value') : undefined) };

  test('4.4.8 is ENOTTY where there is none, EINVAL for what contradicts itself, which is found first', async () => {
    await using bench = await Bench.start({ shape: (it) => Object.assign(it, known) });
    const { file } = await bench.open();
    expect([file.feature({ index: 3, get: true }), file.feature({ index: 3, set: true, data: 7 })]).toEqual(['value', 7]);
    expect(file.feature({ index: 3, get: true, set: true, probe: true })).toBe('value');
    expect(codeOf(() => file.feature({ index: 4, get: true }))).toBe('ENOTTY');
    expect(codeOf(() => file.feature({ index: 4, get: true, set: true }))).toBe('EINVAL');
    expect(codeOf(() => file.feature({ index: 3 }))).toBe('EINVAL');
  });

  test('4.4.8 of a device without any is ENOTTY', async () => {
    await using bench = await Bench.start();
    const { file } = await bench.open();
    expect(codeOf(() => file.feature({ index: 3, get: true }))).toBe('ENOTTY');
  });
});

describe('reset', () => {
  test('4.4.6 is the driver’s, and keeps interrupts and mappings', async () => {
    await using bench = await Bench.start();
    const { port, file } = await bench.open();
    const eventfd = new EventFd();
    file.setIrqs({ index: MSIX, action: 'trigger', start: 0, count: 1, eventfds: [eventfd] });
    await file.reset();
    bench.fire(0);
    expect([port.log, eventfd.count]).toEqual([['take 0', 'reset'], 1]);
  });

  test('4.4.6 that the driver has not is ENOTTY, and info says so', async () => {
    await using bench = await Bench.start({ shape: (it) => Object.assign(it, { reset: undefined }) });
    const { file } = await bench.open();
    expect([file.info().reset, codeOf(() => file.reset())]).toEqual([false, 'ENOTTY']);
  });

  test('what it throws later reaches the user', async () => {
    const fail = (): Promise<never> => Promise.reject(new RangeError('stuck'));
    await using bench = await Bench.start({ shape: (it) => Object.assign(it, { reset: fail }) });
    const { file } = await bench.open();
    await expect((async () => file.reset())()).rejects.toThrow('stuck');
    expect(await codeOfAsync(() => file.close())).toBe('ok');
  });
});
