import { type Frame, currentFrame, setFrame } from './frame.js';

/** A value, or a promise of it. */
export type MaybePromise<T> = T | PromiseLike<T>;

/**
 * A computation that runs without waiting as long as nothing makes it wait: it yields only promises.
 *
 * The core is written in these, so that one body serves synchronous and asynchronous drivers (an `await` costs 80 to 100 ns
 * even when nothing waits; a check for a thenable costs 7).
 */
export type Flow<T> = Generator<PromiseLike<unknown>, T, unknown>;

/** Whether `value` is something to wait for. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

/** Who is told of the end of a flow that had to wait. */
export interface FlowOwner {
  /**
   * Called before the promise of the flow settles.
   * @param after absent when the flow failed; what it throws becomes the error of a flow that did not
   */
  flowEnded(after: (() => void) | undefined): void;
  /** The flow goes on after it has waited: called before that step, and `flowPaused` after it. */
  flowResumed(): void;
  flowPaused(): void;
}

/**
 * Runs a flow: to its end when it never waits, else as a promise. The frame it is in stays its own while it waits.
 * @param owner told of the end of a flow that waits, with `after`: for one promise less than `finally` on the result
 */
export function run<T>(flow: Flow<T>, owner?: FlowOwner, after?: () => void): T | Promise<T> {
  const outer = currentFrame();
  const step = flow.next();
  if (step.done === true) return step.value;
  const inner = currentFrame();
  setFrame(outer);
  return finish(flow, step.value, inner, owner, after);
}

async function finish<T>(
  flow: Flow<T>,
  first: PromiseLike<unknown>,
  frame: Frame | undefined,
  owner: FlowOwner | undefined,
  after: (() => void) | undefined,
): Promise<T> {
  let wait = first;
  let inner = frame;
  let succeeded = false;
  try {
    for (;;) {
      let value: unknown;
      let failed = false;
      try {
        value = await wait;
      } catch (error) {
        failed = true;
        value = error;
      }
      const outer = currentFrame();
      setFrame(inner);
      owner?.flowResumed();
      try {
        const step = failed ? flow.throw(value) : flow.next(value);
        if (step.done === true) {
          succeeded = true;
          return step.value;
        }
        wait = step.value;
        inner = currentFrame();
      } finally {
        setFrame(outer);
        owner?.flowPaused();
      }
    }
  } finally {
    owner?.flowEnded(succeeded ? after : undefined);
  }
}

/** Within a flow: the value, waited for when it is a promise. `const x = yield* settle(maybe)`. */
export function* settle<T>(value: MaybePromise<T>): Flow<T> {
  return isThenable(value) ? ((yield value) as T) : value;
}

/** Applies `next` to the value now, or when its promise is fulfilled. */
export function chain<T, R>(value: MaybePromise<T>, next: (value: T) => MaybePromise<R>): MaybePromise<R> {
  return isThenable(value) ? Promise.resolve(value).then(next) : next(value);
}
