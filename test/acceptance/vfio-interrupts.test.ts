import { describe, expect, test } from 'vitest';
import {
  EventFd,
  type IrqBypassConsumer,
  type IrqBypassProducer,
  Kernel,
  type PciDevice,
  type PciDriver,
  VFIO_PCI_IRQ,
  type VfioFile,
  type VfioIrqSet,
  pciId,
} from 'backplane';
import { hostSim } from 'backplane/plugins/host-sim';
import { VfioBench, codeOf, fds } from './vfio-bench.js';

const { INTX, MSI, MSIX, ERR, REQ } = VFIO_PCI_IRQ;
const trigger = (start: number, eventfds: readonly (EventFd | undefined)[], index: number = MSIX): VfioIrqSet => ({
  index,
  action: 'trigger',
  start,
  count: eventfds.length,
  eventfds,
});
const none = (index: number, start: number, count: number): VfioIrqSet => ({ index, action: 'trigger', start, count });

async function open(): Promise<{ bench: VfioBench; file: VfioFile; part: ReturnType<VfioBench['part']> }> {
  const bench = await VfioBench.start();
  const { file, part } = await bench.open();
  return { bench, file, part };
}

describe('4.5 the shape of SET_IRQS', () => {
  const bad: readonly (readonly [what: string, set: VfioIrqSet, code: string])[] = [
    ['an index that there is not', none(5, 0, 0), 'EINVAL'],
    ['one without interrupts', none(ERR, 0, 0), 'EINVAL'],
    ['a start beyond', none(MSIX, 5, 0), 'EINVAL'],
    ['a count beyond', trigger(3, fds(3)), 'EINVAL'],
    ['a count that wraps', none(MSIX, 1, 2 ** 32 - 2), 'EINVAL'],
    ['two kinds of data', { ...trigger(0, fds(1)), bools: [true] }, 'EINVAL'],
    ['too little data', { ...trigger(0, fds(1)), count: 2 }, 'EINVAL'],
    ['a mask of messages', { ...none(MSIX, 0, 1), action: 'mask' }, 'ENOTTY'],
    ['an unmask of messages', { ...none(MSI, 0, 1), action: 'unmask' }, 'ENOTTY'],
    ['a mask of the request', { ...none(REQ, 0, 1), action: 'mask' }, 'ENOTTY'],
    ['the line from 1 on', none(INTX, 1, 1), 'EINVAL'],
    ['none for what is not enabled', none(MSIX, 0, 1), 'EINVAL'],
    ['all off of what is not enabled', none(MSIX, 0, 0), 'EINVAL'],
    ['bools for what is not enabled', { ...none(MSIX, 0, 1), bools: [true] }, 'EINVAL'],
    ['a closed descriptor', trigger(0, [closed()]), 'EBADF'],
  ];
  test.each(bad)('%s', async (_what, set, code) => {
    const { bench, file, part } = await open();
    await using _ = bench;
    expect(await codeOf(() => file.setIrqs(set))).toBe(code);
    expect([part.maps.size, file.setIrqs(trigger(0, fds(1)))]).toEqual([0, 0]);
    await file.close();
  });
});

function closed(): EventFd {
  const fd = new EventFd('closed');
  fd.close();
  return fd;
}

