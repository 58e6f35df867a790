import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CpuMask } from '../../../core/irq/cpu-mask.js';
import { dumpMatrix } from '../../../core/irq/matrix-dump.js';
import { VectorMatrix, matrixCpu, matrixVector } from '../../../core/irq/matrix.js';

/** A matrix with all CPUs online, and what it said. */
function matrixOf(cpus: number, start: number, end: number, system: readonly number[] = []) {
  const said: string[] = [];
  const matrix = new VectorMatrix({ cpus, start, end, warn: (text, kind) => said.push(`${kind}: ${text}`) });
  for (const vector of system) matrix.assignSystem(vector);
  for (let cpu = 0; cpu < cpus; cpu++) matrix.online(cpu);
  return { matrix, said };
}

/** `MINI` of the scenarios: 2 CPUs of 4 vectors. */
const mini = () => matrixOf(2, 32, 36);
/** The host of the scenarios: the window of x86, 0x80 is the system call's. */
const host = (cpus = 4, system = [0x80]) => matrixOf(cpus, 0x20, 0xeb, system);
const at = (packed: number): string => (packed < 0 ? 'ENOSPC' : `${matrixCpu(packed)}:${matrixVector(packed)}`);
const BOTH = CpuMask.all(2);

describe('VectorMatrix', () => {
  test('takes turns between equal CPUs, the lowest first, each from its lowest vector', () => {
    const { matrix } = mini();
    const taken = Array.from({ length: 9 }, () => at(matrix.alloc(BOTH)));
    expect(taken).toEqual(['0:32', '1:32', '0:33', '1:33', '0:34', '1:34', '0:35', '1:35', 'ENOSPC']);
    expect([matrix.available, matrix.totalAllocated]).toEqual([0, 8]);
    matrix.free(1, 33, false);
    expect(at(matrix.alloc(BOTH))).toBe('1:33');
  });

  test('C-115 nine reservations succeed, the ninth with one warning', () => {
    const { matrix, said } = mini();
    for (let i = 0; i < 8; i++) matrix.reserve();
    expect(said).toEqual([]);
    matrix.reserve();
    expect(said).toEqual(['overcommitted: vector matrix: reservation 9 exceeds available vectors, which are 8']);
    expect([matrix.reserved, matrix.available]).toEqual([9, 8]);
  });

  test('an allocation uses up a reservation only when it says so, and only when it succeeds', () => {
    const { matrix, said } = mini();
    matrix.reserve();
    matrix.reserve();
    matrix.alloc(BOTH);
    expect(matrix.reserved).toBe(2);
    matrix.alloc(BOTH, true);
    expect(matrix.reserved).toBe(1);
    expect(matrix.alloc(CpuMask.of(7), true)).toBe(-1);
    expect(matrix.reserved).toBe(1);
    matrix.removeReserved();
    matrix.removeReserved();
    expect([matrix.reserved, said]).toEqual([
      0,
      ['violation: vector matrix: nothing is reserved: a reservation cannot be given back'],
    ]);
  });

  test('C-117 sets aside on all CPUs of the mask or on none', () => {
    const { matrix } = mini();
    for (let i = 0; i < 4; i++) matrix.alloc(CpuMask.of(1));
    expect(matrix.reserveManaged(BOTH)).toBe(false);
    expect(matrix.cpu(0)).toMatchObject({ available: 4, managed: 0, managedVectors: [] });
    expect(matrix.available).toBe(4);
    expect(matrix.reserveManaged(CpuMask.of(0))).toBe(true);
    expect(matrix.cpu(0)).toMatchObject({ available: 3, managed: 1, managedVectors: [32] });
  });

  test('C-118 a CPU has 202 vectors from 0x20 on, 201 beside a legacy PIC, and 0x80 is nobody’s', () => {
    for (const [system, count] of [
      [[0x80], 202],
      [[0x80, 0x32, 0xec], 201],
    ] as const) {
      const { matrix } = host(1, [...system]);
      expect(matrix.available).toBe(count);
      const taken = Array.from({ length: count }, () => matrixVector(matrix.alloc(CpuMask.of(0))));
      expect([taken[0], new Set(taken).size, taken.at(-1)]).toEqual([0x20, count, 0xea]);
      expect(taken.filter((vector) => (system as readonly number[]).includes(vector))).toEqual([]);
      expect(matrix.alloc(CpuMask.of(0))).toBe(-1);
    }
  });

  test('a managed vector is taken from what was set aside, on the CPU that uses fewest, the highest of equals', () => {
    const { matrix } = mini();
    matrix.alloc(CpuMask.of(1));
    matrix.reserveManaged(BOTH);
    matrix.reserveManaged(BOTH);
    expect([at(matrix.alloc(BOTH)), matrix.available]).toEqual(['0:34', 2]);
    expect(Array.from({ length: 3 }, () => at(matrix.allocManaged(BOTH)))).toEqual(['1:33', '0:32', '1:34']);
    expect([matrix.available, matrix.cpu(1).managedAllocated, matrix.allocated(1)]).toEqual([2, 2, 1]);
    matrix.free(1, 33, true);
    expect([matrix.available, matrix.cpu(1).managedVectors]).toEqual([2, [33, 34]]);
    expect(at(matrix.allocManaged(BOTH))).toBe('1:33');
  });

  test('a CPU that was chosen and has nothing set aside is ENOSPC, whatever the others have', () => {
    const { matrix } = mini();
    matrix.reserveManaged(CpuMask.of(0));
    expect(matrix.allocManaged(BOTH)).toBe(-1);
    expect(at(matrix.allocManaged(CpuMask.of(0)))).toBe('0:32');
  });

  test('gives managed vectors back lowest first, never one in use', () => {
    const { matrix, said } = mini();
    for (let i = 0; i < 3; i++) matrix.reserveManaged(CpuMask.of(0));
    matrix.allocManaged(CpuMask.of(0));
    matrix.removeManaged(CpuMask.of(0));
    expect(matrix.cpu(0)).toMatchObject({ managedVectors: [32, 34], available: 2, managed: 2 });
    matrix.removeManaged(BOTH);
    matrix.removeManaged(CpuMask.of(0));
    expect(said).toEqual([
      'violation: vector matrix: cpu 1 has 0 managed vectors, all in use: none can be removed',
      'violation: vector matrix: cpu 0 has 1 managed vectors, all in use: none can be removed',
    ]);
    expect(matrix.cpu(0)).toMatchObject({ managedVectors: [32], available: 3 });
  });

  test('keeps the account of a CPU that is offline', () => {
    const { matrix } = mini();
    matrix.alloc(CpuMask.of(1));
    matrix.offline(1);
    expect([matrix.available, matrix.onlineCpus.toString(), matrix.alloc(CpuMask.of(1))]).toEqual([4, '0', -1]);
    expect([matrix.reserveManaged(BOTH), matrix.available, matrix.cpu(1).managedVectors]).toEqual([true, 3, [33]]);
    expect([matrix.allocManaged(CpuMask.of(1)), at(matrix.allocManaged(BOTH))]).toEqual([-1, '0:32']);
    matrix.online(1);
    expect([matrix.available, matrix.cpu(1).available]).toEqual([5, 2]);
    matrix.offline(1);
    matrix.free(1, 32, false);
    // As in Linux, the sum of vectors in use leaves out what happens on a CPU that is offline.
    expect([matrix.available, matrix.totalAllocated]).toEqual([3, 2]);
    matrix.online(1);
    expect(matrix.cpu(1)).toMatchObject({ available: 3, allocated: 0, managed: 1 });
  });

  test('draws up the account of a CPU when it comes online first, from what is set aside', () => {
    const matrix = new VectorMatrix({ cpus: 2, start: 32, end: 36, warn: () => undefined });
    matrix.reserveManaged(BOTH);
    expect(matrix.cpu(1)).toMatchObject({ available: 0, managed: 1 });
    matrix.online(1);
    expect([matrix.available, at(matrix.alloc(BOTH))]).toEqual([3, '1:33']);
  });

  test('a mask that held every online CPU is looked at again when another comes online', () => {
    const { matrix } = mini();
    const first = CpuMask.of(0);
    matrix.offline(1);
    expect(at(matrix.alloc(first))).toBe('0:32');
    matrix.online(1);
    expect(at(matrix.alloc(first))).toBe('0:33');
  });

  test('assigns a fixed vector, which can become the system’s while only the boot CPU is up', () => {
    const said: string[] = [];
    const matrix = new VectorMatrix({ cpus: 2, start: 32, end: 36, warn: (text) => said.push(text) });
    matrix.online(0);
    matrix.assign(0, 33);
    expect(matrix.cpu(0)).toMatchObject({ available: 3, allocated: 1 });
    matrix.assignSystem(33, true);
    expect([matrix.systemVectors, matrix.totalAllocated, matrix.available]).toEqual([[33], 0, 3]);
    expect(() => matrix.assignSystem(34, true)).toThrow('EINVAL: vector matrix: vector 0x22 of cpu 0 is not allocated');
    expect(() => matrix.assignSystem(34)).toThrow('EINVAL: vector matrix: 1 cpus are online');
    matrix.online(1);
    expect([matrix.cpu(1).available, at(matrix.alloc(BOTH)), at(matrix.alloc(BOTH))]).toEqual([3, '0:32', '1:32']);
    matrix.assign(0, 34);
    expect(() => matrix.assignSystem(34, true)).toThrow('EINVAL: vector matrix: 2 cpus are online');
    expect(said).toEqual([]);
  });

  test('a violation is said, and nothing changes', () => {
    const { matrix, said } = matrixOf(2, 32, 36, [35]);
    matrix.alloc(CpuMask.of(0));
    matrix.reserveManaged(CpuMask.of(0));
    matrix.allocManaged(CpuMask.of(0));
    const before = dumpMatrix(matrix);
    matrix.free(0, 34, false);
    matrix.free(0, 31, false);
    matrix.free(0, 36, true);
    matrix.free(0, 32, true);
    matrix.free(0, 33, false);
    for (const vector of [31, 32, 33, 35, 36]) matrix.assign(0, vector);
    expect(dumpMatrix(matrix)).toBe(before);
    expect(said.map((line) => line.replace('violation: vector matrix: ', ''))).toEqual([
      'vector 0x22 of cpu 0 is free already',
      'vector 31 is not one of 32 to 35',
      'vector 36 is not one of 32 to 35',
      'vector 0x20 of cpu 0 is not managed: free it as what it is',
      'vector 0x21 of cpu 0 is managed: free it as what it is',
      'vector 31 is not one of 32 to 35',
      'vector 0x20 of cpu 0 is taken',
      'vector 0x21 of cpu 0 is taken',
      'vector 0x23 of cpu 0 is taken',
      'vector 36 is not one of 32 to 35',
    ]);
    matrix.offline(1);
    matrix.assign(1, 32);
    expect(said.at(-1)).toBe('violation: vector matrix: cpu 1 is offline: vector 0x20 cannot be assigned');
  });

  test('refuses what can only be a mistake of its owner', () => {
    const { matrix } = mini();
    expect(() => matrix.alloc(CpuMask.EMPTY)).toThrow('EINVAL: vector matrix: the mask has no cpu');
    expect(() => matrix.allocManaged(CpuMask.EMPTY)).toThrow('EINVAL: vector matrix: the mask has no cpu');
    expect(() => matrix.reserveManaged(CpuMask.of(1, 2))).toThrow('ERANGE: vector matrix: cpus 1-2 are not all of 0 to 1');
    expect(() => matrix.removeManaged(CpuMask.of(2))).toThrow('ERANGE');
    expect(() => matrix.cpu(2)).toThrow('ERANGE: vector matrix: cpu 2 is not one of 0 to 1');
    expect(() => matrix.online(1)).toThrow('EINVAL: vector matrix: cpu 1 is online already');
    matrix.offline(1);
    expect(() => matrix.offline(1)).toThrow('EINVAL: vector matrix: cpu 1 is offline already');
    const empty = new VectorMatrix({ cpus: 1, start: 0, end: 8, warn: () => undefined });
    empty.assignSystem(1);
    expect(() => empty.assignSystem(1)).toThrow('EEXIST: vector matrix: vector 0x01 is the system');
    expect(() => empty.assignSystem(256)).toThrow('ERANGE');
    for (const bad of [{ cpus: 0 }, { cpus: 1025 }, { start: 8 }, { end: 257 }, { matrixBits: 257 }, { matrixBits: 7 }]) {
      expect(() => new VectorMatrix({ cpus: 1, start: 0, end: 8, warn: () => undefined, ...bad })).toThrow('ERANGE');
    }
  });

  test('fills 1024 CPUs evenly, whether the mask is all of them or leaves one out', () => {
    const { matrix } = matrixOf(1024, 32, 36);
    const [all, most] = [CpuMask.all(1024), CpuMask.all(1024).minus(700)];
    for (let cpu = 0; cpu < 1024; cpu++) expect(matrixCpu(matrix.alloc(all))).toBe(cpu);
    for (let cpu = 0; cpu < 700; cpu++) expect(matrixCpu(matrix.alloc(most))).toBe(cpu);
    expect([matrixCpu(matrix.alloc(most)), matrixCpu(matrix.alloc(all)), matrixCpu(matrix.alloc(all))]).toEqual([701, 700, 702]);
  });

  test('C-158 dumps five lines of sums and the columns CPU, avl, man, mac, act, vectors', () => {
    const { matrix } = host(2, [0x80, 0xec, 0xed]);
    for (let i = 0; i < 5; i++) matrix.alloc(BOTH);
    matrix.reserve();
    matrix.reserveManaged(CpuMask.of(1));
    matrix.allocManaged(CpuMask.of(1));
    expect(dumpMatrix(matrix)).toBe(
      `Online bitmaps:        2
Global available:    398
Global reserved:       1
Total allocated:       6
System: 3: 128,236-237
 | CPU | avl | man | mac | act | vectors
     0   199     0     0    3  32-34
     1   199     1     1    3  32-34
`,
    );
  });
});

