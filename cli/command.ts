import type { MaybePromise, System } from '../core/index.js';
import type { Args, Option, Syntax } from './args.js';
import type { LocalTarget } from './local.js';
import type { Io, Out } from './out.js';

/** What is known of a command without running it. */
export interface CommandInfo extends Syntax {
  readonly name: string;
  /** One line. */
  readonly summary: string;
  /** More, for its own help. */
  readonly details?: string;
  /** Whether it is for the program's own use. */
  readonly isHidden?: boolean;
}

/** What a command has to work with. */
export interface Context {
  readonly target: LocalTarget;
  readonly system: System;
  readonly args: Args;
  readonly out: Out;
  /** Relative paths are meant from there. */
  readonly cwd: string;
}

/** What goes on after a command has returned, until it is interrupted or has come to its end. */
export interface Ongoing {
  /** Absent when it has no end of its own. */
  readonly ended?: Promise<void>;
  stop(): void;
}

/** A command that acts on a system: a fresh one, or one that runs. */
export interface SystemCommand extends CommandInfo {
  /** @throws {Errno} when what was asked for does not work; {UsageError} for wrong arguments */
  run(context: Context): MaybePromise<Ongoing | void>;
}

/** The program around a command that needs no system, or more than one command's worth of it. */
export interface Program {
  /** Options of the program, wherever they stood. */
  readonly flags: Args;
  readonly io: Io;
  readonly cwd: string;
  /** Aborted by the first SIGINT, SIGTERM or SIGHUP. */
  readonly signal: AbortSignal;
  readonly commands: CommandTable;
}

/** A command that runs in this process whatever else runs. */
export interface ProgramCommand extends CommandInfo {
  /** @returns the exit code */
  run(program: Program, args: Args): Promise<number>;
}

/** All commands that are known without a system. */
export interface CommandTable {
  readonly system: readonly SystemCommand[];
  readonly program: readonly ProgramCommand[];
}

/** Those of them that people call. */
export function visible({ system, program }: CommandTable): CommandInfo[] {
  return [...system, ...program].filter((one) => one.isHidden !== true);
}

/** Options that every command takes, wherever it runs. */
export const SHARED_OPTIONS: readonly Option[] = [
  { name: 'json', summary: 'print results as JSON, one value a line' },
  { name: 'help', short: 'h', summary: 'print help' },
];

/** The help of one command. */
export function commandHelp({ name, summary, usage, options = [], details }: CommandInfo): string {
  const words = ['backplane', name, ...(options.length > 0 ? ['[option...]'] : []), ...(usage === '' ? [] : [usage])];
  const parts = [`usage: ${words.join(' ')}\n\n${sentence(summary)}\n`];
  if (details !== undefined) parts.push(`\n${details}\n`);
  if (options.length > 0) parts.push(`\n${optionHelp(options)}`);
  return parts.join('');
}

/** A table of options. */
export function optionHelp(options: readonly Option[]): string {
  const rows = options.map(({ name, short, value, summary }): [string, string] => {
    const dashed = short === undefined ? `    --${name}` : `-${short}, --${name}`;
    return [value === undefined ? dashed : `${dashed} ${value}`, summary];
  });
  return table(rows);
}

/** Two columns, indented by two. */
export function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join('');
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
