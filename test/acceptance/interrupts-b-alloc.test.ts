import { describe, expect, test } from 'vitest';
import { CpuMask, Errno, type MsiMap, imsArray } from '../../core/index.js';
import { Bench, array, codeOf, thrown } from './interrupts-bench.js';

const pairs = (maps: readonly MsiMap[]): [number, number][] => maps.map(({ index, virq }) => [index, virq]);
const taken = async (bench: Bench, count: number): Promise<MsiMap[]> => {
  const domain = bench.ims(count);
  const maps = Array.from({ length: count }, () => domain.alloc());
  for (const { virq } of maps) bench.kernel.irqs.request(bench.dev, virq, () => {});
  return maps;
};

describe('B: indices, numbers and limits of allocation', () => {
  test('C-018, C-019, C-020 the lowest free index and number come first, and come back', async () => {
    await using bench = await Bench.start();
    const domain = bench.domain(array());
    const maps = [0, 1, 2, 3].map(() => domain.alloc());
    expect(pairs(maps)).toEqual([
      [0, 24],
      [1, 25],
      [2, 26],
      [3, 27],
    ]);
    expect(codeOf(() => domain.alloc())).toBe('EBUSY');
    let count = 0;
    for (const { virq } of maps) bench.kernel.irqs.request(bench.dev, virq, () => count++);
    for (const { index } of maps) bench.fire(domain, index);
    expect(count).toBe(4);
  });

  test('C-020 an index that is freed is the next to be given, with its number', async () => {
    await using bench = await Bench.start();
    const domain = bench.domain(array());
    const maps = [0, 1, 2, 3].map(() => domain.alloc());
    domain.free(maps[1]!);
    expect(pairs([domain.alloc()])).toEqual([[1, 25]]);
  });

  test('C-021 a domain that is gone allocates no more', async () => {
    await using bench = await Bench.start({ card: { msix: 4 } });
    bench.dev.allocVectors({ types: ['msix'] });
    const domain = bench.domain(array());
    domain.remove();
    expect(codeOf(() => domain.alloc())).toBe('ENODEV');
    expect(bench.kernel.msi.domain(bench.dev, 'secondary')).toBeUndefined();
  });

  test('C-022, C-023 a cookie is copied, and may be absent', async () => {
    await using bench = await Bench.start();
    const domain = bench.domain(array());
    const cookie = { value: 0x1234 };
    domain.alloc({ cookie });
    cookie.value = 0;
    expect([...domain.descs()][0]?.cookie).toEqual({ value: 0x1234 });
    domain.alloc();
    expect([...domain.descs()][1]?.cookie).toBeUndefined();
    domain.alloc({ cookie: 7n });
    expect([...domain.descs()][2]?.cookie).toBe(7n);
  });

  test('C-024, C-025 a PASID is in the control word, an invalid one is not', async () => {
    await using bench = await Bench.start();
    const { dev, kernel, card } = bench;
    const regs = dev.mapBar(0);
    const domain = kernel.ims.createDomain(dev, imsArray(regs, { offset: 0, slots: 4 }));
    const words: number[] = [];
    const { slots } = card;
    const write = slots.write32.bind(slots);
    slots.write32 = (offset, value) => {
      if (offset % 16 === 12) words.push(value);
      write(offset, value);
    };
    const control = (): number => regs.read32(12);
    const map = domain.alloc({ cookie: { pasid: 0x1234 } });
    expect(control()).toBe(0x0123_4009);
    const irq = kernel.irqs.request(dev, map.virq, () => {});
    expect(control()).toBe(0x0123_4008);
    irq.desc.chip.mask?.(irq.desc.data);
    expect(control()).toBe(0x0123_4009);
    irq.desc.chip.unmask?.(irq.desc.data);
    expect(control()).toBe(0x0123_4008);
    expect(words.slice(-2)).toEqual([0x0123_4009, 0x0123_4008]);
    domain.alloc({ cookie: { pasid: 0xffff_ffff } });
    expect(regs.read32(16 + 12)).toBe(1);
    expect(codeOf(() => domain.alloc({ cookie: { pasid: 0x10_0000 } }))).toBe('ERANGE');
  });

  test('C-026 an affinity that is asked for is where it goes', async () => {
    await using bench = await Bench.start();
    const { virq } = bench.ims().alloc({ affinity: { mask: CpuMask.of(2) } });
    const irq = bench.kernel.irqs.request(bench.dev, virq, () => {});
    expect([String(irq.affinity), String(irq.effectiveAffinity)]).toEqual(['2', '2']);
  });

  test('C-027 an affinity without CPUs is ENOSPC for EINVAL, and the index is free again', async () => {
    await using bench = await Bench.start();
    const domain = bench.ims();
    const error = thrown(() => domain.alloc({ affinity: { mask: CpuMask.EMPTY } }));
    expect(error?.code).toBe('ENOSPC');
    expect(Errno.is(error?.cause, 'EINVAL')).toBe(true);
    expect([domain.count, domain.alloc().index]).toEqual([0, 0]);
  });

  test('C-028 a template need not say its hwirq; one that says the same twice fails with ENOSPC for EEXIST', async () => {
    await using bench = await Bench.start();
    const silent = bench.domain(array(undefined, { ops: { prepareDesc: () => {} } }), 4, { id: 'silent' });
    silent.alloc();
    expect(bench.kernel.irqs.desc(silent.alloc().virq).data.hwirq).toBe(1);
    const same = bench.domain(array(undefined, { ops: { prepareDesc: (_desc, info) => void (info.hwirq = 0) } }));
    expect(bench.kernel.irqs.desc(same.alloc().virq).data.hwirq).toBe(0);
    const error = thrown(() => same.alloc());
    expect(error?.code).toBe('ENOSPC');
    expect(Errno.is(error?.cause, 'EEXIST')).toBe(true);
    expect([...same.descs()].map(({ index }) => index)).toEqual([0]);
  });

  test('C-029 an index in particular: taken EBUSY, beyond the end ERANGE', async () => {
    await using bench = await Bench.start();
    const domain = bench.domain(array());
    expect(pairs([domain.allocAt(2)])).toEqual([[2, 24]]);
    expect([codeOf(() => domain.allocAt(2)), codeOf(() => domain.allocAt(4))]).toEqual(['EBUSY', 'ERANGE']);
    expect(domain.alloc().index).toBe(0);
    expect(bench.take()).toEqual([]);
  });

  test('C-030 fixed entries and a pool beside them', async () => {
    await using bench = await Bench.start();
    const domain = bench.domain(array());
    const fixed = [domain.allocAt(0), domain.allocAt(1)];
    expect([domain.alloc().index, domain.alloc().index]).toEqual([2, 3]);
    expect(codeOf(() => domain.alloc())).toBe('EBUSY');
    domain.free(fixed[0]!);
    expect(codeOf(() => domain.allocIn(2, 3))).toBe('EBUSY');
    expect(domain.allocIn(0, 3).index).toBe(0);
  });

  test('C-031, C-033 when remapping entries run out it is ENOSPC for ENOMEM, and a range is all or nothing', async () => {
    await using bench = await Bench.start({ others: [2] });
    const all = bench.domain(array(), 0);
    const maps = all.allocRange(0, 65_535);
    const domain = bench.domain(array(), 4, {}, bench.at('0000:6a:02.0'));
    const error = thrown(() => domain.alloc());
    expect(error?.code).toBe('ENOSPC');
    expect(Errno.is(error?.cause, 'ENOMEM')).toBe(true);
    for (const map of maps.slice(-2)) all.free(map);
    expect(codeOf(() => domain.allocRange(0, 2))).toBe('ENOSPC');
    expect([domain.count, [...domain.descs()]]).toEqual([0, []]);
    expect(domain.allocRange(0, 1)).toHaveLength(2);
  });

  test('C-032 a range that cannot be breaks a rule', async () => {
    await using bench = await Bench.start();
    const domain = bench.domain(array());
    expect(codeOf(() => domain.allocRange(3, 1))).toBe('EINVAL');
    expect(bench.take()).toHaveLength(1);
    expect(codeOf(() => domain.allocRange(0, 4))).toBe('EINVAL');
    expect(bench.take()).toHaveLength(1);
    expect(domain.count).toBe(0);
  });

  test('C-034, C-035 allocation works with no vector left, the request does not, until one is free', async () => {
    await using bench = await Bench.mini();
    const { kernel, dev, warnings } = bench;
    const matrix = kernel.interrupts.matrix!;
    await taken(bench, 8);
    expect([matrix.available, matrix.reserved, matrix.totalAllocated]).toEqual([0, 0, 8]);
    const log: string[] = [];
    const store = { name: 'NINE', slots: 4, mask() {}, unmask() {}, writeMsg: () => void log.push('write') };
    const warned = warnings.length;
    const ninth = kernel.ims.createDomain(dev, store, { id: 'nine' }).alloc();
    expect([matrix.reserved, matrix.totalAllocated, warnings.length - warned]).toEqual([1, 8, 1]);
    expect(codeOf(() => kernel.irqs.request(dev, ninth.virq, () => {}))).toBe('ENOSPC');
    expect([log, matrix.reserved, kernel.irqs.desc(ninth.virq).actions]).toEqual([[], 1, []]);
    await bench.kernel.core.unbind(dev);
    expect([matrix.reserved, matrix.totalAllocated]).toEqual([0, 0]);
  });

  test('C-035 a request that had no vector works once another interrupt is freed', async () => {
    await using bench = await Bench.mini();
    const { kernel, dev } = bench;
    const matrix = kernel.interrupts.matrix!;
    const domain = bench.domain(array(), 16);
    const handles = Array.from({ length: 8 }, () => {
      const map = domain.alloc();
      return { map, irq: kernel.irqs.request(dev, map.virq, () => {}) };
    });
    const ninth = domain.alloc();
    expect(codeOf(() => kernel.irqs.request(dev, ninth.virq, () => {}))).toBe('ENOSPC');
    await handles[0]!.irq.free();
    expect(codeOf(() => kernel.irqs.request(dev, ninth.virq, () => {}))).toBe('ENOSPC');
    domain.free(handles[0]!.map);
    expect(codeOf(() => kernel.irqs.request(dev, ninth.virq, () => {}))).toBe('ok');
    expect([matrix.reserved, matrix.totalAllocated]).toEqual([0, 8]);
  });

  test('C-036 a managed affinity has a vector set aside on each of its CPUs, or is refused', async () => {
    await using bench = await Bench.mini();
    const matrix = bench.kernel.interrupts.matrix!;
    const domain = bench.domain(array(), 16);
    const managed = { mask: CpuMask.of(0, 1), managed: true };
    for (let n = 0; n < 4; n++) domain.alloc({ affinity: managed });
    expect([matrix.cpu(0).managed, matrix.cpu(1).managed, matrix.reserved, matrix.available]).toEqual([4, 4, 0, 0]);
    expect(codeOf(() => domain.alloc({ affinity: managed }))).toBe('ENOSPC');
    expect([matrix.cpu(0).managed, matrix.cpu(1).managed, domain.count]).toEqual([4, 4, 4]);
    domain.freeAll();
    expect([matrix.cpu(0).managed, matrix.available]).toEqual([0, 8]);
  });

  test('C-037 a domain that software alone limits ends at 65,536', async () => {
    await using bench = await Bench.start();
    const domain = bench.domain(array(), 0);
    expect(domain.allocRange(0, 65_535).at(-1)?.index).toBe(65_535);
    expect(codeOf(() => domain.alloc())).toBe('EBUSY');
    domain.freeAll();
    expect([domain.count, domain.alloc().index]).toEqual([0, 0]);
  });

  test('C-038 looking up what is not there gives 0', async () => {
    await using bench = await Bench.start({ others: [2] });
    const { msi } = bench.kernel;
    const { virq } = bench.domain(array(), 0).allocAt(2);
    const lookup = (id: string, index: number): number => msi.lookup(bench.dev, id, index);
    expect([lookup('secondary', 2), lookup('secondary', 3), lookup('default', 2)]).toEqual([virq, 0, 0]);
    expect(bench.take()).toEqual([]);
    expect(lookup('secondary', 65_536)).toBe(0);
    expect(bench.take()).toHaveLength(1);
    expect(msi.lookup(bench.at('0000:6a:02.0'), 'secondary', 0)).toBe(0);
    expect(bench.take()).toEqual([]);
  });

  test('C-040 descriptors with and without an interrupt are told apart', async () => {
    await using bench = await Bench.start();
    const domain = bench.domain(array());
    domain.allocAt(0);
    const bare = domain.insert(1, 1);
    domain.allocAt(2);
    const indices = (filter?: 'all' | 'associated' | 'not-associated'): number[] =>
      [...domain.descs(filter)].map(({ index }) => index);
    expect([indices('all'), indices('associated'), indices('not-associated')]).toEqual([[0, 1, 2], [0, 2], [1]]);
    domain.associate(bare);
    expect(indices('not-associated')).toEqual([]);
  });
});
