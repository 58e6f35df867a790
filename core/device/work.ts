import { Errno, describeError } from '../lib/errno.js';
import { type Flow, type FlowOwner, isThenable, run } from '../lib/flow.js';
import { findFrame, outsideFrames } from '../lib/frame.js';
import { Device } from './device.js';
import type { DeviceCore } from './core.js';

/** Runs `fn` in a microtask, as a job of its own: it is not part of the callback that asked for it. */
const soon = (fn: () => void): void => queueMicrotask(() => outsideFrames(fn));

/** @throws {Errno} EDEADLK from inside a callback of a driver: what waits for all probes would wait for itself */
export function refuseInside(what: string): void {
  const inside = findFrame((f) => f.owner instanceof Device);
  if (inside === undefined) return;
  const name = (inside.owner as Device).name;
  throw new Errno('EDEADLK', `${name}: ${what} from inside its own ${inside.what} would wait for itself`);
}

/**
 * What runs in a core and when: operations at once, retries after the outermost operation, asynchronous probes soon.
 *
 * An operation is what a public call starts. The worker that retries deferred devices starts when the outermost operation on
 * the stack has returned, so that it never runs in the middle of somebody's callback.
 */
export class Work implements FlowOwner {
  readonly #core: DeviceCore;
  /** Operations on the stack. */
  #depth = 0;
  /** Whether retries are due. */
  #wanted = false;
  #working = false;
  /** Jobs and operations that wait for something. */
  #pending = 0;
  #idle: (() => void)[] = [];
  #after: (() => void)[] = [];

  constructor(core: DeviceCore) {
    this.#core = core;
  }

  /** Whether nothing is queued or running. */
  get idle(): boolean {
    return this.#pending === 0 && !this.#working && !this.#wanted;
  }

  /**
   * Runs an operation: to its end when nothing makes it wait, else as a promise.
   * @param after called when it has succeeded; what it throws becomes the operation's error
   */
  enter<T>(flow: Flow<T>, after?: () => void): T | Promise<T> {
    const { sections } = this.#core;
    sections.enterOperation();
    this.#depth++;
    let result: T | Promise<T>;
    try {
      result = run(flow, this, after);
    } finally {
      this.#depth--;
      if (this.#wanted) this.#kick();
      sections.leave();
    }
    if (!isThenable(result)) {
      after?.();
      return result;
    }
    this.#pending++;
    return result;
  }

  /** The next part of an operation that had to wait is a section of its own. */
  flowResumed(): void {
    this.#core.sections.enter();
  }

  flowPaused(): void {
    this.#core.sections.leave();
  }

  /** An operation that had to wait has ended. */
  flowEnded(after: (() => void) | undefined): void {
    this.#ended();
    after?.();
  }

  /** Runs a job on its own, soon: an asynchronous probe. */
  schedule(job: () => Flow<void>): void {
    this.#pending++;
    soon(() => {
      const failed = (error: unknown): void => this.#fail(`asynchronous probe failed: ${describeError(error)}`, 'job_failed');
      try {
        const result = this.enter(job());
        if (isThenable(result)) {
          void Promise.resolve(result)
            .then(undefined, failed)
            .finally(() => this.#ended());
          return;
        }
      } catch (error) {
        failed(error);
      }
      this.#ended();
    });
  }

  /** Asks for the worker. */
  request(): void {
    this.#wanted = true;
    if (this.#depth === 0 && !this.#working) soon(() => this.#kick());
  }

  /** Runs `fn` when the retries that are due have been made. */
  afterRetries(fn: () => void): void {
    this.#after.push(fn);
    this.#wanted = true;
    this.#kick();
  }

  /**
   * Resolves when nothing is queued or running.
   * @throws {Errno} EDEADLK from inside a callback of a driver, which would wait for itself
   */
  async settle(): Promise<void> {
    refuseInside('waiting for all probes');
    await Promise.resolve();
    while (!this.idle) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #fail(text: string, id: string): void {
    this.#core.logFor('err', 'core', text, id);
  }

  #ended(): void {
    this.#pending--;
    this.#kick();
    this.#wake();
  }

  #kick(): void {
    if (!this.#wanted || this.#working || this.#depth > 0) return;
    const { sections } = this.#core;
    this.#working = true;
    this.#depth++;
    sections.enter();
    let result: unknown;
    try {
      result = outsideFrames(() => run(this.#work()));
    } finally {
      this.#depth--;
      sections.leave();
    }
    if (isThenable(result)) void Promise.resolve(result).finally(() => this.#worked());
    else this.#worked();
  }

  *#work(): Flow<void> {
    while (this.#wanted) {
      this.#wanted = false;
      try {
        yield* this.#core.deferred.retryAll();
      } catch (error) {
        this.#fail(`deferred probe failed: ${describeError(error)}`, 'retry_failed');
      }
      const all = this.#after;
      this.#after = [];
      for (const fn of all) fn();
    }
  }

  #worked(): void {
    this.#working = false;
    this.#kick();
    this.#wake();
  }

  #wake(): void {
    if (this.#idle.length === 0 || !this.idle) return;
    const all = this.#idle;
    this.#idle = [];
    for (const resolve of all) resolve();
  }
}
