import { describe, expect, test } from 'vitest';
import { type Device, Errno, EventFd, VFIO_PCI_IRQ, VFIO_PCI_REGION } from '../../../core/index.js';
import { Bench, OTHER_UUID, PAGE, type Port, PortDriver, UUID, codeOf, codeOfAsync, eventfds, gate } from './bench.js';
import { scene } from './guest-scene.js';

const { MSIX, REQ } = VFIO_PCI_IRQ;
const TEN_SECONDS_US = 10_000_000;

describe('a name', () => {
  test('that devices of two buses have is that of the one that is left', async () => {
    await using bench = await Bench.start({ cards: 2 });
    const { kernel, vfio } = bench;
    const nothing = { regions: [], irqs: [], readRegion: () => 0, writeRegion: () => {} };
    const driver = { name: 'other', ids: [{ name: UUID }], probe: (dev: Device) => void vfio.registerEmulated(dev, nothing) };
    await kernel.core.registerDriver(kernel.platform, driver);
    const first = await bench.create();
    const other = await kernel.platform.addChild(bench.at('0000:00:05.0'), { name: UUID });
    expect([vfio.list().length, vfio.get(UUID)]).toEqual([2, first.device]);
    await kernel.mdev.remove(first.dev);
    expect(vfio.get(UUID).dev).toBe(other);
    const second = await bench.create();
    await kernel.core.remove(other);
    expect(vfio.get(UUID)).toBe(second.device);
  });
});

describe('open and close', () => {
  test('4.4.3 the first user opens the device, the last one closes it; its interrupts are given up after that', async () => {
    const log: string[] = [];
    await using bench = await Bench.start({
      shape: (it) =>
        Object.assign(it, {
          open: () => void log.push(`open ${it.device.pasid}`),
          close: () => void log.push(`close ${it.maps.size}`),
        }),
      port: { pasid: true },
    });
    const { device } = await bench.create();
    const group = bench.vfio.openGroup(device.group.name);
    const container = bench.vfio.container(bench.memory);
    group.setContainer(container);
    container.setIommu('type1v2');
    const [one, two] = [await group.getDevice(UUID), await group.getDevice(UUID)];
    one.setIrqs({ index: MSIX, action: 'trigger', start: 0, count: 1, eventfds: eventfds(1) });
    await one.close();
    expect([log, device.openCount]).toEqual([['open 1'], 1]);
    await two.close();
    const { maps } = device.dev.state as Port;
    expect([log, device.openCount, device.pasid, maps.size]).toEqual([['open 1', 'close 1'], 0, undefined, 0]);
  });

  test.each(['now', 'later'] as const)('what the driver’s close throws %s reaches the user, and it is closed', async (when) => {
    const close = (): Promise<never> => {
      if (when === 'later') return Promise.reject(new RangeError('stuck'));
      throw new RangeError('stuck');
    };
    await using bench = await Bench.start({ shape: (it) => Object.assign(it, { close }) });
    const { port, file } = await bench.open();
    await expect((async () => file.close())()).rejects.toThrow('stuck');
    expect([file.isClosed, port.device.openCount, port.device.container, port.device.group.container]).toEqual([
      true,
      0,
      undefined,
      undefined,
    ]);
    await bench.kernel.mdev.remove(port.dev);
  });

  test('who opens it while the last one closes it waits for that', async () => {
    const log: string[] = [];
    const closing = gate();
    await using bench = await Bench.start({
      shape: (it) =>
        Object.assign(it, {
          open: () => void log.push('open'),
          close: async () => {
            await closing.passed;
            log.push('closed');
          },
        }),
    });
    const { device } = await bench.create();
    const group = bench.vfio.openGroup(device.group.name);
    const container = bench.vfio.container(bench.memory);
    group.setContainer(container);
    container.setIommu('type1v2');
    const one = await group.getDevice(UUID);
    const done = one.close();
    const next = group.getDevice(UUID);
    expect(log).toEqual(['open']);
    closing.pass();
    await done;
    expect((await next).isClosed).toBe(false);
    expect([log, device.openCount]).toEqual([['open', 'closed', 'open'], 1]);
  });

  test('not in an interrupt handler, nor can vectors be set there: EINVAL, and all is as it was', async () => {
    await using bench = await Bench.start();
    const { port, file } = await bench.open();
    const fds = eventfds(2);
    const set = { index: MSIX, action: 'trigger', start: 0, count: 2, eventfds: fds } as const;
    file.setIrqs(set);
    const codes: string[] = [];
    const uses = [() => file.setIrqs({ ...set, count: 0, eventfds: [] }), () => file.setIrqs(set), () => file.close()];
    const listening = fds[0]!.listen(() => codes.push(...uses.map(codeOf)));
    bench.fire(0);
    listening.dispose();
    expect([codes, new Set(bench.violations.splice(0))]).toEqual([
      ['EINVAL', 'EINVAL', 'EINVAL'],
      new Set(['sleep-in-interrupt']),
    ]);
    bench.fire(0);
    bench.fire(1);
    expect([fds.map(({ count }) => count), port.maps.size]).toEqual([[2, 1], 2]);
    await file.close();
    expect([port.maps.size, bench.violations]).toEqual([0, []]);
  });

  test('only what is bound can be seen', async () => {
    await using bench = await Bench.start();
    const { dev, device } = await bench.create();
    expect([bench.vfio.list(), bench.vfio.get(UUID), bench.vfio.deviceOf(dev)]).toEqual([[device], device, device]);
    await bench.kernel.mdev.remove(dev);
    expect([bench.vfio.list(), codeOf(() => bench.vfio.get(UUID)), bench.vfio.deviceOf(dev)]).toEqual([[], 'ENODEV', undefined]);
    expect(codeOf(() => bench.vfio.openGroup(device.group.name))).toBe('ENODEV');
  });
});