describe('4.6 vectors', () => {
  test('91 fewer than asked for: how many there are, and none is taken', async () => {
    const { bench, file, part } = await open();
    await using _ = bench;
    expect([file.setIrqs(trigger(0, fds(5))), part.maps.size, file.setIrqs(trigger(0, fds(4))), part.maps.size]).toEqual([
      4, 0, 0, 4,
    ]);
    // One more, later, is an error.
    expect(await codeOf(() => file.setIrqs(trigger(4, fds(1))))).toBe('ENOSPC');
    expect(part.maps.size).toBe(4);
    await file.close();
    expect(part.maps.size).toBe(0);
  });

  test('92 a bad one in the first block ends all, in a later one what is before it in the block', async () => {
    const { bench, file, part } = await open();
    await using _ = bench;
    expect([await codeOf(() => file.setIrqs(trigger(0, [...fds(2), closed(), ...fds(1)]))), part.maps.size]).toEqual([
      'EBADF',
      0,
    ]);
    const all = fds(4);
    file.setIrqs(trigger(0, all));
    expect(await codeOf(() => file.setIrqs(trigger(1, [...fds(1), closed()])))).toBe('EBADF');
    for (let slot = 0; slot < 4; slot++) bench.fire(slot);
    expect(all.map(({ count }) => count)).toEqual([1, 0, 0, 1]);
    await file.close();
  });

  test('93 94 one that is given up keeps its vector; loop-back skips it; it comes back with the same one', async () => {
    const { bench, file, part } = await open();
    await using _ = bench;
    const all = fds(4);
    file.setIrqs(trigger(0, all));
    const { virq } = part.maps.get(2)!;
    const { irqs } = bench.system.kernel;
    file.setIrqs(trigger(2, [undefined]));
    expect([part.maps.size, irqs.desc(virq).isRequested]).toEqual([4, false]);
    expect(file.setIrqs(none(MSIX, 0, 4))).toBe(0);
    expect(all.map(({ count }) => count)).toEqual([1, 1, 0, 1]);
    expect(file.setIrqs({ ...none(MSIX, 0, 4), bools: [true, false, true, true] })).toBe(0);
    expect(all.map(({ count }) => count)).toEqual([2, 1, 0, 2]);
    file.setIrqs(trigger(2, [all[2]]));
    expect(part.maps.get(2)!.virq).toBe(virq);
    bench.fire(2);
    expect(all.map(({ count }) => count)).toEqual([2, 1, 1, 2]);
    expect([file.setIrqs(none(MSIX, 0, 0)), part.maps.size]).toEqual([0, 0]);
    await file.close();
  });

  test('4.6.2 one kind at a time', async () => {
    const { bench, file } = await open();
    await using _ = bench;
    file.setIrqs(trigger(0, fds(1)));
    expect([
      await codeOf(() => file.setIrqs(trigger(0, fds(1), MSI))),
      await codeOf(() => file.setIrqs(none(MSI, 0, 0))),
    ]).toEqual(['EINVAL', 'EINVAL']);
    file.setIrqs(none(MSIX, 0, 0));
    expect(file.setIrqs(trigger(0, fds(1), MSI))).toBe(0);
    await file.close();
  });

  test('4.6.7 the line masks itself; to unmask it by an eventfd there is one place', async () => {
    const { bench, file, part } = await open();
    await using _ = bench;
    const [fd] = fds(1);
    file.setIrqs(trigger(0, [fd], INTX));
    const fire = (): void => part.device.signal(INTX, 0);
    fire();
    fire();
    expect(fd!.count).toBe(1);
    file.setIrqs({ ...none(INTX, 0, 1), action: 'unmask' });
    expect(fd!.count).toBe(2);
    const mask = (set: Partial<VfioIrqSet>): Promise<string> => codeOf(() => file.setIrqs({ ...none(INTX, 0, 1), ...set }));
    expect(await mask({ action: 'mask', eventfds: fds(1) })).toBe('ENOTTY');
    expect([await mask({ action: 'unmask', eventfds: fds(1) }), await mask({ action: 'unmask', eventfds: fds(1) })]).toEqual([
      'ok',
      'EBUSY',
    ]);
    await file.close();
  });

  test('4.6.7 the request has one eventfd, and without it none to signal', async () => {
    const { bench, file, part } = await open();
    await using _ = bench;
    const [fd] = fds(1);
    expect(await codeOf(() => file.setIrqs(none(REQ, 0, 1)))).toBe('EINVAL');
    file.setIrqs(trigger(0, [fd], REQ));
    expect([file.setIrqs(none(REQ, 0, 1)), fd!.count]).toEqual([0, 1]);
    part.device.signal(REQ, 0);
    expect([fd!.count, file.setIrqs(none(REQ, 0, 0)), await codeOf(() => file.setIrqs(none(REQ, 0, 1)))]).toEqual([
      2,
      0,
      'EINVAL',
    ]);
    await file.close();
  });
});

