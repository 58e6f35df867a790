import { STATUS } from '../../hw/regs/dsa.js';
import { type DescriptorPool, NONE, SLOT } from './descriptor-pool.js';

/** What stands in for a status where software has ended a descriptor; the device never writes it. */
export const ABORTED = 0xff;

/** Who is told of descriptors that have ended. */
export interface CompletionSink {
  /** The device has refused the interrupt handle of a descriptor. @returns whether it is taken care of, and has not ended */
  refused(slot: number): boolean;
  /** A descriptor has ended; what is behind this must not throw. @param status as in its record, or {@link ABORTED} */
  ended(slot: number, status: number): void;
}

/**
 * The descriptors of a queue that were handed over, in that order, and what has become of them.
 *
 * An interrupt says when to look, not what is so: one may stand for many, and one that is lost is made good by the next. Linux keeps what
 * it has seen (the work list) apart from what has come since (the pending list), and looks at the first one first: one list in the order of
 * arrival is the same.
 * @see Linux 6.12 drivers/dma/idxd/irq.c irq_process_work_list, irq_process_pending_llist
 */
export class Completions {
  readonly #pool: DescriptorPool;
  readonly #sink: CompletionSink;
  readonly #next: Int32Array;
  readonly #prev: Int32Array;
  /** How each that has ended did. */
  readonly #status: Uint8Array;
  #first = NONE;
  #last = NONE;
  #count = 0;
  /** Those that have ended, in the order in which that was found; linked by `#next`. */
  #ended = NONE;
  #lastEnded = NONE;
  #isTelling = false;

  constructor(pool: DescriptorPool, sink: CompletionSink) {
    this.#pool = pool;
    this.#sink = sink;
    this.#next = new Int32Array(pool.size).fill(NONE);
    this.#prev = new Int32Array(pool.size).fill(NONE);
    this.#status = new Uint8Array(pool.size);
  }

  /** Descriptors that have not ended. */
  get count(): number {
    return this.#count;
  }

  /** Before a descriptor is handed over, so that an interrupt finds it. */
  add(slot: number): void {
    this.#prev[slot] = this.#last;
    this.#next[slot] = NONE;
    if (this.#last === NONE) this.#first = slot;
    else this.#next[this.#last] = slot;
    this.#last = slot;
    this.#count++;
  }

  /** The device did not take it after all. */
  delete(slot: number): void {
    const before = this.#prev[slot]!;
    const after = this.#next[slot]!;
    if (before === NONE) this.#first = after;
    else this.#next[before] = after;
    if (after === NONE) this.#last = before;
    else this.#prev[after] = before;
    this.#count--;
  }

  /** The oldest that has not ended, and the one after; {@link NONE} at the end. */
  get first(): number {
    return this.#first;
  }
  after(slot: number): number {
    return this.#next[slot]!;
  }

  /** Looks at all of them, and tells of those that have ended. @returns how many those are */
  reap(): number {
    const pool = this.#pool;
    let count = 0;
    for (let slot = this.#first; slot !== NONE;) {
      const next = this.#next[slot]!;
      if (pool.state[slot] !== SLOT.held) {
        const status = pool.status(slot);
        // The device writes that down, and sends no interrupt.
        const isRefused = status === STATUS.handle && this.#sink.refused(slot);
        if (status !== STATUS.none && !isRefused) {
          this.#end(slot, status);
          count++;
        }
      }
      slot = next;
    }
    this.#tell();
    return count;
  }

  /** Ends those that are to be aborted, or all of them; none of them is with the device any more. */
  abort(onlyDoomed: boolean): void {
    for (let slot = this.#first; slot !== NONE;) {
      const next = this.#next[slot]!;
      if (!onlyDoomed || this.#pool.state[slot] === SLOT.doomed) this.#end(slot, ABORTED);
      slot = next;
    }
    this.#tell();
  }

  #end(slot: number, status: number): void {
    this.delete(slot);
    this.#pool.state[slot] = SLOT.ended;
    this.#status[slot] = status;
    this.#next[slot] = NONE;
    if (this.#ended === NONE) this.#ended = slot;
    else this.#next[this.#lastEnded] = slot;
    this.#lastEnded = slot;
  }

  /** One after the other, whoever looks meanwhile: who is told may submit, look and abort. */
  #tell(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    for (let slot = this.#ended; slot !== NONE; slot = this.#ended) {
      this.#ended = this.#next[slot]!;
      this.#sink.ended(slot, this.#status[slot]!);
    }
    this.#isTelling = false;
  }
}
