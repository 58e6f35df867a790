import { describe, expect, test } from 'vitest';
import { EventFd, type GuestRoute, VFIO_PCI_IRQ } from '../../../core/index.js';
import { Bench, type BenchOptions, codeOf, eventfds } from './bench.js';
import { ROUTE, VECTOR, give, scene } from './guest-scene.js';

const { MSIX } = VFIO_PCI_IRQ;

/** A device whose interrupt is a vector of MSI-X. */
async function withMsix(options: BenchOptions = {}): Promise<Bench> {
  const bench: Bench = await Bench.start({
    ...options,
    driver: (it) => ({
      probe: (dev) => {
        dev.enable();
        dev.setMaster();
        dev.enableMsix({});
        it.parent = it.kernel.mdev.registerParent(dev, it.portDriver, [{ name: 'port' }]);
      },
    }),
    shape: (it) => Object.assign(it, { irqs: [{ index: MSIX, count: 1, take: () => bench.dev.irqVector(0) }] }),
  });
  return bench;
}

describe('an interrupt posted to a guest', () => {
  test('82 reaches a virtual CPU that runs, and no handler of the host', async () => {
    await using s = await scene();
    const { bench, guest, heard, irqfd, virq, fd } = s;
    guest.vcpu(0).run(2);
    bench.machine.drain();
    const { descriptor } = guest.vcpu(0);
    expect([irqfd.isPosted, bench.kernel.irqs.desc(virq).forwardedToVcpu, descriptor.notifyVector]).toEqual([true, true, 0xf2]);
    for (let n = 0; n < 10; n++) bench.fire(0);
    expect([bench.total(virq), fd.count]).toEqual([0, 0]);
    expect([heard.length, new Set(heard), guest.vcpu(0).handled]).toEqual([10, new Set(['0:0x41']), 10]);
    expect([descriptor.isRequested(VECTOR), descriptor.isOutstanding]).toEqual([false, false]);
    expect(bench.kernel.irqs.core.unexpectedCount).toBe(0);
  });

  test('82 one that is blocked is woken once, by the wakeup vector, and takes it', async () => {
    await using s = await scene();
    const { bench, guest, heard, virq } = s;
    const vcpu = guest.vcpu(0);
    vcpu.run(3);
    vcpu.block();
    bench.machine.drain();
    expect([vcpu.state, vcpu.descriptor.notifyVector]).toEqual(['blocked', 0xf1]);
    const { addressLo, addressHi, data } = bench.messages[0]!;
    const { irq } = bench.cards[0]!.context;
    for (let n = 0; n < 10; n++) irq.post(addressLo, addressHi, data);
    expect([vcpu.descriptor.isOutstanding, vcpu.descriptor.isRequested(VECTOR), vcpu.wakeups]).toEqual([true, true, 0]);
    bench.machine.drain();
    expect([vcpu.wakeups, vcpu.state, vcpu.cpu, heard, bench.total(virq)]).toEqual([1, 'running', 3, ['0:0x41'], 0]);
  });

  test('4.2.5 one that is preempted collects bits, and notifies nobody; it takes them when it runs', async () => {
    await using s = await scene();
    const { bench, guest, heard } = s;
    const vcpu = guest.vcpu(0);
    expect([vcpu.state, vcpu.descriptor.isSuppressed]).toEqual(['preempted', true]);
    bench.fire(0);
    bench.fire(0);
    expect([vcpu.descriptor.isRequested(VECTOR), vcpu.descriptor.isOutstanding, heard]).toEqual([true, false, []]);
    vcpu.run();
    bench.machine.drain();
    expect([heard, vcpu.wakeups]).toEqual([['0:0x41'], 0]);
  });

  test('4.2.5 what came while it was preempted keeps it from being blocked', async () => {
    await using s = await scene();
    const { bench, guest, heard } = s;
    bench.fire(0);
    guest.vcpu(0).block();
    bench.machine.drain();
    expect([heard, guest.vcpu(0).state]).toEqual([['0:0x41'], 'running']);
  });

  test('4.2.5 what a handler leaves to do keeps it from being blocked', async () => {
    await using s = await scene();
    const { bench, guest, heard } = s;
    const vcpu = guest.vcpu(0);
    vcpu.run();
    vcpu.handle(0xff, () => vcpu.block());
    vcpu.inject(0xff);
    vcpu.inject(0x20);
    bench.machine.drain();
    expect([heard, vcpu.state, vcpu.handled, vcpu.wakeups]).toEqual([['0:0x20'], 'running', 2, 1]);
  });

  test('4.2.5 a notification on its way when it is preempted is not lost, and nothing is outstanding after', async () => {
    await using s = await scene();
    const { bench, guest, heard } = s;
    const vcpu = guest.vcpu(0);
    vcpu.run(1);
    bench.machine.drain();
    const { addressLo, addressHi, data } = bench.messages[0]!;
    bench.cards[0]!.context.irq.post(addressLo, addressHi, data);
    vcpu.preempt();
    bench.machine.drain();
    expect([heard, vcpu.descriptor.isOutstanding]).toEqual([[], true]);
    vcpu.run(2);
    bench.machine.drain();
    bench.fire(0);
    expect([heard.length, vcpu.descriptor.isOutstanding]).toEqual([2, false]);
  });

  test('82 and 83 so it is with a vector of MSI-X: nobody can tell', async () => {
    await using bench = await withMsix();
    await using guest = bench.vfio.guest();
    guest.vcpu(0).run(1);
    const { file } = await bench.open();
    const fd = new EventFd('queue 0');
    const irqfd = guest.irqfd(fd, ROUTE);
    give(file, fd);
    const domain = bench.kernel.msi.domain(bench.dev, 'default')!;
    const before = { ...domain.message(0)! };
    const { irq } = bench.cards[0]!.context;
    irq.msix(0);
    bench.machine.drain();
    expect([irqfd.isPosted, bench.total(bench.dev.irqVector(0)), guest.vcpu(0).handled]).toEqual([true, 0, 1]);
    irqfd[Symbol.dispose]();
    irq.msix(0);
    bench.machine.drain();
    expect([bench.total(bench.dev.irqVector(0)), fd.count, guest.vcpu(0).handled]).toEqual([1, 1, 1]);
    expect(domain.message(0)).toEqual(before);
  });

  test('82 a move to another CPU of the host moves the notification', async () => {
    await using s = await scene();
    const { bench, guest, heard } = s;
    for (const cpu of [0, 3, 1]) {
      guest.vcpu(0).run(cpu);
      bench.fire(0);
    }
    expect(heard).toHaveLength(3);
  });

  test('83 without eventfd it goes to the host again, and the message has not changed', async () => {
    await using s = await scene();
    const { bench, guest, file, fd, virq, irqfd, heard } = s;
    guest.vcpu(0).run();
    const before = bench.messages[0];
    const writes = bench.messages.length;
    irqfd[Symbol.dispose]();
    expect([irqfd.isPosted, bench.kernel.irqs.desc(virq).forwardedToVcpu]).toEqual([false, false]);
    bench.fire(0);
    expect([bench.messages[0], bench.messages.length]).toEqual([before, writes]);
    expect([bench.total(virq), fd.count, heard]).toEqual([1, 1, []]);
    // And when the user takes his eventfd away while it is posted.
    const again = s.guest.irqfd(fd, ROUTE);
    expect([again.isPosted, fd.count]).toEqual([true, 0]);
    give(file, undefined);
    expect([again.isPosted, bench.kernel.irqs.desc(virq).forwardedToVcpu, bench.violations]).toEqual([false, false, []]);
  });

  test('83 all given up while it is posted breaks no rule', async () => {
    await using s = await scene();
    s.file.setIrqs({ index: MSIX, action: 'trigger', start: 0, count: 0 });
    expect([s.irqfd.isPosted, s.port.maps.size, s.bench.violations]).toEqual([false, 0, []]);
    give(s.file, s.fd);
    expect(s.irqfd.isPosted).toBe(true);
  });

  test.each(['plain', 'virtual'] as const)(
    '84 %s: where no chip posts it is ENOSYS, and the guest gets it by the eventfd',
    async (interrupts) => {
      await using bench = await Bench.start({
        interrupts,
        // Without remapping of its own the platform has no IMS: the vector is one of MSI-X.
        driver: (it) => ({
          probe: (dev) => {
            dev.enable();
            dev.setMaster();
            dev.enableMsix({});
            it.parent = it.kernel.mdev.registerParent(dev, it.portDriver, [{ name: 'port' }]);
          },
        }),
        shape: (it) => Object.assign(it, { irqs: [{ index: MSIX, count: 1, take: () => bench.dev.irqVector(0) }] }),
      });
      await using guest = bench.vfio.guest();
      const heard: number[] = [];
      guest.vcpu(0).handle(VECTOR, (vector) => void heard.push(vector));
      guest.vcpu(0).run();
      const { file } = await bench.open();
      const virq = bench.dev.irqVector(0);
      const fd = new EventFd('queue 0');
      const irqfd = guest.irqfd(fd, ROUTE);
      expect(codeOf(() => bench.kernel.irqs.setVcpuAffinity(virq, { descriptor: 4096, vector: VECTOR }))).toBe('ENOSYS');
      give(file, fd);
      expect(bench.log('bypass_failed')).toEqual(['irq bypass producer (eventfd queue 0) registration fails: ENOSYS']);
      bench.cards[0]!.context.irq.msix(0);
      bench.machine.drain();
      expect([irqfd.isPosted, bench.total(virq), fd.count, heard]).toEqual([false, 1, 0, [VECTOR]]);
    },
  );
});

