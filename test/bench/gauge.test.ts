import { describe, expect, test } from 'vitest';
import { before, fixed, program, sum, timing } from '../../bench/gauge.js';
import type { Gauge } from '../../bench/row.js';

const effort = { rounds: 3, roundMs: 0 };

/** Gives 1, 2, 3, ... */
const counting = (name = 'counting'): Gauge => ({
  name,
  prepare: () => {
    let n = 0;
    return () => ++n;
  },
});

describe('sum', () => {
  test('adds its parts, each as often as it says, anew in every round', async () => {
    const reading = await sum('a + 4 b', [1, fixed('a', 100)], [4, counting()]).prepare(effort);
    expect(await reading()).toBe(104);
    expect(await reading()).toBe(108);
  });
});

describe('before', () => {
  test('reads as often as there are rounds, then always gives the median', async () => {
    const reading = await before(counting()).prepare(effort);
    expect([await reading(), await reading()]).toEqual([2, 2]);
  });
});

describe('timing', () => {
  test('in a round of no length calls once, and waits for what the call gives', async () => {
    const log: string[] = [];
    const reading = await timing(async (calls) => {
      await Promise.resolve();
      log.push(`${calls} ended`);
    }, effort);
    log.length = 0;
    await reading();
    expect(log).toEqual(['1 ended']);
  });
});

describe('program', () => {
  test('a program that fails is an error that shows what it said, not a figure', () => {
    const reading = program('broken', '--eval', 'throw new Error("on purpose")').prepare(effort) as () => number;
    expect(reading).toThrow(/^broken: exit code 1: [^]*on purpose/);
  });
});
