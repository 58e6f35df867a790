import { parseArgs } from 'node:util';
import { Errno } from '../core/lib/index.js';
import type { Effort } from './row.js';

/** What the command line asks for. */
export interface Options extends Effort {
  /** Ids of the rows to run, in their order. */
  readonly ids: readonly string[];
  readonly json: boolean;
  readonly check: boolean;
}

/**
 * Reads the command line.
 * @param all ids of all rows
 * @throws {Errno} EINVAL for an option that there is not, or a value that is no whole number; ENOENT for `--only` without a row
 */
export function readOptions(argv: readonly string[], all: readonly string[]): Options {
  const { values } = parse(argv);
  const ids = new Set<string>();
  for (const wanted of values.only ?? []) {
    const name = wanted.toUpperCase();
    const found = all.filter((id) => id.toUpperCase() === name || id.toUpperCase().startsWith(`${name}-`));
    if (found.length === 0) throw new Errno('ENOENT', `no row ${wanted}: there are ${all.join(', ')}`);
    for (const id of found) ids.add(id);
  }
  return {
    ids: ids.size === 0 ? all : all.filter((id) => ids.has(id)),
    rounds: wholeNumber('rounds', values.rounds, 1),
    roundMs: wholeNumber('ms', values.ms, 0),
    json: values.json,
    check: values.check,
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        only: { type: 'string', multiple: true },
        rounds: { type: 'string', default: '7' },
        ms: { type: 'string', default: '100' },
        json: { type: 'boolean', default: false },
        check: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new Errno('EINVAL', (error as Error).message, { cause: error });
  }
}

function wholeNumber(name: string, text: string, least: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(value) || value < least) {
    throw new Errno('EINVAL', `--${name} ${text}: is a whole number from ${least} on`);
  }
  return value;
}
