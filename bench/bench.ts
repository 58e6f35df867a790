import { describeError } from '../core/lib/index.js';
import type { Options } from './options.js';
import { Table, better, verdict } from './report.js';
import type { Result } from './row.js';

/** Where the lines go. */
export interface Output {
  readonly out: (line: string) => void;
  readonly err: (line: string) => void;
}

/**
 * Runs rows and prints their results as they come. Of a checked row that misses its target the better of two tries counts.
 * @param runRow measures a row; throws when it cannot
 * @returns whether all rows ran and, when they are checked, none missed its target
 */
export function bench(options: Options, runRow: (id: string) => Result, { out, err }: Output): boolean {
  const table = new Table(options.ids);
  if (!options.json) out(table.header());
  let isGood = true;
  for (const id of options.ids) {
    try {
      const result = tried(id, options.check, runRow);
      out(options.json ? JSON.stringify({ ...result, verdict: verdict(result) }) : table.line(result));
      if (options.check && verdict(result) === 'MISS') isGood = false;
    } catch (error) {
      err(describeError(error));
      isGood = false;
    }
  }
  return isGood;
}

function tried(id: string, isChecked: boolean, runRow: (id: string) => Result): Result {
  const result = runRow(id);
  return isChecked && verdict(result) === 'MISS' ? better(result, runRow(id)) : result;
}
