import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Result } from '../../bench/row.js';
import { ROWS } from '../../bench/rows/index.js';

const MAIN = fileURLToPath(new URL('../../dist/bench/main.js', import.meta.url));
const TIMEOUT_MS = 300_000;

/** Runs the benchmarks, everything once: the figures mean nothing. */
function run(args: readonly string[], node: readonly string[] = ['--expose-gc']) {
  const argv = [...node, MAIN, '--rounds', '1', '--ms', '0', ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8' });
  return { status, stdout, stderr };
}

describe('npm run bench', () => {
  let all: ReturnType<typeof run>;
  let results: Result[];
  beforeAll(() => {
    all = run(['--json']);
    results = all.stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Result);
  }, TIMEOUT_MS);

  test('every row runs', () => {
    expect(all).toMatchObject({ status: 0, stderr: '' });
    expect(results.map(({ id }) => id)).toEqual(Object.keys(ROWS));
  });

  test.each(Object.keys(ROWS))('row %s gives a result of the promised shape', async (id) => {
    const { name, unit, yardstick, target, rate } = await ROWS[id]!();
    expect(results.find((result) => result.id === id)).toEqual({
      id,
      name,
      unit,
      value: expect.any(Number),
      yardstick: yardstick.name,
      yardstickValue: expect.any(Number),
      ratio: expect.any(Number),
      ...(target !== undefined && { target }),
      ...(rate !== undefined && { rate: { ...rate, count: undefined, perSecond: expect.any(Number) } }),
      ratios: [expect.any(Number)],
      verdict: expect.stringMatching(/^(pass|near|MISS|-)$/),
    });
  });

  test('an unknown row ends it with exit code 2 and the list of those there are', () => {
    const { status, stderr } = run(['--only', 'P99']);
    expect(status).toBe(2);
    expect(stderr).toContain('ENOENT: no row P99: there are P1, ');
  });

  test('a row whose process fails is named, and ends it with exit code 1', () => {
    const { status, stderr } = run(['--only', 'P8'], []);
    expect(status).toBe(1);
    expect(stderr).toContain('memory: run node with --expose-gc');
    expect(stderr).toContain('EIO: row P8: ended with exit code 1');
  });
});
