import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Errno, describeError } from '../core/lib/index.js';
import { bench } from './bench.js';
import { readOptions } from './options.js';
import type { Result } from './row.js';
import { ROWS } from './rows/index.js';

const RUN_ROW = fileURLToPath(new URL('./run-row.js', import.meta.url));

try {
  const options = readOptions(process.argv.slice(2), Object.keys(ROWS));
  /** Each row has a process of its own, with the options of Node that this one has. */
  const runRow = (id: string): Result => {
    const args = [...process.execArgv, RUN_ROW, id, String(options.rounds), String(options.roundMs)];
    const { status, signal, stdout } = spawnSync(process.execPath, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (status !== 0) throw new Errno('EIO', `row ${id}: ended with ${signal ?? `exit code ${status}`}`);
    return JSON.parse(stdout) as Result;
  };
  const isGood = bench(options, runRow, { out: (line) => console.log(line), err: (line) => console.error(line) });
  process.exitCode = isGood ? 0 : 1;
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 2;
}
