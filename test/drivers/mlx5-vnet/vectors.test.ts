import { describe, expect, test } from 'vitest';
import { Errno, EventFd, type Guest, type MsiDesc } from '../../../core/index.js';
import type { NicProfile } from '../../../hw/models/nic/index.js';
import { type NetGuest, STARTED, VnetBench, frame } from './fixture.js';

const VECTOR = 0x41;
const NONE = 'EOPNOTSUPP';

/** By queue: whether it has an interrupt of its own, or why not. */
const irqsOf = (bench: VnetBench, n = 0): (string | boolean)[] =>
  Array.from({ length: bench.vnet(n).info.vqCount }, (_, index) => {
    try {
      return bench.vnet(n).vqIrq(index) > 0;
    } catch (error) {
      return Errno.codeOf(error);
    }
  });

/** How often the host has handled the interrupt of a queue. */
const hostCount = (bench: VnetBench, index: number, n = 0): number =>
  bench.system.kernel.irqs.list().find(({ virq }) => virq === bench.vnet(n).vqIrq(index))!.total;

/** Frames in both directions by every queue that sends; what comes, and which calls were signalled, by the queues of `b`. */
async function exchange(bench: VnetBench, a: NetGuest, b: NetGuest): Promise<{ packets: number; signals: number[] }> {
  const all = [...a.queues.keys()];
  for (const index of all) a.signals(index);
  for (const index of all) a.arm(index);
  let packets = 0;
  for (const index of all.filter((one) => one % 2 === 1)) {
    a.send(index, frame(b.mac, a.mac, 64, index));
    b.send(1, frame(a.mac, b.mac, 64, index));
  }
  await bench.settle();
  for (const index of b.queues.keys()) if (index % 2 === 0) packets += b.received(index).length;
  return { packets, signals: all.map((index) => a.signals(index)) };
}

/** What vectors are made of is not to be noticed: a table entry, or a message in memory. */
const SOURCES: readonly (readonly [string, NicProfile])[] = [
  ['MSI-X', { msix: 64 }],
  ['IMS', { msix: 2, imsCapacity: 64 }],
];

