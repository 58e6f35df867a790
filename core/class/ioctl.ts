import { Errno } from '../lib/errno.js';
import type { MaybePromise } from '../lib/flow.js';
import type { Task } from './char-device.js';

/**
 * A call that open files of some driver understand, beside reading and writing: both sides import the one constant.
 * @typeParam A type of what is given with it; undefined for nothing
 * @typeParam R type of what comes back
 * @example
 * ```ts
 * export const RESET = new Ioctl<undefined, void>('RESET');
 * await file.ioctl(RESET, undefined);
 * ```
 * @see Linux 7.2 include/uapi/asm-generic/ioctl.h
 */
export class Ioctl<A, R> {
  /** Never there: carries the types alone. @internal */
  declare readonly types?: (argument: A) => R;

  /** @param name in messages */
  constructor(readonly name: string) {}
}

type Call<A, R> = (task: Task, argument: A) => MaybePromise<R>;

/** What a driver does for the calls of one open file. */
export class IoctlTable {
  readonly #calls = new Map<Ioctl<never, unknown>, Call<never, unknown>>();

  /** Sets what a call does. @throws {Errno} EEXIST when that is set */
  on<A, R>(command: Ioctl<A, R>, call: Call<A, R>): this {
    if (this.#calls.has(command)) throw new Errno('EEXIST', `call ${command.name}: is in the table already`);
    this.#calls.set(command, call);
    return this;
  }

  /** @internal */
  find(command: Ioctl<never, unknown>): Call<never, unknown> | undefined {
    return this.#calls.get(command);
  }
}
