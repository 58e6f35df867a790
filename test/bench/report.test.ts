import { describe, expect, test } from 'vitest';
import { Table, better, inRate, inUnit, verdict } from '../../bench/report.js';
import { result } from './fixture/result.js';

describe('verdict', () => {
  test.each([
    [65.1, 65.1, 'pass'],
    [65.2, 65.1, 'near'],
    [1.25, 1, 'near'],
    [1.26, 1, 'MISS'],
    [1000, undefined, '-'],
  ])('a ratio of %d for a target of %s is %s', (ratio, target, expected) => {
    expect(verdict({ ratio, target })).toBe(expected);
  });
});

describe('better', () => {
  test('the lower ratio wins, the first when they are equal', () => {
    const [low, high] = [result({ ratio: 1 }), result({ ratio: 2 })];
    expect(better(low, high)).toBe(low);
    expect(better(high, low)).toBe(low);
    expect(better(low, result({ ratio: 1 }))).toBe(low);
  });
});

describe('inUnit', () => {
  test.each([
    [1.6, 'ns', '1.60 ns'],
    [21.44, 'ns', '21.4 ns'],
    [999.4, 'ns', '999 ns'],
    [999.6, 'ns', '1.00 us'],
    [9.996, 'ns', '10.0 ns'],
    [6_160, 'ns', '6.16 us'],
    [18_000_000, 'ns', '18.0 ms'],
    [1_500, 'ms', '1.50 s'],
    [1_536, 'bytes', '1.54 kB'],
    [62.5, 'times', '62.5'],
  ] as const)('%d %s is %s', (value, unit, text) => {
    expect(inUnit(value, unit)).toBe(text);
  });
});

describe('inRate', () => {
  test.each([
    ['descriptors', 3_514_000, '3.51 M descriptors/s'],
    ['descriptors', 12, '12.0 descriptors/s'],
    ['bytes', 43_210_000_000, '43.2 GB/s'],
    ['bytes', 999.7, '1.00 kB/s'],
  ] as const)('%s, %d in a second, are %s', (of, perSecond, text) => {
    expect(inRate({ of, perSecond })).toBe(text);
  });

  test('what stands beside it is said', () => {
    expect(inRate({ of: 'packets', perSecond: 2_500_000, beside: 'half of theirs' })).toBe('2.50 M packets/s (half of theirs)');
  });
});

describe('Table', () => {
  test('every line has its columns under those of the header', () => {
    const table = new Table(['P1', 'P2-growth']);
    const lines = [table.header(), table.line(result()), table.line(result({ id: 'P2-growth', target: undefined }))];
    expect(lines[1]).toMatch(/^P1 {9}add, probe, remove +1\.40 us +emit {2}21\.4 ns +65\.4 +65\.1 {2}near$/);
    expect(lines[2]).toMatch(/^P2-growth {2}add, probe, remove +1\.40 us +emit {2}21\.4 ns +65\.4 +-$/);
    expect(table.line(result({ rate: { of: 'bytes', perSecond: 2e9 } }))).toBe(`${lines[1]}  2.00 GB/s`);
    const verdictAt = lines.map((line) => line.search(/(verdict|near|-)$/));
    expect(new Set(verdictAt).size).toBe(1);
  });
});