/** The same by exhaustive search over plain sets, as one would write it from the description. */
class NaiveMatrix {
  readonly cpus = Array.from({ length: 5 }, () => ({ used: new Set<number>(), aside: new Set<number>(), online: false }));
  readonly window = [32, 33, 35, 36];

  free(cpu: number): number[] {
    return this.window.filter((bit) => !this.cpus[cpu]!.used.has(bit) && !this.cpus[cpu]!.aside.has(bit));
  }

  usedManaged(cpu: number): number[] {
    return [...this.cpus[cpu]!.used].filter((bit) => this.cpus[cpu]!.aside.has(bit));
  }

  spare(cpu: number): number[] {
    return [...this.cpus[cpu]!.aside].filter((bit) => !this.cpus[cpu]!.used.has(bit)).sort((a, b) => a - b);
  }

  online(mask: number[]): number[] {
    return mask.filter((cpu) => this.cpus[cpu]!.online).sort((a, b) => a - b);
  }

  alloc(mask: number[]): number {
    const best = this.online(mask).sort((a, b) => this.free(b).length - this.free(a).length)[0];
    const bit = best === undefined ? undefined : this.free(best)[0];
    if (best === undefined || bit === undefined) return -1;
    this.cpus[best]!.used.add(bit);
    return best * 256 + bit;
  }

