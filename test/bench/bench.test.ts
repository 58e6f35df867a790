import { describe, expect, test } from 'vitest';
import { bench } from '../../bench/bench.js';
import { result } from './fixture/result.js';

/** Runs rows whose ratios are given: one for each try, in turn; undefined for a row that cannot be measured. */
function run(tries: Record<string, readonly (number | undefined)[]>, options: { check?: boolean; json?: boolean } = {}) {
  const left = new Map(Object.entries(tries).map(([id, ratios]) => [id, [...ratios]]));
  const out: string[] = [];
  const err: string[] = [];
  const isGood = bench(
    { ids: Object.keys(tries), rounds: 1, roundMs: 0, check: false, json: true, ...options },
    (id) => {
      const ratio = left.get(id)!.shift();
      if (ratio === undefined) throw new Error(`row ${id} is broken`);
      return result({ id, ratio, target: 1 });
    },
    { out: (line) => out.push(line), err: (line) => err.push(line) },
  );
  return { isGood, out, err, left: [...left.values()].flat() };
}

describe('bench', () => {
  test('prints the results one a line, in order, each with its verdict', () => {
    const { out, isGood } = run({ a: [0.5], b: [1.1] });
    expect(out.map((line) => JSON.parse(line) as unknown)).toEqual([
      { ...result({ id: 'a', ratio: 0.5, target: 1 }), verdict: 'pass' },
      { ...result({ id: 'b', ratio: 1.1, target: 1 }), verdict: 'near' },
    ]);
    expect(isGood).toBe(true);
  });

  test('as text it is a header and a line for each row', () => {
    const { out } = run({ a: [0.5], b: [1.1] }, { json: false });
    expect(out.map((line) => line.split(' ')[0])).toEqual(['row', 'a', 'b']);
  });

  test('a miss is no failure unless it is checked', () => {
    expect(run({ a: [2] })).toMatchObject({ isGood: true, left: [] });
    expect(run({ a: [2, 2] }, { check: true })).toMatchObject({ isGood: false, left: [] });
  });

  test('a checked row that misses is tried once more, and the better try counts', () => {
    expect(run({ a: [2, 1] }, { check: true })).toMatchObject({ isGood: true, left: [] });
    expect(JSON.parse(run({ a: [2, 3] }, { check: true }).out[0]!)).toMatchObject({ ratio: 2 });
  });

  test('a checked row within its noise is not tried again', () => {
    expect(run({ a: [1.2, 0.5] }, { check: true })).toMatchObject({ isGood: true, left: [0.5] });
  });

  test('a row that cannot be measured is told, and does not keep the others from running', () => {
    const { isGood, out, err } = run({ a: [undefined], b: [0.5] });
    expect({ isGood, err, ran: out.length }).toEqual({ isGood: false, err: ['Error: row a is broken'], ran: 1 });
  });
});
