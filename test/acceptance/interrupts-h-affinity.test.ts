import { describe, expect, test } from 'vitest';
import {
  CpuMask,
  type CpuTopology,
  type IrqAffinity,
  type IrqAffinityDesc,
  type IrqHandle,
  type MsiMap,
  VectorData,
  calcAffinityVectors,
  createAffinityMasks,
  groupCpusEvenly,
} from '../../core/index.js';
import { Bench, Table, array, codeOf } from './interrupts-bench.js';

const topology = (cpus: number): CpuTopology => {
  const all = CpuMask.all(cpus);
  return { possible: all, present: all, defaultAffinity: all, node: () => 0, siblings: (cpu) => CpuMask.of(cpu) };
};
const spread = (count: number, affinity: IrqAffinity, cpus = 4): IrqAffinityDesc[] | undefined =>
  createAffinityMasks(count, affinity, topology(cpus), (text) => {
    throw new Error(text);
  });
const texts = (masks: readonly IrqAffinityDesc[] | undefined): string[] | undefined =>
  masks?.map(({ mask, managed }) => `${String(mask)}${managed === true ? ' managed' : ''}`);

const own = (irq: IrqHandle): VectorData => irq.desc.data.parent!.parent!.chipData as VectorData;
const managed = (...cpus: number[]): { readonly affinity: IrqAffinityDesc } => ({
  affinity: { mask: CpuMask.from(cpus), managed: true },
});

/** A bench with one requested IMS interrupt. */
async function moving(
  options: Parameters<typeof Bench.start>[0] = {},
): Promise<{ bench: Bench; irq: IrqHandle; map: MsiMap; table: Table }> {
  const bench = await Bench.start(options);
  const table = new Table();
  const domain = bench.domain(array(table));
  const map = domain.alloc({ affinity: [0] });
  const irq = bench.kernel.irqs.request(bench.dev, map.virq, () => {});
  return { bench, irq, map, table };
}

