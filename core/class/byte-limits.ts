import { Errno } from '../lib/errno.js';

/** Microseconds for which slack must be seen before the limit comes down. @see Linux 7.2 lib/dynamic_queue_limits.c dql_init */
const HOLD_US = 1_000_000;

/**
 * How many bytes a transmit queue may have under way: as few as keep the device busy, found out from what completes.
 *
 * Linux keeps what exceeds the limit in a queue above the driver. There is none here, so that the limit begins where it stops nobody:
 * users lower {@link minBytes} to have it.
 * @see Linux 7.2 lib/dynamic_queue_limits.c
 */
export class ByteLimits {
  #limit = 0;
  #queued = 0;
  #completed = 0;
  #adjusted = 0;
  #lastCount = 0;
  #previousOver = 0;
  #previousLast = 0;
  #previousQueued = 0;
  #lowestSlack = Infinity;
  #slackStartUs = 0;
  #minBytes = Infinity;

  /** Bytes that are allowed whatever completes; default Infinity: there is no limit. */
  get minBytes(): number {
    return this.#minBytes;
  }

  /** @throws {Errno} ERANGE for what is no number of bytes */
  set minBytes(bytes: number) {
    if (bytes !== Infinity && !(Number.isSafeInteger(bytes) && bytes >= 0)) {
      throw new Errno('ERANGE', `byte queue limits: ${bytes} bytes: must be an integer from 0, or Infinity`);
    }
    this.#minBytes = bytes;
    this.#limit = bytes;
    this.#adjusted = bytes + this.#completed;
  }

  constructor() {
    this.reset();
  }

  /** Bytes that may be under way now. */
  get limit(): number {
    return this.#limit;
  }

  /** Bytes that were queued and have not completed. */
  get inFlight(): number {
    return this.#queued - this.#completed;
  }

  /** What may still be queued; negative when it is too much already. */
  get room(): number {
    return this.#adjusted - this.#queued;
  }

  /** Bytes were handed to the device. @see Linux 7.2 include/linux/dynamic_queue_limits.h dql_queued */
  queued(bytes: number): void {
    this.#lastCount = bytes;
    this.#queued += bytes;
  }

  /**
   * Bytes have left, and the limit follows.
   * @param bytes at most {@link inFlight}
   * @param nowUs in microseconds
   * @throws {Errno} EINVAL for more
   * @see Linux 7.2 lib/dynamic_queue_limits.c dql_completed
   */
  completed(bytes: number, nowUs: number): void {
    if (bytes > this.inFlight) {
      throw new Errno('EINVAL', `byte queue limits: ${bytes} bytes completed, ${this.inFlight} are under way`);
    }
    if (this.#limit === Infinity) {
      this.#completed += bytes;
      this.#previousQueued = this.#queued;
      return;
    }
    const queued = this.#queued;
    const completed = this.#completed + bytes;
    const inProgress = queued - completed;
    const wasInProgress = this.#previousQueued - this.#completed;
    const allPrevious = completed >= this.#previousQueued;
    let over = Math.max(queued - this.#completed - this.#limit, 0);
    let limit = this.#limit;
    if ((over > 0 && inProgress === 0) || (this.#previousOver > 0 && allPrevious)) {
      // It ran dry though more was to be sent.
      limit += Math.max(completed - this.#previousQueued, 0) + this.#previousOver;
      this.#slackStartUs = nowUs;
      this.#lowestSlack = Infinity;
    } else if (inProgress > 0 && wasInProgress > 0 && !allPrevious) {
      limit = this.#lowered(bytes, nowUs);
    }
    limit = Math.max(limit, this.#minBytes);
    if (limit !== this.#limit) over = 0;
    this.#limit = limit;
    this.#adjusted = limit + completed;
    this.#previousOver = over;
    this.#previousLast = this.#lastCount;
    this.#completed = completed;
    this.#previousQueued = queued;
  }

  /** More was under way than was needed to keep it busy. */
  #lowered(bytes: number, nowUs: number): number {
    const slack = Math.max(this.#limit + this.#previousOver - 2 * bytes, 0);
    const last = this.#previousOver > 0 ? Math.max(this.#previousLast - this.#previousOver, 0) : 0;
    this.#lowestSlack = Math.min(this.#lowestSlack, Math.max(slack, last));
    if (nowUs <= this.#slackStartUs + HOLD_US) return this.#limit;
    const limit = Math.max(this.#limit - this.#lowestSlack, 0);
    this.#slackStartUs = nowUs;
    this.#lowestSlack = Infinity;
    return limit;
  }

  /** Nothing is under way, and nothing is known. */
  reset(): void {
    this.#limit = this.#minBytes;
    this.#adjusted = this.#minBytes;
    this.#queued = this.#completed = this.#previousQueued = 0;
    this.#previousOver = this.#previousLast = this.#lastCount = 0;
    this.#lowestSlack = Infinity;
    this.#slackStartUs = 0;
  }
}
