import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline/promises';
import { text } from 'node:stream/consumers';
import { Errno } from '../core/lib/errno.js';
import type { Args } from './args.js';
import type { Program } from './command.js';
import { openTarget } from './open-target.js';
import type { Io } from './out.js';
import { FAILED, INTERRUPTED, OK, USAGE, report } from './report.js';
import type { Target } from './target.js';
import { splitWords } from './words.js';

/** Reads commands from a script, or from a person, and runs them on one system. */
export async function shell(program: Program, args: Args): Promise<number> {
  const [file] = args.positionals;
  const isPerson = file === undefined && process.stdin.isTTY;
  const lines = isPerson
    ? []
    : (file === undefined ? await text(process.stdin) : readScript(resolve(program.cwd, file))).split('\n');
  const target = await openTarget(program);
  let code: number;
  try {
    code = isPerson ? await converse(target, program) : await runScript(target, lines, file ?? 'stdin', program);
  } catch (error) {
    await target.close(program.io);
    throw error;
  }
  const left = await target.close(program.io);
  return program.signal.aborted ? INTERRUPTED : left || code;
}

function readScript(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new Errno('ENOENT', `${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** Runs a script up to its first command that fails, or that does not fail though it must. @returns the exit code of that one */
async function runScript(target: Target, lines: readonly string[], name: string, program: Program): Promise<number> {
  const { io } = program;
  for (const [i, line] of lines.entries()) {
    let [first, ...words] = wordsOf(line, io);
    const mustFail = first === '!';
    if (mustFail) [first, ...words] = words;
    if (first === 'exit') return OK;
    const code = first === undefined ? OK : first === '' ? USAGE : await target.run([first, ...words], { ...program });
    if (program.signal.aborted) return code;
    if ((code !== OK) === mustFail) continue;
    io.err(`${name}:${i + 1}: ${line.trim()}: ${mustFail ? 'has not failed' : `exit code ${code}`}\n`);
    return mustFail ? FAILED : code;
  }
  return OK;
}

/** The words of a line; one empty word for a line that is wrong, which is told. */
function wordsOf(line: string, io: Io): string[] {
  try {
    return splitWords(line);
  } catch (error) {
    report(error, io);
    return [''];
  }
}

/** Talks to a person until `exit` or the end of input. */
async function converse(target: Target, program: Program): Promise<number> {
  let running: AbortController | undefined;
  const completer = async (line: string): Promise<[string[], string]> => {
    const words = line.split(/\s+/);
    const found: string[] = [];
    const io: Io = { out: (json) => found.push(...(JSON.parse(json) as string[])), err: () => {}, json: true, colour: false };
    await target.run(['complete', '--', ...words], { io, cwd: program.cwd, signal: program.signal });
    return [found.length === 1 ? [`${found[0]} `] : found, words.at(-1)!];
  };
  const lines = createInterface({
    input: process.stdin,
    output: process.stdout,
    prompt: 'backplane> ',
    completer,
    historySize: 500,
    removeHistoryDuplicates: true,
  });
  // Interrupts what runs, or gives up the line.
  lines.on('SIGINT', () => {
    if (running !== undefined) {
      running.abort();
    } else {
      process.stdout.write('^C\n');
      lines.write(undefined, { ctrl: true, name: 'u' });
      lines.prompt();
    }
  });
  program.signal.addEventListener('abort', () => lines.close(), { once: true });
  lines.prompt();
  for await (const line of lines) {
    const [first, ...words] = wordsOf(line, program.io);
    if (first === 'exit') break;
    if (first !== undefined && first !== '') {
      running = new AbortController();
      await target.run([first, ...words], { ...program, signal: AbortSignal.any([running.signal, program.signal]) });
      running = undefined;
    }
    lines.prompt();
  }
  lines.close();
  return OK;
}
