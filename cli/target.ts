import type { Io } from './out.js';

/** How one command is run. */
export interface Call {
  readonly io: Io;
  /** Relative paths are meant from there. */
  readonly cwd: string;
  /** Ends a command that goes on until it is interrupted, and the wait for any other. */
  readonly signal: AbortSignal;
}

/** A system that runs commands: one of our own, or one at the other end of a socket. */
export interface Target {
  /**
   * Runs a command line, after those given before. What goes wrong is told to `call.io`.
   * @returns its exit code
   */
  run(argv: readonly string[], call: Call): Promise<number>;
  /** Ends it; a system of our own is stopped and checked. @returns an exit code: 1 when something is left */
  close(io: Io): Promise<number>;
}
