/** Numeric values of the error codes, as in Linux's `errno.h` (always positive here). */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  ENOSPC: 28,
  EROFS: 30,
  EPIPE: 32,
  EDOM: 33,
  ERANGE: 34,
  EDEADLK: 35,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ELOOP: 40,
  ENOMSG: 42,
  EBADR: 53,
  ENOLINK: 67,
  EPROTO: 71,
  EBADMSG: 74,
  EOVERFLOW: 75,
  EBADFD: 77,
  EUSERS: 87,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  ENETDOWN: 100,
  ECONNRESET: 104,
  ENOBUFS: 105,
  ENOTCONN: 107,
  ESHUTDOWN: 108,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  ESTALE: 116,
  EREMOTEIO: 121,
  ECANCELED: 125,
  EHWPOISON: 133,
  EPROBE_DEFER: 517,
  ENOTSUPP: 524,
} as const;

/** The name of an error code; `EWOULDBLOCK` is Linux's alias of `EAGAIN`. */
export type ErrnoCode = keyof typeof ERRNO;

/**
 * The one error class of Backplane: `code` to branch on, `message` for people, `cause` for the chain.
 *
 * The message reads `CODE: who: what is, with numbers and units`; a known remedy follows a colon.
 * @see Linux 6.12 include/uapi/asm-generic/errno.h, include/linux/errno.h
 */
export class Errno extends Error {
  readonly code: ErrnoCode;
  /** The rule that the caller broke, where one was recorded with this error. */
  declare readonly rule?: string;

  /**
   * @param code the Linux name of the error
   * @param text `who: what is`; the code is put in front of it
   * @param options `cause`: the error that led to this one; `rule`: the rule that was broken, and recorded
   */
  constructor(code: ErrnoCode, text: string, options?: { cause?: unknown; rule?: string }) {
    super(`${code}: ${text}`, options);
    this.code = code;
    if (options?.rule !== undefined) this.rule = options.rule;
  }

  override get name(): string {
    return 'Errno';
  }

  /** The numeric value, positive: 16 for `EBUSY`. */
  get errno(): number {
    return ERRNO[this.code];
  }

  /** The message without its code. */
  get text(): string {
    return this.message.slice(this.code.length + 2);
  }

  /**
   * Whether `error` is an Errno, of this code when one is given. Recognises errors of another copy of the package.
   */
  static is(error: unknown, code?: ErrnoCode): error is Errno {
    if (typeof error !== 'object' || error === null) return false;
    if (!(error instanceof Errno) && (error as { name?: unknown }).name !== 'Errno') return false;
    const own = (error as { code?: unknown }).code;
    return code === undefined ? typeof own === 'string' && Object.hasOwn(ERRNO, own) : own === code;
  }

  /** The code of `error` when it is an Errno, else `EIO`: what a failure of unknown kind counts as. */
  static codeOf(error: unknown): ErrnoCode {
    return Errno.is(error) ? error.code : 'EIO';
  }

  /** An Errno without a stack, a tenth as dear, for failures that are part of normal work and are thrown often. @internal */
  static stackless(code: ErrnoCode, text: string): Errno {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    try {
      return new Errno(code, text);
    } finally {
      Error.stackTraceLimit = limit;
    }
  }
}

/** The reason text that `devices_deferred` shows for a deferral without one. */
const NO_REASON = 'deferred';

/**
 * What a probe throws when something it needs is not there yet: `throw defer('waiting for clk0')`.
 *
 * The device goes to the deferred list with this reason and is retried after the next successful bind. The object carries
 * no stack, since deferral is normal work.
 * @param reason shown by `backplane deferred` and by `explain`
 * @see Linux 6.12 drivers/base/core.c dev_err_probe, drivers/base/dd.c driver_deferred_probe_add
 */
export function defer(reason?: string): Errno {
  const error = Errno.stackless('EPROBE_DEFER', reason ?? NO_REASON);
  if (reason !== undefined) (error as { reason?: string }).reason = reason;
  return error;
}

/** The reason given to {@link defer}, if any. @internal */
export function deferReason(error: unknown): string | undefined {
  return (error as { reason?: string } | undefined)?.reason;
}

/** Makes one error of several, keeping them all: the only one as it is, more in an `AggregateError`, first one first. */
export function joinErrors(errors: readonly unknown[], what: string): unknown {
  if (errors.length === 1) return errors[0];
  const first = errors[0];
  const head = first instanceof Error ? first.message : describeError(first);
  return new AggregateError(errors, `${head} (and ${errors.length - 1} more: ${what})`, { cause: first });
}

/** Runs one of several steps that all must run: what it throws joins `errors`. */
export async function collect(errors: unknown[], run: () => unknown): Promise<void> {
  try {
    await run();
  } catch (error) {
    errors.push(error);
  }
}

/** One line that names any thrown value, for messages and logs; it never throws itself, since clean-up goes through it. */
export function describeError(error: unknown): string {
  try {
    if (error instanceof AggregateError) return error.errors.map(describeError).join('; ');
    if (error instanceof Error) return Errno.is(error) ? error.message : `${error.name}: ${error.message}`;
    return String(error);
  } catch {
    // No prototype, or a method of its own that throws.
    return `an ${typeof error} that has no text`;
  }
}

/** Throws when the core itself is wrong; never for what a caller did. */
export function assert(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(`backplane bug: ${what}`);
}
