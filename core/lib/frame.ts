import { AsyncLocalStorage } from 'node:async_hooks';

/**
 * What is being done, and on whose behalf: one entry of the stack that tells a dead-lock from a wait.
 *
 * An operation that would wait for a lock held by one of its own callers can never go on; it is refused instead.
 */
export interface Frame {
  /** The device or driver whose callback or lock this is. */
  readonly owner: object;
  /** `probe`, `remove`, `release`, ...: for the message. */
  readonly what: string;
  readonly outer: Frame | undefined;
  /** Whether it is over; what it set going and nobody waited for may outlive it. */
  ended: boolean;
}

let current: Frame | undefined;
const storage = new AsyncLocalStorage<Frame | undefined>();
let asyncFrames = false;

/** The innermost frame of the running synchronous section. @internal */
export function currentFrame(): Frame | undefined {
  return current;
}

/** @internal */
export function setFrame(frame: Frame | undefined): void {
  current = frame;
}

/** Enters a frame; give what it returns to {@link leaveFrame} when done. */
export function enterFrame(owner: object, what: string): Frame | undefined {
  const outer = current;
  current = { owner, what, outer: outer ?? (asyncFrames ? storage.getStore() : undefined), ended: false };
  return outer;
}

/** Ends the frame entered last. */
export function leaveFrame(outer: Frame | undefined): void {
  if (current !== undefined) current.ended = true;
  current = outer;
}

/** Calls `fn` on nobody's behalf: a job of its own, whoever set it going. @internal */
export function outsideFrames<T>(fn: () => T): T {
  const outer = current;
  current = undefined;
  try {
    return asyncFrames ? storage.run(undefined, fn) : fn();
  } finally {
    current = outer;
  }
}

/**
 * Calls `fn` so that what it does after an `await` still counts as inside the current frame.
 *
 * Only for functions known to be asynchronous: from the first use on, every promise of the process costs more.
 */
export function runAsyncFrame<T>(fn: () => T): T {
  asyncFrames = true;
  return storage.run(current, fn);
}

/** The nearest frame around the caller that satisfies `test`, also across the awaits of asynchronous drivers. */
export function findFrame(test: (frame: Frame) => boolean): Frame | undefined {
  for (let f = current ?? (asyncFrames ? storage.getStore() : undefined); f !== undefined; f = f.outer) {
    if (!f.ended && test(f)) return f;
  }
  return undefined;
}

const AsyncFunction = (async () => {}).constructor;

/** Whether a function is declared `async`. */
export function isAsyncFunction(fn: unknown): boolean {
  return fn instanceof AsyncFunction;
}