  allocManaged(mask: number[]): number {
    const best = this.online(mask)
      .reverse()
      .sort((a, b) => this.usedManaged(a).length - this.usedManaged(b).length)[0];
    const bit = best === undefined ? undefined : this.spare(best)[0];
    if (best === undefined || bit === undefined) return -1;
    this.cpus[best]!.used.add(bit);
    return best * 256 + bit;
  }

  reserveManaged(mask: number[]): boolean {
    if (mask.some((cpu) => this.free(cpu).length === 0)) return false;
    for (const cpu of mask) this.cpus[cpu]!.aside.add(this.free(cpu)[0]!);
    return true;
  }

  removeManaged(mask: number[]): void {
    for (const cpu of mask) this.cpus[cpu]!.aside.delete(this.spare(cpu)[0]!);
  }
}

describe('VectorMatrix against a naive one', () => {
  const mask = fc.oneof(fc.constant<number[]>([0, 1, 2, 3, 4]), fc.uniqueArray(fc.nat(4), { minLength: 1, maxLength: 4 }));
  const step = fc.record({
    what: fc.constantFrom(
      'alloc',
      'alloc',
      'allocManaged',
      'reserveManaged',
      'removeManaged',
      'assign',
      'free',
      'free',
      'toggle',
    ),
    mask,
    cpu: fc.nat(4),
    bit: fc.integer({ min: 31, max: 37 }),
  });

  test('gives the same results and the same accounts, whatever is done to it', () => {
    const run = (steps: readonly { what: string; mask: number[]; cpu: number; bit: number }[]): void => {
      const matrix = new VectorMatrix({ cpus: 5, start: 32, end: 37, warn: () => undefined });
      matrix.assignSystem(34);
      const naive = new NaiveMatrix();
      for (const { what, mask, cpu, bit } of steps) {
        const state = naive.cpus[cpu]!;
        const cpus = CpuMask.from(mask);
        if (what === 'alloc') expect(at(matrix.alloc(cpus))).toBe(at(naive.alloc(mask)));
        else if (what === 'allocManaged') expect(at(matrix.allocManaged(cpus))).toBe(at(naive.allocManaged(mask)));
        else if (what === 'reserveManaged') expect(matrix.reserveManaged(cpus)).toBe(naive.reserveManaged(mask));
        else if (what === 'removeManaged') {
          matrix.removeManaged(cpus);
          naive.removeManaged(mask);
        } else if (what === 'assign') {
          matrix.assign(cpu, bit);
          if (state.online && naive.free(cpu).includes(bit)) state.used.add(bit);
        } else if (what === 'free') {
          matrix.free(cpu, bit, state.aside.has(bit));
          state.used.delete(bit);
        } else {
          if (state.online) matrix.offline(cpu);
          else matrix.online(cpu);
          state.online = !state.online;
        }
        let available = 0;
        naive.cpus.forEach((expected, cpu) => {
          const free = naive.free(cpu).length;
          if (expected.online) available += free;
          const own = matrix.cpu(cpu);
          expect(own.allocatedVectors).toEqual([...expected.used].sort((a, b) => a - b));
          expect(own.managedVectors).toEqual([...expected.aside].sort((a, b) => a - b));
          expect([own.online, own.allocated, own.managed, own.managedAllocated]).toEqual([
            expected.online,
            expected.used.size,
            expected.aside.size,
            naive.usedManaged(cpu).length,
          ]);
          if (expected.online) expect(own.available).toBe(free);
        });
        expect(matrix.available).toBe(available);
      }
    };
    fc.assert(fc.property(fc.array(step, { maxLength: 120 }), run), { seed: 1, numRuns: 150 });
  });
});
