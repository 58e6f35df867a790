import type { Sections } from '../device/sections.js';
import { Errno } from '../lib/errno.js';
import { isThenable } from '../lib/flow.js';
import { isAsyncFunction } from '../lib/frame.js';

/** What stands behind a guard: an object that may be called until it is gone. */
export class Target {
  readonly #object: Record<string, (...args: unknown[]) => unknown>;
  readonly #who: string;
  readonly #sections: Sections;
  #isGone = false;
  /** Methods that have given a promise. */
  readonly #promising = new Set<string>();
  /** Rejects the promises that calls have given and that are still pending, oldest first. */
  readonly #waiters = new Set<(error: Errno) => void>();

  /** @param who named in the error: `timer0` */
  constructor(object: object, who: string, sections: Sections) {
    this.#object = object as Record<string, (...args: unknown[]) => unknown>;
    this.#who = who;
    this.#sections = sections;
  }

  /** @throws {Errno} ENODEV once it is gone; a method that gives promises gives one that is rejected with it */
  call(method: string, ...args: unknown[]): unknown {
    if (this.#isGone) {
      if (this.#promising.has(method) || isAsyncFunction(this.#object[method])) return Promise.reject(this.#error());
      throw this.#error();
    }
    const sections = this.#sections;
    sections.enter();
    let result: unknown;
    try {
      result = this.#object[method]!(...args);
    } finally {
      sections.leave();
    }
    if (!isThenable(result)) return result;
    this.#promising.add(method);
    return this.#wait(result);
  }

  /** From now on every call throws ENODEV; those who wait for the result of one are woken with it. */
  end(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    for (const reject of this.#waiters) reject(this.#error());
    this.#waiters.clear();
  }

  #wait(result: PromiseLike<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#waiters.add(reject);
      result.then(
        (value) => {
          this.#waiters.delete(reject);
          resolve(value);
        },
        (error: unknown) => {
          this.#waiters.delete(reject);
          reject(error);
        },
      );
    });
  }

  #error(): Errno {
    return new Errno('ENODEV', `${this.#who}: is gone`);
  }
}

class Guard {
  readonly #target: Target;

  constructor(target: Target) {
    this.#target = target;
  }

  static define(prototype: object, method: string): void {
    // Arguments that are handed on, and nothing else, need no array.
    const value = function (this: Guard, ...args: unknown[]): unknown {
      return this.#target.call(method, ...args);
    };
    Object.defineProperty(value, 'name', { value: method });
    Object.defineProperty(prototype, method, { value });
  }
}

/**
 * Makes the handles that users get: objects with the declared methods and nothing else, which outlive what they stand for.
 *
 * The methods live on one prototype, so that a handle costs one small object and a call no closure.
 */
export class GuardMaker<T extends object> {
  readonly #Guard: new (target: Target) => object;

  constructor(methods: readonly string[]) {
    const Own = class extends Guard {};
    for (const method of methods) Guard.define(Own.prototype, method);
    this.#Guard = Own;
  }

  make(target: Target): T {
    return new this.#Guard(target) as T;
  }
}
