import { describe, expect, test } from 'vitest';
import { Errno, type Guest, type MsiDesc, VFIO_PCI_IRQ } from '../../../core/index.js';
import type { NicProfile } from '../../../hw/models/nic/index.js';
import { STARTED, VnetBench, frame } from './fixture.js';
import { VfioGuest } from './vfio-guest.js';

const { MSIX } = VFIO_PCI_IRQ;
const VECTOR = 0x41;

/** What vectors are made of is not to be noticed: a table entry, or a message in memory. */
const SOURCES: readonly (readonly [string, NicProfile])[] = [
  ['MSI-X', { msix: 64 }],
  ['IMS', { msix: 2, imsCapacity: 64 }],
];

/** Interrupts that a user of VFIO has requested: name, and how often they came. */
const interrupts = (bench: VnetBench): [string, number][] =>
  bench.kernel.irqs
    .list()
    .flatMap(({ actions, total }) => actions.map(({ name }): [string, number] => [name, total]))
    .filter(([name]) => name.startsWith('vfio'));

/** Vectors that a user has. */
const leases = (bench: VnetBench, user: VfioGuest) => bench.pf.irqTable.vectors.leasesOf(user.dev);

/** Frames in both directions by every queue that sends. @returns packets that came, and which vectors of `a` were signalled */
async function exchange(bench: VnetBench, a: VfioGuest, b: VfioGuest): Promise<{ packets: number; signals: number[] }> {
  const all = [...a.queues.keys()];
  for (const index of all) {
    a.signals(index);
    a.arm(index);
  }
  for (const index of all.filter((one) => one % 2 === 1)) {
    a.send(index, frame(b.mac, a.mac, 64, index));
    b.send(index, frame(a.mac, b.mac, 64, index));
  }
  await bench.settle();
  let packets = 0;
  for (const index of all.filter((one) => one % 2 === 0)) packets += a.received(index).length + b.received(index).length;
  return { packets, signals: all.map((index) => a.signals(index)) };
}

const codeOf = (fn: () => unknown): string => {
  try {
    fn();
    return 'ok';
  } catch (error) {
    return Errno.codeOf(error);
  }
};