describe('a route', () => {
  test('84 that is set where nothing can be posted is no error: the guest gets the interrupt by the eventfd', async () => {
    await using bench = await withMsix({ interrupts: 'plain' });
    await using guest = bench.vfio.guest();
    guest.vcpu(0).run();
    const { file } = await bench.open();
    const fd = new EventFd('queue 0');
    const irqfd = guest.irqfd(fd);
    give(file, fd);
    expect(bench.vfio.bypass.isConnected(fd)).toBe(true);
    irqfd.setRoute(ROUTE);
    expect(bench.log('bypass_failed')).toEqual([`irq ${bench.dev.irqVector(0)} is not posted: ENOSYS`]);
    bench.cards[0]!.context.irq.msix(0);
    bench.machine.drain();
    expect([irqfd.isPosted, bench.total(bench.dev.irqVector(0)), guest.vcpu(0).handled]).toEqual([false, 1, 1]);
  });

  test('4.2.6 to several virtual CPUs is not posted, and reaches each', async () => {
    await using s = await scene({ vcpus: 2, route: { vcpus: [0, 1], vector: VECTOR } });
    for (const [n, vcpu] of s.guest.vcpus.entries()) vcpu.run(n);
    s.bench.fire(0);
    expect([s.irqfd.isPosted, s.bench.total(s.virq), s.fd.count]).toEqual([false, 1, 0]);
    expect(s.heard.sort()).toEqual(['0:0x41', '1:0x41']);
  });

  test('4.2.6 of another delivery is not posted; lowest priority to one is', async () => {
    await using s = await scene({ route: { ...ROUTE, delivery: 'other' } });
    expect(s.irqfd.isPosted).toBe(false);
    s.irqfd.setRoute({ ...ROUTE, delivery: 'lowest' });
    expect(s.irqfd.isPosted).toBe(true);
  });

  test('4.2.6 that changes updates the posting, or ends it', async () => {
    await using s = await scene({ vcpus: 2 });
    const { bench, guest, irqfd, heard, virq, fd } = s;
    for (const [n, vcpu] of guest.vcpus.entries()) vcpu.run(n);
    irqfd.setRoute({ vcpus: [1], vector: 0x42 });
    bench.fire(0);
    expect([irqfd.isPosted, heard.splice(0)]).toEqual([true, ['1:0x42']]);
    irqfd.setRoute({ vcpus: [0, 1], vector: 0x42 });
    bench.fire(0);
    expect([irqfd.isPosted, bench.total(virq), heard.splice(0).sort()]).toEqual([false, 1, ['0:0x42', '1:0x42']]);
    irqfd.setRoute(undefined);
    bench.fire(0);
    expect([irqfd.route, irqfd.isPosted, heard, fd.count]).toEqual([undefined, false, [], 0]);
    irqfd.setRoute(ROUTE);
    bench.fire(0);
    expect([irqfd.isPosted, heard]).toEqual([true, ['0:0x41']]);
  });

  test.each<[string, GuestRoute]>([
    ['a vector of the processor', { vcpus: [0], vector: 15 }],
    ['a vector that there is not', { vcpus: [0], vector: 256 }],
    ['no number', { vcpus: [0], vector: Number.NaN }],
    ['half a vector', { vcpus: [0], vector: 32.5 }],
    ['a virtual CPU that there is not', { vcpus: [1], vector: VECTOR }],
    ['a negative one', { vcpus: [0, -1], vector: VECTOR }],
  ])('%s is EINVAL, and the old route stays', async (_what, route) => {
    await using s = await scene();
    const { guest, irqfd } = s;
    expect(codeOf(() => irqfd.setRoute(route))).toBe('EINVAL');
    expect([irqfd.route, irqfd.isPosted]).toEqual([ROUTE, true]);
    const fd = new EventFd();
    expect(codeOf(() => guest.irqfd(fd, route))).toBe('EINVAL');
    expect(codeOf(() => guest.irqfd(fd, ROUTE))).toBe('ok');
  });

  test('to nobody delivers nothing', async () => {
    await using s = await scene({ route: { vcpus: [], vector: VECTOR } });
    s.bench.fire(0);
    expect([s.irqfd.isPosted, s.heard, s.fd.count]).toEqual([false, [], 0]);
  });
});

