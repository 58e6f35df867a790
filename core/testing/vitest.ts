import { expect, test as base } from 'vitest';
import { ERRNO, Errno, type ErrnoCode, describeError } from '../lib/index.js';
import { DriverHarness } from './harness.js';
import { formatHoldings } from './ledger-watch.js';
import { setDefaultSeed } from './seed.js';
import type { HarnessOptions } from './session.js';
import { TraceLog } from './trace-log.js';

const seed = Number(process.env['BACKPLANE_SEED'] ?? 1);
if (!Number.isSafeInteger(seed)) throw new Errno('EINVAL', `BACKPLANE_SEED: ${process.env['BACKPLANE_SEED']} is not an integer`);
setDefaultSeed(seed);

/** What `expect` can say of errors, harnesses and traces once this module is imported. */
interface BackplaneMatchers<R = unknown> {
  /** It is an `Errno` with this code. */
  toBeErrno(code: ErrnoCode): R;
  /** Calling it throws an `Errno` with this code. */
  toThrowErrno(code: ErrnoCode): R;
  /** A harness: nothing is held that nothing should hold. */
  toHoldNothing(): R;
  /** A trace: lines starting with these words happened in this order. */
  toHaveHappened(...lines: string[]): R;
  /** A trace: the ledger of this device was undone last first. */
  toUndoLastFirst(device: string): R;
}

declare module 'vitest' {
  interface Matchers<T> extends BackplaneMatchers<T> {}
}

const errnoResult = (error: unknown, code: ErrnoCode): { pass: boolean; message: () => string } => ({
  pass: Errno.is(error, code),
  message: () => `expected an Errno with code ${code} (${ERRNO[code]}), got ${describeError(error)}`,
});

expect.extend({
  toBeErrno: (received: unknown, code: ErrnoCode) => errnoResult(received, code),
  toThrowErrno: (received: unknown, code: ErrnoCode) => {
    if (typeof received !== 'function') return { pass: false, message: () => 'expected a function to call' };
    try {
      (received as () => unknown)();
    } catch (error) {
      return errnoResult(error, code);
    }
    return { pass: false, message: () => `expected an Errno with code ${code}, nothing was thrown` };
  },
  toHoldNothing: (received: unknown) => {
    if (!(received instanceof DriverHarness)) return { pass: false, message: () => 'expected a DriverHarness' };
    const held = received.leaks();
    return {
      pass: held.length === 0,
      message: () => (held.length === 0 ? 'expected something to be held' : formatHoldings('now', held)),
    };
  },
  toHaveHappened: (received: unknown, ...lines: string[]) => {
    if (!(received instanceof TraceLog)) return { pass: false, message: () => 'expected a TraceLog' };
    try {
      received.expectInOrder(...lines);
    } catch (error) {
      return { pass: false, message: () => describeError(error) };
    }
    return { pass: true, message: () => `expected not to happen in this order: ${lines.join(', ')}` };
  },
  toUndoLastFirst: (received: unknown, device: string) => {
    if (!(received instanceof TraceLog)) return { pass: false, message: () => 'expected a TraceLog' };
    return {
      pass: received.isPalindrome(device),
      message: () => `ledger of ${device}: ${received.ledger(device).join(' ')}`,
    };
  },
});

/**
 * A vitest `test` whose tests get a fresh `harness`, ended with each test: leaks and broken rules fail the test that made them.
 * @example `const test = harnessTest({ driver: () => new MyDriver(), pci: () => [new FakePciFunction(...)] });`
 */
export function harnessTest(options: HarnessOptions) {
  return base.extend<{ harness: DriverHarness }>({
    // oxlint-disable-next-line no-empty-pattern -- vitest reads the fixtures a function wants from its first parameter
    harness: async ({}, use) => {
      const harness = new DriverHarness(options);
      await use(harness);
      await harness[Symbol.asyncDispose]();
    },
  });
}
