import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CpuMask, toMask } from '../../../core/irq/cpu-mask.js';

const cpus = fc.uniqueArray(fc.oneof(fc.nat(40), fc.nat(1023)), { maxLength: 20 });
const sorted = (set: Iterable<number>): number[] => [...set].sort((a, b) => a - b);

describe('CpuMask', () => {
  test('behaves as a set of numbers', () => {
    fc.assert(
      fc.property(cpus, cpus, fc.nat(1023), (a, b, cpu) => {
        const [x, y, inB, inA] = [CpuMask.from(a), CpuMask.of(...b), new Set(b), new Set(a)];
        expect([...x]).toEqual(sorted(a));
        expect([...x.and(y)]).toEqual(sorted(a.filter((n) => inB.has(n))));
        expect([...x.or(y)]).toEqual(sorted(new Set([...a, ...b])));
        expect([...x.without(y)]).toEqual(sorted(a.filter((n) => !inB.has(n))));
        expect(Array.from(x.with(cpu))).toEqual(sorted(new Set([...a, cpu])));
        expect([...x.minus(cpu)]).toEqual(sorted(a.filter((n) => n !== cpu)));
        expect([x.has(cpu), x.size, x.isEmpty]).toEqual([inA.has(cpu), a.length, a.length === 0]);
        expect([x.first, x.next(cpu)]).toEqual([sorted(a)[0] ?? -1, sorted(a).find((n) => n > cpu) ?? -1]);
        expect(x.intersects(y)).toBe(a.some((n) => inB.has(n)));
        expect(x.isSubsetOf(y)).toBe(a.every((n) => inB.has(n)));
        expect(x.equals(y)).toBe(a.length === b.length && a.every((n) => inB.has(n)));
        expect(x.and(y).isSubsetOf(x)).toBe(true);
        expect(x.without(y).or(x.and(y)).equals(x)).toBe(true);
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  test('reads back the list and the bitmap it writes', () => {
    fc.assert(
      fc.property(cpus, (a) => {
        const mask = CpuMask.from(a);
        expect(CpuMask.parse(mask.toString()).equals(mask)).toBe(true);
        expect(CpuMask.parseHex(mask.toHex(1024)).equals(mask)).toBe(true);
      }),
      { seed: 1, numRuns: 200 },
    );
  });

  test('names the first CPUs with all, up to 1024 of them', () => {
    expect(['0', '', '0-30', '0-31', '0-32', '0-1023']).toEqual([1, 0, 31, 32, 33, 1024].map((n) => CpuMask.all(n).toString()));
    expect(CpuMask.all(1024).size).toBe(1024);
    for (const bad of [-1, 1.5, 1025]) expect(() => CpuMask.all(bad)).toThrow('ERANGE: cpu mask: the number of cpus is');
  });

  test('refuses a CPU above 1023, and has none of them', () => {
    const make: ((cpu: number) => CpuMask)[] = [CpuMask.of, (cpu) => CpuMask.EMPTY.with(cpu), (cpu) => CpuMask.from([0, cpu])];
    for (const bad of [1024, -1, 0.5, NaN]) for (const of of make) expect(() => of(bad)).toThrow('ERANGE: cpu mask: a cpu is');
    expect([1024, -1, 1024 * 32, NaN].some((cpu) => CpuMask.all(1024).has(cpu))).toBe(false);
    expect(CpuMask.all(1024).next(1023)).toBe(-1);
  });

  test('stays as it is when a CPU is added or taken away', () => {
    const mask = CpuMask.of(1, 40);
    mask.with(2);
    mask.minus(40);
    expect(mask.toString()).toBe('1,40');
    expect([mask.with(1), mask.minus(2), toMask(mask)]).toEqual([mask, mask, mask]);
    expect(toMask(new Set([3, 2])).equals(CpuMask.parse('2-3'))).toBe(true);
  });

  test('reads lists as the kernel writes them', () => {
    expect([...CpuMask.parse('0-3,8')]).toEqual([0, 1, 2, 3, 8]);
    expect([...CpuMask.parse('8,0-1,1-2\n')]).toEqual([0, 1, 2, 8]);
    expect(CpuMask.parse('').isEmpty).toBe(true);
    for (const bad of ['x', '3-0', '1,', ',1', '1-', '-1', '1 2', '1--2', '0x1', '1.5']) {
      expect(() => CpuMask.parse(bad)).toThrow(`EINVAL: cpu mask: '${bad}' is not a list of cpus`);
    }
    for (const bad of ['1024', '0-4000000000', '5,0-1024']) expect(() => CpuMask.parse(bad)).toThrow('ERANGE: cpu mask: a cpu');
  });

  test('reads and writes bitmaps as smp_affinity shows them', () => {
    expect(CpuMask.parseHex('ff,ffffffff').toString()).toBe('0-39');
    expect(CpuMask.parseHex('80000000,00000001\n').toString()).toBe('0,63');
    expect(CpuMask.parseHex('00000000,0').isEmpty).toBe(true);
    expect(CpuMask.all(40).toHex(40)).toBe('ff,ffffffff');
    expect(CpuMask.of(0).toHex(40)).toBe('00,00000001');
    expect([1, 4, 5, 8, 32, 33].map((n) => CpuMask.of(0, 31).toHex(n))).toEqual(['1', '1', '01', '01', '80000001', '0,80000001']);
    for (const bad of ['', 'g', '1,', '123456789', '0x1']) {
      expect(() => CpuMask.parseHex(bad)).toThrow(`EINVAL: cpu mask: '${bad}' is not a bitmap`);
    }
    expect(() => CpuMask.parseHex('1' + ',00000000'.repeat(32))).toThrow('ERANGE: cpu mask: a cpu is 1024');
    expect(() => CpuMask.EMPTY.toHex(0)).toThrow('ERANGE');
  });
});