describe('an irqfd', () => {
  test('is one per eventfd: EBUSY; a closed eventfd is EBADF', async () => {
    await using s = await scene();
    expect(codeOf(() => s.guest.irqfd(s.fd, ROUTE))).toBe('EBUSY');
    const [closed] = eventfds(1);
    closed!.close();
    expect(codeOf(() => s.guest.irqfd(closed!, ROUTE))).toBe('EBADF');
  });

  test('takes what was signalled before it', async () => {
    await using s = await scene();
    s.guest.vcpu(0).run();
    const [fd] = eventfds(1);
    fd!.signal(3);
    s.guest.irqfd(fd!, { vcpus: [0], vector: 0x42 });
    s.bench.machine.drain();
    expect([s.heard, fd!.count]).toEqual([['0:0x42'], 0]);
  });

  test('ends when its eventfd is closed, or when it is disposed of', async () => {
    await using s = await scene();
    const { bench, fd, irqfd, virq, heard, guest } = s;
    guest.vcpu(0).run();
    fd.close();
    expect([irqfd.isPosted, bench.vfio.bypass.isConnected(fd)]).toEqual([false, false]);
    bench.fire(0);
    expect([bench.total(virq), heard]).toEqual([1, []]);
    irqfd[Symbol.dispose]();
    const [other] = eventfds(1);
    const next = guest.irqfd(other!, ROUTE);
    next[Symbol.dispose]();
    next[Symbol.dispose]();
    other!.signal();
    bench.machine.drain();
    expect([heard, other!.count]).toEqual([[], 1]);
  });

  test('a second guest with the same eventfd is not offered the interrupt, and hears of what comes by the host', async () => {
    await using s = await scene();
    const { bench, fd } = s;
    await using other = bench.vfio.guest({ name: 'other' });
    const second = other.irqfd(fd, ROUTE);
    expect([second.isPosted, bench.log('bypass_failed')]).toEqual([
      false,
      ['irq bypass consumer (eventfd queue 0) registration fails: EBUSY'],
    ]);
  });
});

