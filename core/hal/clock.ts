import type { Subscription } from '../lib/signal.js';
import { type Token, token } from '../lib/token.js';

/** A pending clock event; disposing it before its time cancels it. */
export interface ClockEvent extends Disposable {
  readonly dueUs: number;
  /** Cancels the event; harmless when it has run. */
  cancel(): void;
}

/** An event of its own for what happens again and again: setting it allocates nothing. */
export interface ClockTimer {
  /** Whether it is set, and has not run since. */
  readonly isPending: boolean;
  /** Runs its function once, `us` microseconds from now, and not when it was set to before. */
  start(us: number): void;
  /** It does not run; harmless when it is not set. */
  cancel(): void;
}

/** How long and how often {@link Clock.poll} looks. */
export interface PollOptions {
  /** Pause between two looks, in microseconds; default 10, at least 1. */
  readonly intervalUs?: number;
  /** Limit in microseconds, measured on the clock; the last look is taken after it. */
  readonly timeoutUs: number;
  /** Named in the ETIMEDOUT message. */
  readonly what?: string;
}

/**
 * Time as a driver and the core see it, in microseconds since the host was started.
 *
 * A simulated host's clock stands still until the test or the program moves it; see `VirtualClock`. A host of real hardware
 * follows real time.
 */
export interface Clock {
  /** Microseconds since the host was started. */
  now(): number;
  /** Runs `fn` once, `us` microseconds from now. */
  after(us: number, fn: () => void): ClockEvent;
  /**
   * As `after`, for a limit that should not come: a clock that moves by itself goes there only when all else is at rest.
   * @internal
   */
  deadline(us: number, fn: () => void): ClockEvent;
  /** As `after`, for somebody who waits: a clock that moves by itself goes there, as for `sleep`. Cancel it when the wait is over. */
  alarm(us: number, fn: () => void): ClockEvent;
  /** Resolves `us` microseconds from now. */
  sleep(us: number): Promise<void>;
  /**
   * Looks again and again until `read` gives something other than `undefined` or `false`, and resolves with it.
   * @throws {Errno} ETIMEDOUT when the limit has passed, after one last look
   * @see Linux 6.12 include/linux/iopoll.h read_poll_timeout
   */
  poll<T>(read: () => T | undefined | false, options: PollOptions): Promise<T>;
  /**
   * Lets the hardware get on inside a synchronous busy-wait: runs the next hardware event, and delivers no interrupt.
   * @returns false when nothing is pending
   * @see Linux 6.12 include/asm-generic/vdso/processor.h cpu_relax
   */
  relax(): boolean;
  /** Called after each event that the clock has run: interrupts are delivered there. @internal */
  onEvent(listener: () => void): Subscription;
}

/** The clock of a system: the host's. Classes take it as `@inject(Clock) private readonly clock: Clock`. */
export const Clock: Token<Clock> = token<Clock>('Clock');
