import { describe, expect, test } from 'vitest';
import { CpuMask, VectorMatrix } from '../../core/index.js';
import { Bench, array, codeOf } from './interrupts-bench.js';

const ALL = CpuMask.of(0, 1);

/** Two CPUs with the vectors 32 to 35 each. */
function mini(): { matrix: VectorMatrix; warned: string[]; alloc(mask?: CpuMask): [cpu: number, vector: number] | undefined } {
  const warned: string[] = [];
  const matrix = new VectorMatrix({ cpus: 2, start: 32, end: 36, warn: (_text, kind) => void warned.push(kind) });
  matrix.online(0);
  matrix.online(1);
  const unpack = (packed: number): [number, number] | undefined => (packed < 0 ? undefined : [packed >> 8, packed & 0xff]);
  return { matrix, warned, alloc: (mask = ALL) => unpack(matrix.alloc(mask)) };
}

describe('I: the vectors of the CPUs', () => {
  test('C-114 the CPU with the most, of equals the lowest, and its lowest vector', () => {
    const { matrix, alloc } = mini();
    expect([matrix.available, matrix.cpu(0).available]).toEqual([8, 4]);
    const taken = Array.from({ length: 9 }, () => alloc());
    expect(taken).toEqual([[0, 32], [1, 32], [0, 33], [1, 33], [0, 34], [1, 34], [0, 35], [1, 35], undefined]);
    expect([matrix.available, matrix.totalAllocated]).toEqual([0, 8]);
    expect(codeOf(() => matrix.alloc(CpuMask.EMPTY))).toBe('EINVAL');
  });

  test('C-115 reservations never fail; the ninth is one too many', () => {
    const { matrix, warned } = mini();
    for (let n = 0; n < 8; n++) matrix.reserve();
    expect(warned).toEqual([]);
    matrix.reserve();
    expect([warned, matrix.reserved, matrix.available]).toEqual([['overcommitted'], 9, 8]);
    matrix.alloc(ALL, true);
    expect([matrix.reserved, matrix.available]).toEqual([8, 7]);
  });

  test('C-116 a managed reservation sets a vector aside on each CPU, and one of them is used', () => {
    const { matrix, alloc } = mini();
    alloc(CpuMask.of(0));
    expect(matrix.reserveManaged(ALL)).toBe(true);
    expect([0, 1].map((cpu) => [matrix.cpu(cpu).managed, matrix.cpu(cpu).available])).toEqual([
      [1, 2],
      [1, 3],
    ]);
    expect(matrix.available).toBe(5);
    // Of equals the highest CPU; not the same vector on each.
    expect(matrix.allocManaged(ALL)).toBe(256 + 32);
    expect(matrix.allocManaged(CpuMask.of(0))).toBe(33);
    expect([matrix.available, matrix.totalAllocated, matrix.allocated(0), matrix.allocated(1)]).toEqual([5, 3, 1, 0]);
    expect(matrix.allocManaged(ALL)).toBe(-1);
    matrix.free(1, 32, true);
    expect([matrix.cpu(1).managedAllocated, matrix.cpu(1).managed, matrix.cpu(1).available]).toEqual([0, 1, 3]);
    matrix.free(0, 33, true);
    matrix.removeManaged(ALL);
    expect([matrix.cpu(0).managed, matrix.cpu(1).managed, matrix.available]).toEqual([0, 0, 7]);
    expect(codeOf(() => matrix.allocManaged(CpuMask.EMPTY))).toBe('EINVAL');
  });

  test('C-117 one full CPU undoes a managed reservation', () => {
    const { matrix, alloc } = mini();
    for (let n = 0; n < 4; n++) alloc(CpuMask.of(1));
    expect(matrix.reserveManaged(ALL)).toBe(false);
    expect([matrix.cpu(0).available, matrix.cpu(0).managed, matrix.available]).toEqual([4, 0, 4]);
  });

  test("C-118 202 vectors a CPU, from 0x20 on, without 0x80; 201 where the cascade is the system's", async () => {
    await using bench = await Bench.start({ cpus: 1 });
    const matrix = bench.kernel.interrupts.matrix!;
    expect(matrix.cpu(0).available).toBe(202);
    const domain = bench.domain(array(), 256);
    const seen: number[] = [];
    bench.kernel.irqs.core.tracer = { event: (name, _cpu, _virq, vector) => void (name === 'vector_alloc' && seen.push(vector)) };
    for (let n = 0; n < 202; n++) bench.kernel.irqs.request(bench.dev, domain.alloc().virq, () => {});
    expect([seen[0], seen.at(-1), seen.length, seen.includes(0x80)]).toEqual([0x20, 0xea, 202, false]);
    const last = domain.alloc();
    expect(codeOf(() => bench.kernel.irqs.request(bench.dev, last.virq, () => {}))).toBe('ENOSPC');
    await using pic = await Bench.start({ cpus: 1, irq: { vectors: { system: [0x32, 0x80] } } });
    expect(pic.kernel.interrupts.matrix!.cpu(0).available).toBe(201);
  });

  test('C-119 what is not taken cannot be freed, and what is taken cannot be assigned', () => {
    const { matrix, warned } = mini();
    const counts = (): number[] => [matrix.available, matrix.totalAllocated, matrix.cpu(0).allocated];
    matrix.free(0, 32, false);
    matrix.free(0, 36, false);
    matrix.assign(0, 31);
    matrix.removeManaged(CpuMask.of(0));
    matrix.removeReserved();
    expect([warned.splice(0), counts()]).toEqual([Array.from({ length: 5 }, () => 'violation'), [8, 0, 0]]);
    matrix.assign(0, 33);
    matrix.assign(0, 33);
    expect([warned, counts()]).toEqual([['violation'], [7, 1, 1]]);
  });

  test('C-120 system vectors are given before the CPUs come, or in place of one that is taken', () => {
    const warned: string[] = [];
    const matrix = new VectorMatrix({ cpus: 2, start: 32, end: 36, warn: (text) => void warned.push(text) });
    matrix.assignSystem(34);
    matrix.online(0);
    expect([matrix.available, matrix.systemVectors]).toEqual([3, [34]]);
    expect(codeOf(() => matrix.assignSystem(35))).toBe('EINVAL');
    matrix.assign(0, 32);
    matrix.assignSystem(32, true);
    matrix.online(1);
    expect([matrix.systemVectors, matrix.cpu(0).available, matrix.cpu(1).available, matrix.totalAllocated]).toEqual([
      [32, 34],
      2,
      2,
      0,
    ]);
  });

  test('C-121 a CPU that goes takes its vectors out of the account, and brings them back', () => {
    const { matrix, alloc } = mini();
    alloc(CpuMask.of(1));
    matrix.offline(1);
    expect([matrix.available, matrix.totalAllocated, matrix.cpu(1).allocated]).toEqual([4, 1, 1]);
    expect(alloc(CpuMask.of(1))).toBeUndefined();
    expect(matrix.reserveManaged(ALL)).toBe(true);
    expect(matrix.available).toBe(3);
    matrix.free(1, 32, false);
    expect([matrix.available, matrix.cpu(1).available]).toEqual([3, 3]);
    matrix.online(1);
    expect([matrix.available, matrix.cpu(1).managed]).toEqual([6, 1]);
  });

  test('C-122 a CPU cannot go when the others have no room for what it has', async () => {
    await using bench = await Bench.mini();
    const domain = bench.domain(array(), 16);
    const { irqs } = bench.kernel;
    const request = (affinity: number[]): void => void irqs.request(bench.dev, domain.alloc({ affinity }).virq, () => {});
    for (let n = 0; n < 3; n++) request([0]);
    for (let n = 0; n < 2; n++) request([1]);
    expect(codeOf(() => irqs.offline(1))).toBe('ENOSPC');
    expect(String(irqs.core.cpus.online)).toBe('0-1');
    expect(codeOf(() => irqs.offline(0))).toBe('ENOSPC');
    await bench.kernel.core.unbind(bench.dev);
    expect(codeOf(() => irqs.offline(1))).toBe('ok');
    expect(codeOf(() => irqs.offline(0))).toBe('EBUSY');
  });

  test('C-122 what is reserved and has no room is a warning', async () => {
    await using bench = await Bench.mini();
    const domain = bench.domain(array(), 16);
    for (let n = 0; n < 6; n++) domain.alloc();
    const before = bench.warnings.length;
    bench.kernel.irqs.offline(1);
    expect([bench.warnings.length - before, bench.kernel.interrupts.matrix!.reserved]).toEqual([1, 6]);
  });
});