describe('a guest', () => {
  test.each([0, 65, -1, 1.5, Number.NaN])('of %d virtual CPUs is ERANGE', async (vcpus) => {
    await using bench = await Bench.start();
    expect(codeOf(() => bench.vfio.guest({ vcpus }))).toBe('ERANGE');
  });

  test('has no virtual CPU of another number: EINVAL', async () => {
    await using bench = await Bench.start();
    const guest = bench.vfio.guest({ vcpus: 64 });
    for (const n of [64, -1, 0.5, Number.NaN]) expect(codeOf(() => guest.vcpu(n))).toBe('EINVAL');
    expect(guest.vcpu(63).descriptor.address % 64).toBe(0);
  });

  test('that ends gives interrupts back to the host, and its memory', async () => {
    await using s = await scene();
    const { bench, guest, irqfd, fd, virq, heard } = s;
    guest.vcpu(0).run();
    const before = bench.machine.dma.allocatedBytes;
    guest[Symbol.dispose]();
    guest[Symbol.dispose]();
    bench.fire(0);
    bench.machine.drain();
    expect([irqfd.isPosted, bench.total(virq), fd.count, heard]).toEqual([false, 1, 1, []]);
    expect(bench.machine.dma.allocatedBytes).toBe(before - 64);
    expect(codeOf(() => guest.irqfd(new EventFd(), ROUTE))).toBe('ENODEV');
    const next = bench.vfio.guest();
    expect(next.vcpu(0).state).toBe('preempted');
  });

  test('that has ended can do nothing to the memory of the next: ENODEV', async () => {
    await using s = await scene();
    const vcpu = s.guest.vcpu(0);
    s.guest[Symbol.dispose]();
    const next = s.bench.vfio.guest();
    for (const use of [() => vcpu.run(), () => vcpu.block(), () => vcpu.preempt(), () => vcpu.inject(0x20)]) {
      expect(codeOf(use)).toBe('ENODEV');
    }
    expect(next.vcpu(0).descriptor.hasRequests).toBe(false);
  });

  test.each([0xf1, 0xf2])('is EBUSY while somebody else has vector 0x%x, and leaves nothing', async (vector) => {
    await using bench = await Bench.start();
    const { core } = bench.kernel.irqs;
    const before = bench.machine.dma.allocatedBytes;
    core.setSystemVector(vector, () => {});
    for (let n = 0; n < 2; n++) expect(codeOf(() => bench.vfio.guest())).toBe('EBUSY');
    expect(bench.machine.dma.allocatedBytes).toBe(before);
    core.setSystemVector(vector, undefined);
    bench.vfio.guest()[Symbol.dispose]();
    expect(codeOf(() => core.setSystemVector(0xf1 + 0xf2 - vector, () => {}))).toBe('ok');
    core.setSystemVector(0xf1 + 0xf2 - vector, undefined);
  });

  test('two have the vectors of notifications together, and the last to end gives them back', async () => {
    await using bench = await Bench.start();
    const { core } = bench.kernel.irqs;
    const [a, b] = [bench.vfio.guest(), bench.vfio.guest()];
    expect(codeOf(() => core.setSystemVector(0xf2, () => {}))).toBe('EBUSY');
    a[Symbol.dispose]();
    expect(codeOf(() => core.setSystemVector(0xf2, () => {}))).toBe('EBUSY');
    b[Symbol.dispose]();
    expect(codeOf(() => core.setSystemVector(0xf2, () => {}))).toBe('ok');
    core.setSystemVector(0xf2, undefined);
  });
});
