import { describe, expect, test } from 'vitest';
import { readOptions } from '../../bench/options.js';

const ALL = ['P1', 'P1-100', 'P11-off', 'mmio-read'];

describe('readOptions', () => {
  test('without options: all rows, seven rounds of 100 ms, as text, unchecked', () => {
    expect(readOptions([], ALL)).toEqual({ ids: ALL, rounds: 7, roundMs: 100, json: false, check: false });
  });

  test('--only P1 takes the rows of P1, not those of P11, in any case', () => {
    expect(readOptions(['--only', 'p1'], ALL).ids).toEqual(['P1', 'P1-100']);
  });

  test('--only may be given twice; the rows keep their order', () => {
    expect(readOptions(['--only', 'mmio', '--only', 'P11'], ALL).ids).toEqual(['P11-off', 'mmio-read']);
  });

  test('--rounds and --ms are numbers, --json and --check switches', () => {
    const options = readOptions(['--rounds', '3', '--ms', '0', '--json', '--check'], ALL);
    expect(options).toEqual({ ids: ALL, rounds: 3, roundMs: 0, json: true, check: true });
  });

  test.each([
    [['--only', 'P7'], 'ENOENT: no row P7: there are P1, P1-100, P11-off, mmio-read'],
    [['--rounds', '0'], 'EINVAL: --rounds 0: is a whole number from 1 on'],
    [['--ms', '1.5'], 'EINVAL: --ms 1.5: is a whole number from 0 on'],
    [['--fast'], /^EINVAL: Unknown option '--fast'/],
    [['P1'], /^EINVAL: Unexpected argument 'P1'/],
  ])('%j is refused', (argv, message) => {
    expect(() => readOptions(argv, ALL)).toThrow(message);
  });
});
