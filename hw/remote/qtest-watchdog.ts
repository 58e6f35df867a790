import { Worker } from 'node:worker_threads';

/** Shared words: requests begun and ended (odd while one waits); not 0 to end the watch; not 0 once it has killed. */
const TURN = 0;
const STOP = 1;
const FIRED = 2;

/**
 * Runs in a thread of its own, since the thread it watches is blocked. A request seen twice, one period apart, is overdue:
 * no clock is read and nobody is woken on the way of a request.
 */
const WATCH = `
const { workerData: { words, pid, periodMs } } = require('node:worker_threads');
for (let seen = 0; Atomics.wait(words, ${STOP}, 0, periodMs) === 'timed-out'; ) {
  const turn = Atomics.load(words, ${TURN});
  if (turn % 2 !== 0 && turn === seen) {
    Atomics.store(words, ${FIRED}, 1);
    try { process.kill(pid, 'SIGKILL'); } catch {}
    break;
  }
  seen = turn;
}
`;

/** Kills a process that leaves a request unanswered for longer than a period, and before two have passed. @internal */
export class Watchdog {
  readonly #words = new Int32Array(new SharedArrayBuffer(12));

  constructor(
    pid: number,
    readonly periodMs: number,
  ) {
    const worker = new Worker(WATCH, { eval: true, workerData: { words: this.#words, pid, periodMs } });
    worker.unref();
    // Without a watch the host works on; a thread that cannot be made is no reason to fail.
    worker.on('error', () => {});
  }

  /** Whether it has killed. */
  get fired(): boolean {
    return Atomics.load(this.#words, FIRED) === 1;
  }

  /** A request begins, or has ended. */
  turn(): void {
    Atomics.add(this.#words, TURN, 1);
  }

  stop(): void {
    Atomics.store(this.#words, STOP, 1);
    Atomics.notify(this.#words, STOP);
  }
}
