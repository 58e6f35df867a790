import type { Clock } from '../../core/index.js';

/**
 * How long the device may take to flush a queue, and how often is looked; in microseconds.
 * @see Linux 7.2 en/reporter_tx.c mlx5e_wait_for_sq_flush
 */
export const FLUSH = { intervalUs: 20_000, timeoutUs: 2_000_000, what: 'flush of a queue' } as const;

/** Recovery of a queue: one at a time, and waited for before the queue goes. */
export class Recovery {
  readonly #clock: Clock;
  #running: Promise<void> | undefined = undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Runs `recover`, unless one runs. @param failed told when it throws */
  start(recover: () => Promise<void>, failed: (error: unknown) => void): void {
    this.#running ??= this.#run(recover, failed);
  }

  /** Waits until `isEmpty`. @throws {Errno} ETIMEDOUT */
  async flushed(isEmpty: () => boolean): Promise<void> {
    await this.#clock.poll(isEmpty, FLUSH);
  }

  /** Waits until none runs. */
  async end(): Promise<void> {
    await this.#running;
  }

  async #run(recover: () => Promise<void>, failed: (error: unknown) => void): Promise<void> {
    // Who starts it is in the middle of its work.
    await Promise.resolve();
    try {
      await recover();
    } catch (error) {
      failed(error);
    } finally {
      this.#running = undefined;
    }
  }
}
