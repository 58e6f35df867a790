import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { LocalTarget } from '../../cli/local.js';
import type { Io } from '../../cli/out.js';
import { COMMANDS } from '../../cli/table.js';
import { splitWords } from '../../cli/words.js';
import type { Plugin } from '../../core/index.js';
import { TempDir } from '../helpers/temp-dir.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const MAIN = join(ROOT, 'dist/cli/main.js');

/** What a run of a program came to. */
export interface Result {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A folder of a user's, with `backplane` installed, and a place for sockets that is nobody else's. */
export class Project implements Disposable {
  readonly #dir = new TempDir();
  readonly path = join(this.#dir.path, 'project');
  readonly runtime = join(this.#dir.path, 'run');

  constructor(files: Readonly<Record<string, string>> = {}) {
    mkdirSync(join(this.path, 'node_modules'), { recursive: true });
    mkdirSync(this.runtime, { mode: 0o700 });
    symlinkSync(ROOT, join(this.path, 'node_modules/backplane'));
    this.write('package.json', '{ "type": "module" }');
    for (const [name, content] of Object.entries(files)) this.write(name, content);
  }

  /** Where a system listens by default. */
  get socket(): string {
    return join(this.runtime, 'backplane/default.sock');
  }

  write(name: string, content: string): void {
    writeFileSync(join(this.path, name), content);
  }

  start(argv: readonly string[], node: readonly string[] = []): ChildProcess {
    return spawn(process.execPath, [...node, MAIN, ...argv], {
      cwd: this.path,
      env: { PATH: process.env['PATH'], XDG_RUNTIME_DIR: this.runtime },
      stdio: 'pipe',
    });
  }

  /** Runs the program to its end. */
  async run(argv: readonly string[], input = ''): Promise<Result> {
    return ended(this.start(argv), input);
  }

  [Symbol.dispose](): void {
    this.#dir[Symbol.dispose]();
  }
}

export async function ended(child: ChildProcess, input = ''): Promise<Result> {
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
  child.stdin!.end(input);
  const [out, err, code] = await Promise.all([text(child.stdout!), text(child.stderr!), closed]);
  return { code, out, err };
}

/** Resolves when what the program has written holds `wanted`. */
export function written(child: ChildProcess, wanted: string): Promise<void> {
  let all = '';
  return new Promise((resolve, reject) => {
    child.stdout!.on('data', (piece: Buffer) => {
      all += piece.toString();
      if (all.includes(wanted)) resolve();
    });
    child.once('close', () => reject(new Error(`ended without '${wanted}': ${all}`)));
  });
}

/** A system that `backplane up` keeps. */
export class Up implements AsyncDisposable {
  private constructor(private readonly child: ChildProcess) {}

  static async start(project: Project, argv: readonly string[] = []): Promise<Up> {
    const child = project.start(['up', ...argv]);
    await written(child, 'listening on ');
    return new Up(child);
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const closed = new Promise<number | null>((resolve) => this.child.once('close', resolve));
    this.child.kill(signal);
    return closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) await this.stop('SIGKILL');
  }
}

/** Keeps what is written to it. */
export class Tape implements Io {
  text = '';
  errors = '';
  readonly colour = false;

  constructor(readonly json = false) {}

  out(text: string): void {
    this.text += text;
  }

  err(text: string): void {
    this.errors += text;
  }
}

/** A system of our own, and its commands without a process around them. */
export class Desk implements AsyncDisposable {
  private constructor(readonly target: LocalTarget) {}

  static async make(...plugins: readonly Plugin[]): Promise<Desk> {
    return new Desk(await LocalTarget.start({ plugins: plugins.map((plugin) => ({ plugin })) }, COMMANDS.system));
  }

  async run(line: string, { json = false, cwd = '/' } = {}): Promise<Result> {
    const tape = new Tape(json);
    const code = await this.target.run(splitWords(line), { io: tape, cwd, signal: new AbortController().signal });
    return { code, out: tape.text, err: tape.errors };
  }

  /** What a command that works prints. */
  async text(line: string, how: { json?: boolean; cwd?: string } = {}): Promise<string> {
    const { code, out, err } = await this.run(line, how);
    if (code !== 0 || err !== '') throw new Error(`${line}: exit code ${code}: ${err}`);
    return out;
  }

  /** The value that a command gives. */
  async json(line: string): Promise<unknown> {
    return JSON.parse(await this.text(line, { json: true }));
  }

  /** @throws when something is left */
  async [Symbol.asyncDispose](): Promise<void> {
    const tape = new Tape();
    if ((await this.target.close(tape)) !== 0) throw new Error(tape.errors);
  }
}