describe.each(SOURCES)('queues by VFIO (%s)', (name, profile) => {
  const kind = name === 'IMS' ? 'memory' : 'msix';

  test('4.6.8 MSI-X has as many vectors as there are queues, each of them a vector of its own that signals the queue’s eventfd', async () => {
    await using bench = await VnetBench.start({ pairs: 2, profile });
    await using a = await VfioGuest.open(bench, 0);
    await using b = await VfioGuest.open(bench, 1);
    expect(a.file.irqInfo(MSIX)).toMatchObject({ count: 4, eventfd: true, maskable: false, noResize: false });
    expect([await a.start(), await b.start()]).toEqual([STARTED, STARTED]);
    const own = leases(bench, a);
    expect([own.length, own.every(({ target, isDedicated }) => isDedicated && target.kind === kind)]).toEqual([4, true]);
    const { packets, signals } = await exchange(bench, a, b);
    expect([packets, signals[1], signals[3]]).toEqual([4, 1, 1]);
    // Which of both receives is the hash's choice.
    expect(signals[0]! + signals[2]!).toBeGreaterThan(0);
    expect(interrupts(bench).filter(([it]) => it.endsWith(`(${a.dev.name})`))).toEqual(
      signals.map((count, k) => [`vfio-msix[${k}](${a.dev.name})`, count]),
    );
    expect(bench.sim.iommuFaults).toEqual([]);
  });

  test('91 and 4.6.8 with vectors for three of four queues the first enable says 3, and nothing stays allocated; later it is ENOSPC', async () => {
    await using bench = await VnetBench.start({ pairs: 2, profile });
    await using b = await VfioGuest.open(bench, 1);
    await b.start();
    await using a = await VfioGuest.open(bench, 0);
    a.setUp();
    bench.leave(3);
    const { vectors } = bench.pf.irqTable;
    const { available } = vectors;
    expect(a.enable(4)).toBe(3);
    expect([vectors.available, leases(bench, a)]).toEqual([available, []]);
    expect(a.enable(3)).toBe(0);
    expect(codeOf(() => a.enable(1, 3))).toBe('ENOSPC');
    expect(leases(bench, a)).toHaveLength(3);
    expect(await a.run()).toBe(STARTED);
    // The last queue has no vector: its user looks himself.
    const { packets, signals } = await exchange(bench, a, b);
    expect([packets, signals[1], signals[3]]).toEqual([4, 1, 0]);
  });

  test('4.6.8 without any vector it is ENOSPC, and the queues work', async () => {
    await using bench = await VnetBench.start({ profile });
    await using b = await VfioGuest.open(bench, 1);
    await b.start();
    await using a = await VfioGuest.open(bench, 0);
    a.setUp();
    bench.leave(0);
    expect(codeOf(() => a.enable())).toBe('ENOSPC');
    expect(await a.run()).toBe(STARTED);
    expect(await exchange(bench, a, b)).toEqual({ packets: 2, signals: [0, 0] });
  });

  test('82 and 83 a guest gets a queue’s interrupts without the host, and the message is as it was when that ends', async () => {
    await using bench = await VnetBench.start({ profile });
    await using b = await VfioGuest.open(bench, 1);
    await using a = await VfioGuest.open(bench, 0);
    await b.start();
    await a.start();
    const virq = bench.vnet(0).vqIrq(0);
    const message = (): object => ({ ...(bench.kernel.irqs.desc(virq).msi as MsiDesc).msg });
    const before = message();
    const posted = new Posted(bench, a);
    for (let n = 0; n < 10; n++) await posted.receive(b);
    expect([posted.irqfd.isPosted, posted.handled, bench.kernel.irqs.desc(virq).total]).toEqual([true, 10, 0]);
    posted.guest[Symbol.dispose]();
    await posted.receive(b);
    expect([message(), posted.handled, a.signals(0), bench.kernel.irqs.desc(virq).total]).toEqual([before, 10, 1, 1]);
  });

  test('93 one vector given up alone is kept for its queue: it comes back as it was', async () => {
    await using bench = await VnetBench.start({ profile });
    await using b = await VfioGuest.open(bench, 1);
    await using a = await VfioGuest.open(bench, 0);
    await b.start();
    await a.start();
    const virq = bench.vnet(0).vqIrq(1);
    a.file.setIrqs({ index: MSIX, action: 'trigger', start: 1, count: 1, eventfds: [undefined] });
    expect((await exchange(bench, a, b)).signals).toEqual([1, 0]);
    expect(bench.kernel.irqs.desc(virq).actions).toEqual([]);
    a.enable(1, 1);
    await bench.settle();
    // What came meanwhile is told now.
    expect(a.queues[1]!.call.count).toBe(1);
    expect((await exchange(bench, a, b)).signals).toEqual([1, 1]);
    expect(bench.vnet(0).vqIrq(1)).toBe(virq);
  });

  test('a vector that is given up while its queue works is nobody else’s until that has stopped', async () => {
    await using bench = await VnetBench.start({ count: 1, profile });
    await using a = await VfioGuest.open(bench, 0);
    await a.start();
    const { vectors } = bench.pf.irqTable;
    const virqs = [0, 1].map((k) => bench.vnet(0).vqIrq(k));
    const { available } = vectors;
    a.disable();
    expect([vectors.available, interrupts(bench)]).toEqual([available, []]);
    expect(a.enable()).toBe(0);
    expect([0, 1].map((k) => bench.vnet(0).vqIrq(k))).toEqual(virqs);
    a.disable();
    await a.setStatus(0);
    expect([vectors.available, leases(bench, a)]).toEqual([available + 2, []]);
  });

  test('vectors that come after the queues are theirs from the next start on; until then event queues signal them', async () => {
    await using bench = await VnetBench.start({ profile });
    await using b = await VfioGuest.open(bench, 1);
    await using a = await VfioGuest.open(bench, 0);
    await b.start();
    a.setUp();
    await a.run();
    expect(a.enable()).toBe(0);
    expect(codeOf(() => bench.vnet(0).vqIrq(0))).toBe('EOPNOTSUPP');
    expect(await exchange(bench, a, b)).toEqual({ packets: 2, signals: [1, 1] });
    expect(
      interrupts(bench)
        .slice(-2)
        .map(([, count]) => count),
    ).toEqual([0, 0]);
    await a.setStatus(0);
    a.setUp();
    a.enable();
    expect(await a.run()).toBe(STARTED);
    expect(leases(bench, a).map(({ virq }) => virq)).toEqual([0, 1].map((k) => bench.vnet(0).vqIrq(k)));
    expect(await exchange(bench, a, b)).toEqual({ packets: 2, signals: [1, 1] });
  });
});

/** Queue 0 of a user whose guest gets its interrupts. */
class Posted {
  readonly guest: Guest;
  readonly irqfd;
  handled = 0;

  constructor(
    readonly bench: VnetBench,
    readonly user: VfioGuest,
  ) {
    const { call, cq } = user.queues[0]!;
    this.guest = bench.kernel.vfio.guest({ vcpus: 1 });
    const vcpu = this.guest.vcpu(0);
    vcpu.handle(VECTOR, () => {
      this.handled++;
      cq.sn++;
    });
    vcpu.run(1);
    this.irqfd = this.guest.irqfd(call, { vcpus: [0], vector: VECTOR });
  }

  /** A packet comes. */
  async receive(from: VfioGuest): Promise<void> {
    this.user.arm(0);
    from.send(1, frame(this.user.mac, from.mac, 64));
    await this.bench.settle();
    this.user.received(0);
  }
}
