import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CpuMask } from '../../../core/irq/cpu-mask.js';
import { type CpuTopology, groupCpusEvenly } from '../../../core/irq/group-cpus.js';

/** A machine of one node, one thread a core, no clusters, all CPUs present; `changes` make it another. */
function machine(cpus: number, changes: Partial<CpuTopology> = {}): CpuTopology {
  const all = CpuMask.all(cpus);
  return { possible: all, present: all, defaultAffinity: all, node: () => 0, siblings: (cpu) => CpuMask.of(cpu), ...changes };
}

const groups = (count: number, topology: CpuTopology): string[] =>
  groupCpusEvenly(count, topology).map((mask) => mask.toString());

describe('groupCpusEvenly', () => {
  test('makes groups that differ by one CPU at most, the larger ones first', () => {
    expect(groups(3, machine(8))).toEqual(['0-2', '3-5', '6-7']);
    expect(groups(4, machine(8))).toEqual(['0-1', '2-3', '4-5', '6-7']);
    expect(groups(1, machine(8))).toEqual(['0-7']);
  });

  test('makes no more groups than there are CPUs, and none of none', () => {
    expect(groups(65536, machine(3))).toEqual(['0', '1', '2']);
    expect([groups(0, machine(3)), groups(2, machine(0))]).toEqual([[], []]);
    for (const bad of [-1, 1.5]) expect(() => groups(bad, machine(3))).toThrow('ERANGE: group cpus: the number of groups is');
  });

  test('keeps the threads of a core together', () => {
    const smt = machine(8, { siblings: (cpu) => CpuMask.of(cpu % 4, (cpu % 4) + 4) });
    expect(groups(4, smt)).toEqual(['0,4', '1,5', '2,6', '3,7']);
    expect(groups(3, smt)).toEqual(['0-1,4', '2-3,6', '5,7']);
  });

  test('deals out whole nodes when there are as many as groups, or more', () => {
    const nodes = machine(8, { node: (cpu) => 3 - (cpu >> 1) });
    expect(groups(4, nodes)).toEqual(['6-7', '4-5', '2-3', '0-1']);
    expect(groups(3, nodes)).toEqual(['0-1,6-7', '4-5', '2-3']);
  });

  test('gives a node groups in proportion to its CPUs, one at least, the smallest node first', () => {
    const uneven = machine(8, { node: (cpu) => (cpu < 6 ? 0 : 1) });
    expect(groups(4, uneven)).toEqual(['6-7', '0-1', '2-3', '4-5']);
    expect(groups(3, uneven)).toEqual(['6-7', '0-2', '3-5']);
    expect(groups(6, machine(8, { node: (cpu) => cpu >> 2 }))).toEqual(['0-1', '2', '3', '4-5', '6', '7']);
  });

  test('deals out CPUs that are not present last, from the next group on and round', () => {
    const hotplug = machine(6, { present: CpuMask.all(4) });
    expect(groups(6, hotplug)).toEqual(['0', '1', '2', '3', '4', '5']);
    expect(groups(5, hotplug)).toEqual(['0,5', '1', '2', '3', '4']);
    expect(groups(4, hotplug)).toEqual(['0,4', '1,5', '2', '3']);
    expect(groups(2, machine(2, { present: CpuMask.EMPTY }))).toEqual(['0', '1']);
  });

  test('splits a node by its clusters when every CPU has one and there are groups enough', () => {
    const clusters = machine(8, { cluster: (cpu) => CpuMask.from([0, 2, 4, 6].map((even) => even + (cpu % 2))) });
    expect(groups(4, clusters)).toEqual(['0,2', '4,6', '1,3', '5,7']);
    expect(groups(3, clusters)).toEqual(['0,2,4,6', '1,3', '5,7']);
    const many = machine(6, { cluster: (cpu) => CpuMask.of(cpu % 3, (cpu % 3) + 3) });
    expect(groups(3, many)).toEqual(['0,3', '1,4', '2,5']);
    expect(groups(2, many)).toEqual(['0-2', '3-5']);
    const some = machine(8, { cluster: (cpu) => (cpu < 4 ? CpuMask.of(0, 2) : undefined) });
    expect(groups(4, some)).toEqual(['0-1', '2-3', '4-5', '6-7']);
    const small = machine(6, { cluster: (cpu) => (cpu < 4 ? CpuMask.all(4) : CpuMask.of(4, 5)) });
    expect(groups(3, small)).toEqual(['4-5', '0-1', '2-3']);
  });

  test('puts every possible CPU in one group, and none stays empty', () => {
    const shape = fc.record({
      cpus: fc.integer({ min: 1, max: 70 }),
      present: fc.integer({ min: 0, max: 70 }),
      nodes: fc.integer({ min: 1, max: 6 }),
      threads: fc.integer({ min: 1, max: 4 }),
      cluster: fc.integer({ min: 0, max: 5 }),
      count: fc.integer({ min: 1, max: 80 }),
    });
    fc.assert(
      fc.property(shape, ({ cpus, present, nodes, threads, cluster, count }) => {
        const topology = machine(cpus, {
          present: CpuMask.all(Math.min(present, cpus)),
          node: (cpu) => Math.floor(cpu / 7) % nodes,
          siblings: (cpu) => CpuMask.from(Array.from({ length: threads }, (_, i) => cpu - (cpu % threads) + i)),
          cluster: (cpu) =>
            cluster === 0 ? undefined : CpuMask.from([...CpuMask.all(cpus)].filter((c) => c % cluster === cpu % cluster)),
        });
        const masks = groupCpusEvenly(count, topology);
        expect(masks.length).toBe(Math.min(count, cpus));
        expect(masks.some((mask) => mask.isEmpty)).toBe(false);
        expect(masks.flatMap((mask) => [...mask]).sort((a, b) => a - b)).toEqual([...CpuMask.all(cpus)]);
      }),
      { seed: 1, numRuns: 500 },
    );
  });
});
