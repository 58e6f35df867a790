import type { Io } from './out.js';

/** Exit codes. */
export const OK = 0;
/** What was asked for did not work. */
export const FAILED = 1;
/** The command line, or the configuration, is wrong in itself. */
export const USAGE = 2;
/** A signal came before the end. */
export const INTERRUPTED = 130;

const isNamed = (error: unknown, name: string): error is Error => error instanceof Error && error.name === name;

/** The errors in one that stands for several: an `AggregateError`, or what `using` makes of a failure during another. */
function partsOf(error: unknown): unknown[] | undefined {
  if (error instanceof AggregateError) return error.errors as unknown[];
  if (!isNamed(error, 'SuppressedError')) return undefined;
  const { suppressed, error: later } = error as { readonly suppressed?: unknown; readonly error?: unknown };
  return [suppressed, later];
}

/**
 * Tells what went wrong: an `Errno` or a wrong command line in one line, anything else, which is somebody's bug, with its stack.
 * @param where what comes behind the name of the program: the command
 * @returns the exit code
 */
export function report(error: unknown, io: Io, where = ''): number {
  const who = `backplane${where === '' ? '' : ` ${where}`}`;
  const say = (text: string): void => io.err(`${io.colour ? `\x1b[31m${who}:\x1b[39m` : `${who}:`} ${text}\n`);
  const parts = partsOf(error);
  if (parts !== undefined) {
    for (const one of parts) report(one, io, where);
    return FAILED;
  }
  if (isNamed(error, 'UsageError')) {
    say(error.message);
    return USAGE;
  }
  if (isNamed(error, 'ToolError')) {
    io.err(`${error.message}\n`);
    return FAILED;
  }
  if (isNamed(error, 'Errno')) say(error.message);
  else say(error instanceof Error ? (error.stack ?? error.message) : String(error));
  return FAILED;
}