describe('a device that is to go', () => {
  test('4.4.4 asks for itself at once and every 10 s, with a growing count, until nobody has it', async () => {
    const asked: string[] = [];
    await using bench = await Bench.start({
      shape: (it) =>
        Object.assign(it, { request: (count: number) => void asked.push(`${count} at ${bench.machine.clock.now()}`) }),
    });
    const { port, file } = await bench.open();
    const start = bench.machine.clock.now();
    const going = bench.kernel.mdev.remove(port.dev);
    await bench.machine.settle(2 * TEN_SECONDS_US);
    expect(asked).toEqual([0, 1, 2].map((n) => `${n} at ${start + n * TEN_SECONDS_US}`));
    await file.close();
    await going;
    await bench.machine.settle(2 * TEN_SECONDS_US);
    expect(asked).toHaveLength(3);
  });

  test('4.4.4 its user hears of it by REQ; without that a warning is logged, once', async () => {
    await using bench = await Bench.start();
    const { port, file } = await bench.open();
    const fd = new EventFd();
    file.setIrqs({ index: REQ, action: 'trigger', start: 0, count: 1, eventfds: [fd] });
    const going = bench.kernel.mdev.remove(port.dev);
    await bench.machine.settle(TEN_SECONDS_US);
    expect([fd.count, bench.log('vfio_blocked')]).toEqual([2, []]);
    await file.close();
    await going;
    const other = await bench.open(OTHER_UUID);
    const blocked = bench.kernel.mdev.remove(other.port.dev);
    await bench.machine.settle(3 * TEN_SECONDS_US);
    expect(bench.log('vfio_blocked')).toHaveLength(1);
    await other.file.close();
    await blocked;
  });

  test('a request that throws breaks a rule, and it is asked for again', async () => {
    let asked = 0;
    const request = (): never => {
      asked++;
      throw new RangeError('no');
    };
    await using bench = await Bench.start({ shape: (it) => Object.assign(it, { request }) });
    const { port, file } = await bench.open();
    const going = bench.kernel.mdev.remove(port.dev);
    await bench.machine.settle(TEN_SECONDS_US);
    expect([asked, bench.violations.splice(0)]).toEqual([2, ['callback-threw', 'callback-threw']]);
    await file.close();
    await going;
  });

  test('nobody can open it any more; who has it goes on using it', async () => {
    await using bench = await Bench.start();
    const { port, file } = await bench.open();
    const [fd] = eventfds(1);
    file.setIrqs({ index: MSIX, action: 'trigger', start: 0, count: 1, eventfds: [fd] });
    const page = file.mmap(VFIO_PCI_REGION.BAR2, 0, PAGE);
    const going = bench.kernel.mdev.remove(port.dev);
    expect(codeOf(() => bench.vfio.openDevice(UUID))).toBe('ENODEV');
    expect(file.read(VFIO_PCI_REGION.BAR0, 0, new Uint8Array(4))).toBe(4);
    bench.fire(0);
    expect([fd!.count, page.revoked, port.device.isGone]).toEqual([1, false, false]);
    await file.close();
    await going;
    expect([page.revoked, port.device.isGone, port.maps.size]).toEqual([true, true, 0]);
    expect(codeOf(() => file.read(VFIO_PCI_REGION.BAR0, 0, new Uint8Array(4)))).toBe('EBADF');
  });

  test('who opened it before, and did not bind it, keeps it as well', async () => {
    await using bench = await Bench.start();
    const { dev, device } = await bench.create();
    const file = bench.vfio.openDevice(UUID);
    const going = bench.kernel.mdev.remove(dev);
    await file.bind(bench.vfio.container(bench.memory));
    await bench.machine.settle(0);
    expect([dev.bound, device.openCount, file.info().pci]).toEqual([true, 1, true]);
    await file.close();
    await going;
    expect(dev.registered).toBe(false);
  });

  test('one that is being opened is waited for', async () => {
    const opening = gate();
    await using bench = await Bench.start({ shape: (it) => Object.assign(it, { open: () => opening.passed }) });
    const { dev, device } = await bench.create();
    const group = bench.vfio.openGroup(device.group.name);
    const container = bench.vfio.container(bench.memory);
    group.setContainer(container);
    container.setIommu('type1v2');
    const getting = group.getDevice(UUID);
    const going = bench.kernel.mdev.remove(dev);
    await bench.machine.settle(0);
    expect(dev.bound).toBe(true);
    opening.pass();
    const file = await getting;
    await bench.machine.settle(0);
    expect([dev.bound, file.info().pci]).toEqual([true, true]);
    await file.close();
    await going;
    expect([dev.registered, codeOf(() => group.status()), codeOf(() => group.getDevice(UUID))]).toEqual([
      false,
      'ENODEV',
      'ENODEV',
    ]);
  });

  test('one whose open fails at last is not waited for any longer', async () => {
    const opening = gate();
    const open = async (): Promise<never> => {
      await opening.passed;
      throw new RangeError('too late');
    };
    await using bench = await Bench.start({ shape: (it) => Object.assign(it, { open }) });
    const { dev, device } = await bench.create();
    const group = bench.vfio.openGroup(device.group.name);
    const container = bench.vfio.container(bench.memory);
    group.setContainer(container);
    container.setIommu('type1v2');
    const getting = (async () => group.getDevice(UUID))();
    const going = bench.kernel.mdev.remove(dev);
    opening.pass();
    await expect(getting).rejects.toThrow('too late');
    await going;
    expect([dev.registered, device.isGone]).toEqual([false, true]);
  });

  test('one that does not wait any longer takes its interrupts from the guest first; all that the user does is ENODEV then', async () => {
    await using s = await scene();
    const { bench, port, file, fd, irqfd } = s;
    const page = file.mmap(VFIO_PCI_REGION.BAR2, 0, PAGE);
    const going = codeOfAsync(() => bench.kernel.mdev.remove(port.dev));
    await bench.machine.settle(7 * TEN_SECONDS_US);
    expect([await going, bench.violations.splice(0), irqfd.isPosted]).toEqual(['ETIMEDOUT', ['hung-callback'], false]);
    expect(bench.vfio.bypass.isConnected(fd)).toBe(false);
    const set = { index: MSIX, action: 'trigger', start: 0, count: 1, eventfds: [fd] } as const;
    const uses = [
      () => file.info(),
      () => file.read(VFIO_PCI_REGION.BAR0, 0, new Uint8Array(4)),
      () => file.setIrqs(set),
      () => file.reset(),
      () => file.mmap(VFIO_PCI_REGION.BAR2, 0, PAGE),
    ];
    for (const use of uses) expect(codeOf(use)).toBe('ENODEV');
    await file.close();
    expect([page.revoked, port.maps.size, port.device.isGone, bench.violations]).toEqual([true, 0, true, []]);
  });

  test('a card that is pulled out takes its parts with it, when their users have left', async () => {
    await using bench = await Bench.start();
    const { port, file } = await bench.open();
    const [fd] = eventfds(1);
    file.setIrqs({ index: MSIX, action: 'trigger', start: 0, count: 1, eventfds: [fd] });
    const card = bench.dev;
    const going = bench.kernel.core.remove(card);
    await bench.machine.settle(0);
    expect([port.dev.bound, card.bound]).toEqual([true, true]);
    expect(codeOf(() => bench.kernel.mdev.create(bench.parent.types[0]!, OTHER_UUID))).toBe('ENODEV');
    expect(codeOf(() => bench.kernel.mdev.remove(port.dev))).toBe('ENODEV');
    expect(bench.parent.available).toBe(1);
    await file.close();
    await going;
    expect([port.dev.registered, card.registered, bench.violations]).toEqual([false, false, []]);
    expect(codeOf(() => bench.kernel.mdev.create(bench.parent.types[0]!, OTHER_UUID))).toBe('ENODEV');
  });

  test('when the system stops, users are gone before devices', async () => {
    const order: string[] = [];
    const bench = await Bench.start({ shape: (it) => Object.assign(it, { close: () => void order.push('close') }) });
    const { file } = await bench.open();
    const guest = bench.vfio.guest();
    const fd = new EventFd();
    const irqfd = guest.irqfd(fd, { vcpus: [0], vector: 0x41 });
    file.setIrqs({ index: MSIX, action: 'trigger', start: 0, count: 1, eventfds: [fd] });
    expect(irqfd.isPosted).toBe(true);
    await bench[Symbol.asyncDispose]();
    expect([order, file.isClosed, irqfd.isPosted, bench.violations]).toEqual([['close'], true, false, []]);
    expect((bench.portDriver as PortDriver).removed).toEqual([UUID]);
  });

  test('when the system stops, what one user’s close throws is told, and the others are closed', async () => {
    const close = (): never => {
      throw new Errno('EIO', 'port: stuck');
    };
    const bench = await Bench.start({ shape: (it) => Object.assign(it, { close }) });
    const [one, two] = [await bench.open(), await bench.open(OTHER_UUID)];
    await expect(bench.vfio.close()).rejects.toThrow('EIO: port: stuck (and 1 more: closing what users of devices have open)');
    expect([one.file.isClosed, two.file.isClosed]).toEqual([true, true]);
    await bench[Symbol.asyncDispose]();
  });
});
