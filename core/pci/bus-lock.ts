import { Errno, type Flow } from '../lib/index.js';
import { enterFrame, findFrame, leaveFrame } from '../lib/frame.js';

/**
 * One at a time may scan the bus, or take devices off it; first come, first served.
 * @see Linux 6.12 drivers/pci/probe.c pci_lock_rescan_remove
 */
export class BusLock {
  #isHeld = false;
  readonly #queue: (() => void)[] = [];

  /**
   * Runs `body` with the lock held.
   * @throws {Errno} EDEADLK inside something that holds it already, which would wait for itself
   */
  *hold<T>(what: string, body: () => Flow<T>): Flow<T> {
    if (this.#isHeld) {
      const holder = findFrame((f) => f.owner === this);
      if (holder !== undefined) throw new Errno('EDEADLK', `pci: ${what} from inside a ${holder.what} would wait for itself`);
      yield new Promise<void>((resolve) => this.#queue.push(resolve));
    }
    this.#isHeld = true;
    const saved = enterFrame(this, what);
    try {
      return yield* body();
    } finally {
      leaveFrame(saved);
      const next = this.#queue.shift();
      // The next one finds it held, so that nobody comes in between.
      if (next === undefined) this.#isHeld = false;
      else next();
    }
  }
}
