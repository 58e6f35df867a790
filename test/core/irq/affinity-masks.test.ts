import { describe, expect, test } from 'vitest';
import { type IrqAffinity, calcAffinityVectors, createAffinityMasks } from '../../../core/irq/affinity-masks.js';
import { CpuMask } from '../../../core/irq/cpu-mask.js';
import type { CpuTopology } from '../../../core/irq/group-cpus.js';

/** A machine of one node with one thread a core; interrupts that are not spread use the first two CPUs. */
function machine(cpus: number): CpuTopology {
  const all = CpuMask.all(cpus);
  return { possible: all, present: all, defaultAffinity: CpuMask.all(2), node: () => 0, siblings: (cpu) => CpuMask.of(cpu) };
}

/** Every vector's CPUs, managed ones with an `m`; and what was violated. */
function spread(count: number, affinity: IrqAffinity, cpus: number) {
  const said: string[] = [];
  const masks = createAffinityMasks(count, affinity, machine(cpus), (text) => said.push(text));
  return { masks: masks?.map(({ mask, managed }) => mask.toString() + (managed ? 'm' : '')), said };
}

/** How nvme divides its queue vectors. @see Linux 7.2 drivers/nvme/host/pci.c nvme_calc_irq_sets */
const nvme = (writeQueues: number): IrqAffinity => ({
  preVectors: 1,
  calcSets: (count) => {
    let read = count - writeQueues;
    if (count <= 1 || writeQueues === 0) read = 0;
    else if (writeQueues >= count) read = 1;
    const sets = [Math.max(count, 1) - read, read];
    return read === 0 ? sets.slice(0, 1) : sets;
  },
});

describe('createAffinityMasks', () => {
  test('C-108 the first and the last vector keep the default mask, those between are managed, one CPU each', () => {
    expect(spread(6, { preVectors: 1, postVectors: 1 }, 4).masks).toEqual(['0-1', '0m', '1m', '2m', '3m', '0-1']);
  });

  test('C-109 more than 4 sets are a violation and give no masks', () => {
    const said = ['affinity: 5 sets of vectors, there can be 4'];
    expect(spread(5, { calcSets: () => [1, 1, 1, 1, 1] }, 4)).toEqual({ masks: undefined, said });
    expect(spread(5, { preVectors: 5, calcSets: () => [0, 0, 0, 0, 0] }, 4)).toEqual({ masks: undefined, said });
    expect(spread(4, { calcSets: () => [1, 1, 1, 1] }, 4)).toEqual({ masks: ['0-3m', '0-3m', '0-3m', '0-3m'], said: [] });
  });

  test('C-153 nvme gets an admin vector and queues on a CPU each, or on as many as the table has vectors for', () => {
    expect(spread(9, nvme(0), 8).masks).toEqual(['0-1', '0m', '1m', '2m', '3m', '4m', '5m', '6m', '7m']);
    expect(spread(4, nvme(0), 8).masks).toEqual(['0-1', '0-2m', '3-5m', '6-7m']);
    expect(spread(1, nvme(0), 8)).toEqual({ masks: undefined, said: [] });
    expect(calcAffinityVectors(2, 9, nvme(0), machine(8))).toBe(9);
  });

  test('C-154 nvme spreads its write and its read queues each over all CPUs', () => {
    expect(spread(7, nvme(4), 8).masks).toEqual(['0-1', '0-1m', '2-3m', '4-5m', '6-7m', '0-3m', '4-7m']);
    for (const writeQueues of [6, 9]) {
      expect(spread(7, nvme(writeQueues), 8).masks).toEqual(['0-1', '0-1m', '2-3m', '4-5m', '6m', '7m', '0-7m']);
    }
  });

  test('vectors that are left over have the default mask and are managed', () => {
    expect(spread(6, { postVectors: 1 }, 3).masks).toEqual(['0m', '1m', '2m', '0-1m', '0-1m', '0-1']);
    expect(spread(6, { calcSets: () => [4, 1] }, 3).masks).toEqual(['0m', '1m', '2m', '0-2m', '0-1m', '0-1m']);
  });

  test('asks for the sets even when no vector is left to spread', () => {
    const asked: number[] = [];
    const calcSets = (count: number): number[] => (asked.push(count), [count]);
    for (const count of [0, 1, 2, 3]) spread(count, { preVectors: 1, postVectors: 1, calcSets }, 4);
    expect(asked).toEqual([0, 0, 0, 1]);
    expect(spread(2, { preVectors: 1, postVectors: 1 }, 4)).toEqual({ masks: undefined, said: [] });
  });

  test('an empty set gives no masks, sets of too many vectors are a violation', () => {
    expect(spread(4, { calcSets: () => [4, 0] }, 4)).toEqual({ masks: undefined, said: [] });
    const said = ['affinity: the sets have 5 vectors together, there are 4 to spread'];
    expect(spread(4, { calcSets: () => [3, 2] }, 4)).toEqual({ masks: undefined, said });
    expect(() => spread(4, { calcSets: () => [0.5] }, 4)).toThrow('ERANGE: affinity: the size of a set is 0.5');
    expect(() => spread(-1, {}, 4)).toThrow('ERANGE: affinity: the number of vectors is -1');
    expect(() => spread(4, { preVectors: -1 }, 4)).toThrow('ERANGE: affinity: the number of vectors before is -1');
  });
});

describe('calcAffinityVectors', () => {
  test('C-109 without a set callback no more than the possible CPUs and those that are not spread', () => {
    expect(calcAffinityVectors(1, 32, {}, machine(4))).toBe(4);
    expect(calcAffinityVectors(2, 32, { preVectors: 1, postVectors: 1 }, machine(4))).toBe(6);
    expect(calcAffinityVectors(2, 5, { preVectors: 1, postVectors: 1 }, machine(4))).toBe(5);
    expect(calcAffinityVectors(1, 32, { calcSets: (count) => [count] }, machine(4))).toBe(32);
  });

  test('gives 0 when the smallest number does not cover those that are not spread', () => {
    expect(calcAffinityVectors(1, 32, { preVectors: 1, postVectors: 1 }, machine(4))).toBe(0);
    expect(calcAffinityVectors(2, 2, { preVectors: 2 }, machine(4))).toBe(2);
  });
});