describe('4.2 irq bypass', () => {
  const calls: string[] = [];
  const note = (what: string) => (): void => void calls.push(what);
  const producer = (context: EventFd, name = 'p'): IrqBypassProducer => ({
    context,
    irq: 1,
    stop: note(`stop ${name}`),
    start: note(`start ${name}`),
    addConsumer: note('add_consumer'),
    delConsumer: note('del_consumer'),
  });
  const consumer = (context: EventFd, fails?: () => never): IrqBypassConsumer => ({
    context,
    stop: note('stop c'),
    start: note('start c'),
    addProducer: () => {
      calls.push('add_producer');
      fails?.();
    },
    delProducer: note('del_producer'),
  });

  test('80 keys', async () => {
    await using bench = await VfioBench.start();
    const { bypass } = bench.vfio;
    const [key, other] = fds(2) as [EventFd, EventFd];
    const [p, c] = [producer(key), consumer(key)];
    bypass.registerProducer(p);
    expect([await codeOf(() => bypass.registerProducer(p)), await codeOf(() => bypass.registerProducer(producer(key)))]).toEqual([
      'EINVAL',
      'EBUSY',
    ]);
    expect(bench.rules.length).toBe(1);
    bypass.registerConsumer(c);
    expect(await codeOf(() => bypass.registerConsumer(consumer(key)))).toBe('EBUSY');
    expect(await codeOf(() => Reflect.apply(bypass.registerConsumer, bypass, [{ context: other }]))).toBe('EINVAL');
    expect(await codeOf(() => bypass.unregisterProducer(producer(other)))).toBe('ok');
    bypass.unregisterProducer(producer(key));
    expect(bypass.isConnected(key)).toBe(true);
    bypass.unregisterConsumer(c);
    bypass.unregisterProducer(p);
    expect(bypass.isConnected(key)).toBe(false);
  });

  test('4.2.2 81 the order of connecting, of parting and of failing', async () => {
    await using bench = await VfioBench.start();
    const { bypass } = bench.vfio;
    const [key] = fds(1) as [EventFd];
    const [p, c] = [producer(key), consumer(key)];
    calls.length = 0;
    bypass.registerProducer(p);
    bypass.registerConsumer(c);
    expect(calls.splice(0)).toEqual(['stop p', 'stop c', 'add_consumer', 'add_producer', 'start c', 'start p']);
    bypass.unregisterConsumer(c);
    expect(calls.splice(0)).toEqual(['stop p', 'stop c', 'del_producer', 'del_consumer', 'start c', 'start p']);
    const failing = consumer(key, () => {
      throw new RangeError('EIO');
    });
    expect(() => bypass.registerConsumer(failing)).toThrow('EIO');
    expect(calls.splice(0)).toEqual(['stop p', 'stop c', 'add_consumer', 'add_producer', 'del_consumer', 'start c', 'start p']);
    expect([bypass.isConnected(key), await codeOf(() => bypass.registerConsumer(c)), bypass.isConnected(key)]).toEqual([
      false,
      'ok',
      true,
    ]);
    bypass.unregisterConsumer(c);
    bypass.unregisterProducer(p);
  });

  test('82 83 posted to a guest, and back to the host; the message in the slot stays', async () => {
    const { bench, file, part } = await open();
    await using _ = bench;
    const [fd] = fds(1) as [EventFd];
    file.setIrqs(trigger(0, [fd]));
    const message = [0, 4, 8].map((at) => bench.card.slots.read32(at));
    const guest = bench.vfio.guest({ vcpus: 2 });
    let handled = 0;
    guest.vcpu(0).handle(0x30, () => handled++);
    guest.vcpu(0).run(1);
    const irqfd = guest.irqfd(fd, { vcpus: [0], vector: 0x30 });
    const total = (): number => bench.system.kernel.irqs.desc(part.maps.get(0)!.virq).total;
    for (let i = 0; i < 10; i++) bench.fire(0);
    expect([irqfd.isPosted, handled, total(), fd.count]).toEqual([true, 10, 0, 0]);
    guest.vcpu(0).block();
    bench.fire(0);
    expect([handled, guest.vcpu(0).wakeups, total()]).toEqual([11, 1, 0]);
    guest.vcpu(0).preempt();
    bench.fire(0);
    expect([handled, guest.vcpu(0).descriptor.isRequested(0x30), guest.vcpu(0).descriptor.isOutstanding]).toEqual([
      11,
      true,
      false,
    ]);
    guest.vcpu(0).run(0);
    bench.sim.drain();
    expect(handled).toBe(12);
    // To two at once it cannot be posted, and arrives all the same.
    irqfd.setRoute({ vcpus: [0, 1], vector: 0x30 });
    bench.fire(0);
    expect([irqfd.isPosted, handled, total()]).toEqual([false, 13, 1]);
    irqfd.setRoute({ vcpus: [0], vector: 0x30 });
    expect(irqfd.isPosted).toBe(true);
    file.setIrqs(trigger(0, [undefined]));
    expect(irqfd.isPosted).toBe(false);
    file.setIrqs(trigger(0, [fd]));
    expect(irqfd.isPosted).toBe(true);
    irqfd[Symbol.dispose]();
    bench.fire(0);
    expect([fd.count, handled, [0, 4, 8].map((at) => bench.card.slots.read32(at))]).toEqual([1, 13, message]);
    await guest[Symbol.asyncDispose]();
    await file.close();
  });

  test('84 where nothing can be posted it is ENOSYS', async () => {
    const sim = hostSim({ edu: 1, interrupts: 'plain' });
    const kernel = new Kernel(sim);
    await kernel.start();
    const driver: PciDriver = {
      name: 'edu',
      ids: [pciId(0x1234, 0x11e8)],
      probe: (dev: PciDevice) => {
        dev.setMaster();
        dev.allocVectors({ types: ['msi'] });
        dev.requestIrq(0, () => {});
      },
    };
    await kernel.core.registerDriver(kernel.pci.bus, driver);
    const dev = kernel.pci.find('0000:00:04.0')!;
    expect([dev.bound, await codeOf(() => kernel.irqs.setVcpuAffinity(dev.irqVector(0), undefined))]).toEqual([true, 'ENOSYS']);
    expect(await codeOf(() => kernel.irqs.setVcpuAffinity(9999, undefined))).toBe('EINVAL');
    await kernel.stop();
  });
});
