import { Errno } from '../core/lib/errno.js';

/** Resolves when the signal comes. */
export function interruption(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/**
 * What `work` comes to, unless the signal comes first; the work itself goes on.
 * @throws {Errno} EINTR
 */
export function interruptible<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const interrupt = (): void => reject(new Errno('EINTR', 'interrupted'));
    if (signal.aborted) interrupt();
    signal.addEventListener('abort', interrupt);
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', interrupt));
  });
}
