import createDebug from 'debug';
import { describeError } from './errno.js';
import { Signal, type Subscription } from './signal.js';

/** Levels of the kernel log, most severe first; the index is Linux's number for it. */
export const LOG_LEVELS = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug'] as const;
/** One of {@link LOG_LEVELS}. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** One line of the log. */
export interface LogRecord {
  /** Counts from 0 and never repeats. */
  readonly seq: number;
  /** Virtual time of the line. */
  readonly timeUs: number;
  readonly level: LogLevel;
  /** Name of a device, driver or room: the first word of the line. */
  readonly who: string;
  readonly text: string;
  /** A short name of the kind of message, for tests: `probe_failed`. */
  readonly id: string | undefined;
}

const RING_SIZE = 4096;
const toDebug = createDebug('backplane:log');

/**
 * The ring buffer that `backplane dmesg` shows: the last 4,096 lines, stamped with virtual time.
 * @see Linux 6.12 kernel/printk/printk.c
 */
export class Log {
  readonly #ring: LogRecord[] = [];
  #seq = 0;
  readonly #added = new Signal<[LogRecord]>();
  readonly #now: () => number;

  /** @param now the current virtual time in microseconds */
  constructor(now: () => number = () => 0) {
    this.#now = now;
  }

  write(level: LogLevel, who: string, text: string, id?: string): void {
    const record = this.#append(level, who, text, id);
    try {
      this.#added.emit(record);
    } catch (error) {
      // Who writes to the log has no part in what becomes of those who read it.
      this.#append('err', 'log', `a follower threw: ${describeError(error)}`, 'callback_threw');
    }
  }

  #append(level: LogLevel, who: string, text: string, id: string | undefined): LogRecord {
    const record: LogRecord = { seq: this.#seq, timeUs: this.#now(), level, who, text, id };
    this.#ring[this.#seq++ % RING_SIZE] = record;
    toDebug('%s %s: %s', level, who, text);
    return record;
  }

  /** The lines still in the ring, oldest first. */
  records(): LogRecord[] {
    const start = this.#seq % RING_SIZE;
    if (this.#seq <= RING_SIZE) return this.#ring.slice();
    return [...this.#ring.slice(start), ...this.#ring.slice(0, start)];
  }

  /** Calls `listener` for each new line until disposed. */
  follow(listener: (record: LogRecord) => void): Subscription {
    return this.#added.on(listener);
  }
}
