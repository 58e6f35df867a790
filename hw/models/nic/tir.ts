import type { NicFunction } from './function.js';
import type { ReceiveQueue } from './receive-queue.js';
import { Toeplitz, hashPacket } from './toeplitz.js';

/** A table of receive queues; which of them may change, how many there are at most not. */
export class Rqt {
  readonly fn: NicFunction;
  readonly number: number;
  readonly maxSize: number;
  queues: readonly ReceiveQueue[] = [];
  /** What chooses by it: with any, it cannot be destroyed. */
  users = 0;

  constructor(fn: NicFunction, number: number, maxSize: number, queues: readonly ReceiveQueue[]) {
    this.fn = fn;
    this.number = number;
    this.maxSize = maxSize;
    this.set(queues);
  }

  /** From now on packets go to these. */
  set(queues: readonly ReceiveQueue[]): void {
    for (const rq of queues) rq.users++;
    this.destroy();
    this.queues = queues;
  }

  destroy(): void {
    for (const rq of this.queues) rq.users--;
    this.queues = [];
  }
}

/** Where packets go that come to a port: to one queue, or by their hash to one of a table. */
export class Tir {
  readonly fn: NicFunction;
  readonly number: number;
  /** Packets that its own port has sent may come back to it. */
  readonly takesOwn: boolean;
  /** Ports that use it: with any, it cannot be destroyed. */
  users = 0;
  /** Of the packet that a queue was chosen for last; signed. */
  hash = 0;
  readonly #target: ReceiveQueue | Rqt;
  readonly #queue: ReceiveQueue | undefined;
  readonly #table: Rqt | undefined;
  readonly #toeplitz: Toeplitz | undefined;

  /** @param key ten words; used with a table */
  constructor(fn: NicFunction, number: number, target: ReceiveQueue | Rqt, key: Uint32Array, takesOwn: boolean) {
    this.fn = fn;
    this.number = number;
    this.takesOwn = takesOwn;
    this.#target = target;
    if (target instanceof Rqt) {
      this.#table = target;
      this.#toeplitz = new Toeplitz(key);
    } else {
      this.#queue = target;
    }
    target.users++;
  }

  destroy(): void {
    this.#target.users--;
  }

  /** The queue for a packet, and its {@link hash}; undefined when the table is empty. */
  choose(frame: Uint8Array, offset: number, length: number): ReceiveQueue | undefined {
    if (this.#queue !== undefined) return this.#queue;
    this.hash = hashPacket(this.#toeplitz!, frame, offset, length);
    const { queues } = this.#table!;
    const count = queues.length;
    // A remainder takes long.
    return queues[(count & (count - 1)) === 0 ? this.hash & (count - 1) : (this.hash >>> 0) % count];
  }
}
