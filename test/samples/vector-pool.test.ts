import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test, vi } from 'vitest';
import { chart } from '../../samples/lib/chart.js';
import { TempDir } from '../helpers/temp-dir.js';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
vi.setConfig({ testTimeout: 120_000 });

describe('the sample vector-pool', () => {
  test('prints what it printed when it was last looked at, and draws what the page of samples shows', async () => {
    using folder = new TempDir();
    const env = { ...process.env, TMPDIR: folder.path };
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [here('../../dist/samples/vector-pool.js')], { env });
    expect(stderr).toBe('');
    const file = join(folder.path, 'vector-pool.svg');
    expect(stdout.replace(file, 'FILE')).toBe(readFileSync(here('expected/vector-pool.txt'), 'utf8'));
    expect(readFileSync(file, 'utf8')).toBe(readFileSync(here('../../samples/vector-pool.svg'), 'utf8'));
  });
});

describe('chart', () => {
  const points = (svg: string): string[] => [...svg.matchAll(/<polyline points="([^"]*)"/g)].map(([, all]) => all!);

  test('draws from the origin, to the next round number', () => {
    const series = (name: string, y: number) => ({
      name,
      color: 'red',
      points: [
        [0, 0],
        [250, y],
      ] as const,
    });
    const svg = chart([{ title: 'a', x: 'x', y: 'y', series: [series('one', 5), series('other', 2.5)] }]);
    expect(points(svg)).toEqual(['56.0,252.0 404.0,44.0', '56.0,252.0 404.0,148.0']);
    expect(svg).toMatch(/>250<\/text>/);
  });

  test('puts panels side by side', () => {
    const panel = { title: 'a', x: 'x', y: 'y', series: [] };
    expect(chart([panel, panel])).toMatch(/viewBox="0 0 840 300"[^]*translate\(0 0\)[^]*translate\(420 0\)/);
  });
});