describe.each(SOURCES)('vectors of queues (%s)', (name, profile) => {
  const kind = name === 'IMS' ? 'memory' : 'msix';

  test('98 of four queues three get a vector of their own, the last is told of by an event queue, and all work', async () => {
    await using bench = await VnetBench.start({ pairs: 2, profile });
    await using b = await bench.guest(1);
    bench.leave(3);
    await using a = await bench.guest(0);
    expect(irqsOf(bench)).toEqual([true, true, true, NONE]);
    const { bypass } = bench.system.kernel.vfio;
    using guest = bench.system.kernel.vfio.guest({ vcpus: 1 });
    guest.vcpu(0).run(1);
    const irqfds = a.queues.map(({ call }) => guest.irqfd(call, { vcpus: [0], vector: VECTOR }));
    expect(a.queues.map(({ call }) => bypass.isConnected(call))).toEqual([true, true, true, false]);
    expect(irqfds.map(({ isPosted }) => isPosted)).toEqual([true, true, true, false]);
    irqfds.forEach((irqfd) => irqfd[Symbol.dispose]());
    const { packets, signals } = await exchange(bench, a, b);
    expect(packets).toBe(2);
    expect([signals[1], signals[3]]).toEqual([1, 1]);
    // Which of both receives is the hash's choice.
    expect(signals[0]! + signals[2]!).toBeGreaterThan(0);
    expect(bench.logged('event_mode')).toHaveLength(1);
  });

  test('without any vector all queues are told of by event queues', async () => {
    await using bench = await VnetBench.start({ profile });
    await using b = await bench.guest(1);
    bench.leave(0);
    await using a = await bench.guest(0);
    expect(irqsOf(bench)).toEqual([NONE, NONE]);
    expect(await exchange(bench, a, b)).toEqual({ packets: 1, signals: [1, 1] });
  });

  test('82 a guest gets the interrupts of a queue without the host', async () => {
    await using bench = await VnetBench.start({ profile });
    await using a = await bench.guest(0);
    await using b = await bench.guest(1);
    const posted = new Posted(bench, a);
    for (let n = 0; n < 10; n++) await posted.receive(b);
    expect([posted.handled, hostCount(bench, 0)]).toEqual([10, 0]);
    const leases = bench.pf.irqTable.vectors.leasesOf(bench.system.device('mlx5_core.vnet.1'));
    expect(leases.map(({ target }) => target.kind)).toEqual([kind, kind]);
    expect(bench.sim.iommuFaults).toEqual([]);
    posted.guest[Symbol.dispose]();
  });

  test('82 one that is blocked is woken once', async () => {
    await using bench = await VnetBench.start({ profile });
    await using a = await bench.guest(0);
    await using b = await bench.guest(1);
    const posted = new Posted(bench, a);
    const vcpu = posted.guest.vcpu(0);
    vcpu.block();
    await posted.receive(b);
    expect([vcpu.state, vcpu.wakeups, posted.handled, hostCount(bench, 0)]).toEqual(['running', 1, 1, 0]);
    posted.guest[Symbol.dispose]();
  });

  test('83 when its eventfd is taken away, the host has them again, and the message is as it was', async () => {
    await using bench = await VnetBench.start({ profile });
    await using a = await bench.guest(0);
    await using b = await bench.guest(1);
    const virq = bench.vnet(0).vqIrq(0);
    const message = (): object => ({ ...(bench.system.kernel.irqs.desc(virq).msi as MsiDesc).msg });
    const before = message();
    const posted = new Posted(bench, a);
    await posted.receive(b);
    posted.guest[Symbol.dispose]();
    expect(message()).toEqual(before);
    a.arm(0);
    b.send(1, frame(a.mac, b.mac, 64));
    await bench.settle();
    expect([posted.handled, a.signals(0), hostCount(bench, 0)]).toEqual([1, 1, 1]);
  });

  test('another eventfd for a queue is another guest that gets them', async () => {
    await using bench = await VnetBench.start({ profile });
    await using a = await bench.guest(0);
    using guest = bench.system.kernel.vfio.guest({ vcpus: 1 });
    const [first, second] = [a.queues[0]!.call, new EventFd('second')];
    const irqfds = [first, second].map((eventfd) => guest.irqfd(eventfd, { vcpus: [0], vector: VECTOR }));
    expect(irqfds.map(({ isPosted }) => isPosted)).toEqual([true, false]);
    await a.vdpa.setVringCall(0, second);
    expect(irqfds.map(({ isPosted }) => isPosted)).toEqual([false, true]);
    await a.vdpa.setVringCall(0, undefined);
    expect(irqfds.map(({ isPosted }) => isPosted)).toEqual([false, false]);
  });

  test('a reset takes them from the guest and gives them back; DRIVER_OK asks for them anew', async () => {
    await using bench = await VnetBench.start({ profile });
    const { vectors } = bench.pf.irqTable;
    const before = vectors.available;
    await using a = await bench.guest(0);
    using guest = bench.system.kernel.vfio.guest({ vcpus: 1 });
    const irqfd = guest.irqfd(a.queues[0]!.call, { vcpus: [0], vector: VECTOR });
    expect([irqfd.isPosted, irqsOf(bench)]).toEqual([true, [true, true]]);
    await a.vdpa.setStatus(0);
    expect([irqfd.isPosted, irqsOf(bench)]).toEqual([false, [NONE, NONE]]);
    // The event queue that has been made meanwhile stays.
    expect(before - vectors.available).toBeLessThanOrEqual(1);
  });

  test('an interrupt moves to another CPU while packets come, and none is lost', async () => {
    await using bench = await VnetBench.start({ profile });
    await using a = await bench.guest(0);
    await using b = await bench.guest(1);
    const { irqs } = bench.system.kernel;
    for (let n = 0; n < 8; n++) {
      irqs.setAffinity(bench.vnet(0).vqIrq(0), [n % 4]);
      a.arm(0);
      b.send(1, frame(a.mac, b.mac, 64, n));
      await bench.settle();
      expect([a.received(0).length, a.signals(0)]).toEqual([1, 1]);
    }
  });
});

test('a status with DRIVER_OK is asked of the hardware once', async () => {
  await using bench = await VnetBench.start();
  await using a = await bench.guest(0);
  const irqs = irqsOf(bench);
  await a.vdpa.setStatus(STARTED);
  expect([await a.vdpa.status(), irqsOf(bench)]).toEqual([STARTED, irqs]);
});

/** Queue 0 of a user whose guest gets its interrupts. */
class Posted {
  readonly guest: Guest;
  handled = 0;

  constructor(
    readonly bench: VnetBench,
    readonly user: NetGuest,
  ) {
    this.guest = bench.system.kernel.vfio.guest({ vcpus: 1 });
    const vcpu = this.guest.vcpu(0);
    vcpu.handle(VECTOR, () => {
      this.handled++;
      user.queues[0]!.cq.sn++;
      user.received(0);
      user.arm(0);
    });
    vcpu.run(1);
    this.guest.irqfd(user.queues[0]!.call, { vcpus: [0], vector: VECTOR });
    user.arm(0);
  }

  /** A packet comes. */
  async receive(from: NetGuest): Promise<void> {
    from.send(1, frame(this.user.mac, from.mac, 64));
    await this.bench.settle();
  }
}
