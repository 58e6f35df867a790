import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Errno } from '../core/lib/errno.js';
import { type Args, seedOf } from './args.js';
import type { Program } from './command.js';
import { findModule, importFile } from './load.js';
import { Out } from './out.js';
import { OK } from './report.js';

/** What a sample gets, if it is a function; one that is not has run when it is imported. */
export interface Stage {
  /** Of `--seed`, default 1. */
  readonly seed: number;
  readonly print: (line: string) => void;
}

/** Runs a sample of ours, or a program of the user's. */
export async function runSample({ flags, io, cwd }: Program, args: Args): Promise<number> {
  const [wanted = ''] = args.positionals;
  const stage: Stage = { seed: seedOf(flags) ?? 1, print: (line) => io.out(`${line}\n`) };
  const sample: unknown = (await importFile(findModule(wanted, cwd, 'samples')))['default'];
  if (typeof sample === 'function') await (sample as (stage: Stage) => unknown)(stage);
  return OK;
}

/** Lists the samples that come with Backplane. */
export async function samples({ io }: Program): Promise<number> {
  const dir = fileURLToPath(new URL('../samples', import.meta.url));
  let names: string[];
  try {
    names = readdirSync(dir).flatMap((file) => (file.endsWith('.js') ? [file.slice(0, -'.js'.length)] : []));
  } catch (error) {
    throw new Errno('ENOENT', `${dir}: no samples: build them with npm run build`, { cause: error });
  }
  new Out(io).show(names, () => names);
  return OK;
}