describe('H: affinity and managed interrupts', () => {
  test('C-099 an affinity is stored before the request, and applied by it; what is not there is EINVAL', async () => {
    await using bench = await Bench.start();
    const { irqs } = bench.kernel;
    expect(codeOf(() => irqs.setAffinity(9999, [0]))).toBe('EINVAL');
    const { virq } = bench.ims().alloc();
    irqs.setAffinity(virq, [3]);
    expect(String(irqs.affinity(virq))).toBe('3');
    const irq = irqs.request(bench.dev, virq, () => {});
    expect([String(irq.affinity), String(irq.effectiveAffinity), own(irq).cpu]).toEqual(['3', '3', 3]);
    expect(codeOf(() => irq.setAffinity([7]))).toBe('EINVAL');
    expect(codeOf(() => irq.setAffinity([]))).toBe('EINVAL');
    expect(String(irq.affinity)).toBe('3');
  });

  test('C-100 users cannot move what is managed, nor where no CPU is online', async () => {
    await using bench = await Bench.start();
    const { irqs } = bench.kernel;
    const domain = bench.ims();
    const [free, kept] = [domain.alloc(), domain.alloc(managed(1))];
    for (const { virq } of [free, kept]) irqs.request(bench.dev, virq, () => {});
    expect(codeOf(() => irqs.writeAffinity(kept.virq, [2]))).toBe('EPERM');
    expect(codeOf(() => irqs.writeAffinity(free.virq, [9]))).toBe('EINVAL');
    irqs.writeAffinity(free.virq, [2]);
    expect([String(irqs.affinity(free.virq)), String(irqs.affinity(kept.virq))]).toEqual(['2', '1']);
  });

  test('C-101 an affinity that holds the present CPU moves nothing', async () => {
    const { bench, irq, table } = await moving();
    await using _ = bench;
    const before = own(irq).vector;
    table.log.length = 0;
    irq.setAffinity([0, 1, 2]);
    expect([own(irq).cpu, own(irq).vector, own(irq).prevVector, table.log]).toEqual([0, before, 0, []]);
    expect([String(irq.affinity), String(irq.effectiveAffinity)]).toEqual(['0-2', '0']);
  });

  test('C-102 where there is no vector it stays where it is', async () => {
    await using bench = await Bench.mini();
    const domain = bench.domain(array(), 16);
    for (let n = 0; n < 4; n++) bench.kernel.irqs.request(bench.dev, domain.alloc({ affinity: [1] }).virq, () => {});
    const irq = bench.kernel.irqs.request(bench.dev, domain.alloc({ affinity: [0] }).virq, () => {});
    const { vector } = own(irq);
    expect(codeOf(() => irq.setAffinity([1]))).toBe('ENOSPC');
    expect([own(irq).cpu, own(irq).vector, String(irq.effectiveAffinity)]).toEqual([0, vector, '0']);
    bench.fire(domain, 4);
    expect(irq.desc.total).toBe(1);
  });

  test('C-103 a second move before the first is cleaned up waits for the next interrupt', async () => {
    const { bench, irq, map } = await moving();
    await using _ = bench;
    irq.setAffinity([1]);
    irq.setAffinity([2]);
    expect([irq.desc.affinityPending, String(irq.effectiveAffinity)]).toEqual([true, '1']);
    bench.machine.elapse(1000);
    bench.fire(bench.kernel.msi.domain(bench.dev, 'secondary')!, map.index);
    expect([irq.desc.affinityPending, String(irq.effectiveAffinity), String(irq.affinity)]).toEqual([false, '2', '2']);
  });

  test('C-104 a move rewrites the entry, not the device, and frees the old vector a tick later', async () => {
    const { bench, irq, table } = await moving();
    await using _ = bench;
    const matrix = bench.kernel.interrupts.matrix!;
    const entries: number[][] = [];
    bench.onEntry((index, words) => void entries.push([index, words[1]!]));
    table.log.length = 0;
    irq.setAffinity([2]);
    expect([entries, table.log]).toEqual([[[0, 2]], []]);
    expect([matrix.cpu(0).allocated, matrix.cpu(2).allocated]).toEqual([1, 1]);
    bench.machine.elapse(1000);
    expect([matrix.cpu(0).allocated, matrix.cpu(2).allocated, matrix.totalAllocated]).toEqual([0, 1, 1]);
  });

  test('C-104 an old vector that is still pending at the tick is kept until it was taken', async () => {
    const { bench, irq, map } = await moving();
    await using _ = bench;
    const { card, machine, kernel, dev } = bench;
    const matrix = kernel.interrupts.matrix!;
    const domain = kernel.msi.domain(dev, 'secondary')!;
    const other = domain.alloc({ affinity: [3] });
    const kept: number[] = [];
    // While a handler runs nothing else is delivered, however many ticks there are.
    kernel.irqs.request(dev, other.virq, () => {
      const { addressLo, addressHi, data } = domain.message(map.index)!;
      card.context.irq.post(addressLo, addressHi, data);
      irq.setAffinity([2]);
      machine.elapse(2000);
      kept.push(matrix.cpu(0).allocated);
    });
    bench.fire(domain, other.index);
    expect([kept, irq.desc.countOn(0), irq.desc.countOn(2)]).toEqual([[1], 1, 0]);
    machine.elapse(1000);
    expect(matrix.cpu(0).allocated).toBe(0);
  });

  test('C-105 on a plain machine a move writes the new message, masked meanwhile, and cleans up at the first interrupt there', async () => {
    await using bench = await Bench.start({ interrupts: 'plain', card: { msix: 2 } });
    const { dev, kernel, machine } = bench;
    dev.enableMsix({});
    const irq = dev.requestIrq(0, () => {});
    const matrix = kernel.interrupts.matrix!;
    const at = (): number => (kernel.msi.domain(dev, 'default')!.message(0)!.addressLo >>> 12) & 0xff;
    expect(at()).toBe(0);
    irq.setAffinity([3]);
    expect([at(), matrix.cpu(0).allocated, matrix.cpu(3).allocated]).toEqual([3, 1, 1]);
    machine.elapse(5000);
    expect(matrix.cpu(0).allocated).toBe(1);
    machine.drain();
    bench.card.context.irq.msix(0);
    machine.drain();
    machine.elapse(1000);
    expect([irq.desc.countOn(3), matrix.cpu(0).allocated, matrix.cpu(3).allocated]).toEqual([1, 0, 1]);
  });

  test('C-106 a notifier is told of a move, in task context', async () => {
    const { bench, irq } = await moving();
    await using _ = bench;
    const seen: string[] = [];
    irq.setAffinityNotifier((mask) => void seen.push(String(mask)));
    irq.setAffinity([2]);
    expect(seen).toEqual([]);
    bench.kernel.irqs.drain();
    expect(seen).toEqual(['2']);
    void irq.free();
    expect(bench.take()).toEqual(['affinity-notifier-at-free']);
  });

  test('C-107 vectors are spread evenly, the lowest CPUs first', () => {
    expect(texts(spread(4, {}))).toEqual(['0 managed', '1 managed', '2 managed', '3 managed']);
    expect(texts(spread(3, {}, 8))).toEqual(['0-2 managed', '3-5 managed', '6-7 managed']);
    expect(texts(spread(2, {}))).toEqual(['0-1 managed', '2-3 managed']);
    expect(groupCpusEvenly(3, topology(4)).map(String)).toEqual(['0-1', '2', '3']);
  });

  test('C-108 vectors before and after are not managed', () => {
    const masks = texts(spread(6, { preVectors: 1, postVectors: 1 }));
    expect(masks).toEqual(['0-3', '0 managed', '1 managed', '2 managed', '3 managed', '0-3']);
  });

  test('C-109 no more vectors than CPUs without sets, and at most four sets', () => {
    const cpus = topology(4);
    const edge = { preVectors: 1, postVectors: 1 };
    expect(calcAffinityVectors(2, 64, edge, cpus)).toBe(6);
    expect(calcAffinityVectors(1, 64, edge, cpus)).toBe(0);
    expect(calcAffinityVectors(2, 64, { ...edge, calcSets: (n) => [n] }, cpus)).toBe(64);
    const broken: string[] = [];
    const five = (): number[] => [1, 1, 1, 1, 1];
    expect(createAffinityMasks(5, { calcSets: five }, cpus, (text) => void broken.push(text))).toBeUndefined();
    expect(broken).toHaveLength(1);
    const calls: number[] = [];
    expect(spread(2, { preVectors: 2, calcSets: (n) => (calls.push(n), [n]) })).toBeUndefined();
    expect(calls).toEqual([0]);
  });

  test('C-110 a managed interrupt waits for its CPU, and stops when that goes', async () => {
    await using bench = await Bench.start();
    const { irqs } = bench.kernel;
    const { virq } = bench.ims().alloc(managed(3));
    irqs.offline(3);
    const irq = irqs.request(bench.dev, virq, () => {});
    expect([irq.desc.managedShutdown, irq.desc.started, irq.desc.depth]).toEqual([true, false, 1]);
    irqs.online(3);
    expect([irq.desc.managedShutdown, irq.desc.started, irq.desc.depth, own(irq).cpu]).toEqual([false, true, 0, 3]);
    irqs.offline(3);
    expect([irq.desc.managedShutdown, irq.desc.started, String(irq.affinity)]).toEqual([true, false, '3']);
    irqs.online(3);
    bench.fire(bench.kernel.msi.domain(bench.dev, 'secondary')!, 0);
    expect([irq.desc.started, irq.desc.countOn(3), bench.take()]).toEqual([true, 1, []]);
  });

  test('C-111 one that its driver has disabled stays disabled', async () => {
    await using bench = await Bench.start();
    const { irqs } = bench.kernel;
    const { virq } = bench.ims().alloc(managed(3));
    const irq = irqs.request(bench.dev, virq, () => {});
    void irq.disable();
    irqs.offline(3);
    irqs.online(3);
    expect([irq.desc.disabled, irq.desc.depth]).toEqual([true, 1]);
    irq.enable();
    expect([irq.desc.disabled, irq.desc.depth, irq.desc.started]).toEqual([false, 0, true]);
  });

  test('C-112 an unmanaged one goes to any CPU when its own go', async () => {
    const { bench, irq } = await moving();
    await using _ = bench;
    irq.setAffinity([3]);
    bench.machine.elapse(1000);
    bench.kernel.irqs.offline(3);
    expect([String(irq.affinity), irq.desc.started, bench.warnings.some((text) => text.includes('broken'))]).toEqual([
      '0-2',
      true,
      true,
    ]);
    expect(irq.effectiveAffinity.isSubsetOf(CpuMask.of(0, 1, 2))).toBe(true);
    bench.fire(bench.kernel.msi.domain(bench.dev, 'secondary')!, 0);
    expect(irq.desc.total).toBe(1);
  });

  test('C-112 when the rest of its own CPUs are full, it goes to the others', async () => {
    await using bench = await Bench.start({ cpus: 3, irq: { vectors: { first: 32, end: 36, system: [] } } });
    const domain = bench.domain(array(), 16);
    const { irqs } = bench.kernel;
    for (let n = 0; n < 4; n++) irqs.request(bench.dev, domain.alloc({ affinity: [1] }).virq, () => {});
    const irq = irqs.request(bench.dev, domain.alloc({ affinity: [0] }).virq, () => {});
    irq.setAffinity([0, 1]);
    irqs.offline(0);
    expect([own(irq).cpu, irq.desc.started]).toEqual([2, true]);
  });

  test('C-113 a hint is applied, and is to be taken back before the handler goes', async () => {
    const { bench, irq } = await moving();
    await using _ = bench;
    irq.setAffinityHint([2]);
    expect([String(irq.desc.affinityHint), String(irq.affinity), String(irq.effectiveAffinity)]).toEqual(['2', '2', '2']);
    const { desc } = irq;
    void irq.free();
    expect([bench.take(), desc.affinityHint]).toEqual([['affinity-hint-at-free'], undefined]);
  });

  test('C-153, C-154 queues that are spread: one set for all, or one for writing and one for reading', () => {
    const nvme = (count: number, cpus: number): string[] | undefined =>
      texts(spread(count, { preVectors: 1, calcSets: (n) => [n] }, cpus));
    expect(nvme(9, 8)).toEqual(['0-7', ...[0, 1, 2, 3, 4, 5, 6, 7].map((cpu) => `${cpu} managed`)]);
    expect(nvme(4, 8)).toEqual(['0-7', '0-2 managed', '3-5 managed', '6-7 managed']);
    expect(nvme(1, 8)).toBeUndefined();
    const split =
      (write: number) =>
      (count: number): number[] => {
        const read = write >= count ? 1 : count - write;
        return [count - read, read];
      };
    const masks = texts(spread(7, { preVectors: 1, calcSets: split(4) }, 8));
    expect(masks?.slice(1, 5)).toEqual(['0-1 managed', '2-3 managed', '4-5 managed', '6-7 managed']);
    expect(masks?.slice(5)).toEqual(['0-3 managed', '4-7 managed']);
    expect(split(8)(6)).toEqual([5, 1]);
    expect(texts(spread(7, { preVectors: 1, calcSets: split(8) }, 8))?.at(-1)).toBe('0-7 managed');
  });
});
