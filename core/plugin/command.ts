import type { MaybePromise } from '../lib/flow.js';
import { type Token, token } from '../lib/token.js';
import type { System } from './system.js';

/** Where a command writes. */
export interface Output {
  /** Text as it is; lines end with a newline. */
  write(text: string): void;
}

/** Who has called a command, and the files that he means. */
export interface Caller {
  /** Whether he wants results as JSON, one value a line: `--json`, wherever it stands. */
  readonly json: boolean;
  /**
   * @param path relative to where the caller is
   * @throws {Errno} ENOENT, EACCES or EIO
   */
  readFile(path: string): string;
  /** Replaces a file, or makes it. @throws {Errno} as {@link readFile} */
  writeFile(path: string, text: string): void;
}

/** A command that a plugin contributes: `bind(Command).to(EduCommand)`; the `backplane` program lists and runs it. */
export interface Command {
  /** The word it is called by. */
  readonly name: string;
  /** One line. */
  readonly summary: string;
  /** Its arguments: `<device> <n>`. */
  readonly usage: string;
  /**
   * @param args what follows its name, as it is
   * @returns the exit code; nothing for 0
   * @throws {Errno} EINVAL whose text begins with the name of the command, for wrong arguments: the usage is shown with it
   */
  run(system: System, args: readonly string[], out: Output, caller: Caller): MaybePromise<number | void>;
}

export const Command: Token<Command> = token<Command>('Command');
