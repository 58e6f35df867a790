import { execFile } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test, vi } from 'vitest';

const exec = promisify(execFile);
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
/** Tested by themselves: the tour is a program of its own, nic-ping needs the network of this machine, vector-pool writes a file. */
const NOT_HERE = new Set(['tour', 'nic-ping', 'vector-pool']);
vi.setConfig({ testTimeout: 60_000 });

const samples = (await readdir(here('../../samples')))
  .filter((name) => name.endsWith('.ts'))
  .map((name) => name.slice(0, -3))
  .filter((name) => !NOT_HERE.has(name));

describe('samples', () => {
  test('there are some', () => {
    expect(samples.length).toBeGreaterThan(3);
  });

  test.each(samples)('%s prints what it printed when it was last looked at', async (name) => {
    const { stdout, stderr } = await exec(process.execPath, [here(`../../dist/samples/${name}.js`)]);
    expect(stderr).toBe('');
    expect(stdout).toBe(await readFile(here(`expected/${name}.txt`), 'utf8'));
  });
});
