import { type Clock, type DmaBuffer, Errno, type MaybePromise } from '../../core/index.js';
import * as DSA from '../../hw/regs/dsa.js';

/** No descriptor. */
export const NONE = -1;
/** Words of a descriptor. */
export const WORDS = DSA.DESCRIPTOR_BYTES / 4;
const COMPLETION_WORD = DSA.DESCRIPTOR.completion / 4;

/** What a descriptor is in the middle of. */
export const SLOT = {
  free: 0,
  /** Somebody fills it in. */
  prepared: 1,
  /** The device has it. */
  pending: 2,
  /** It is to be handed to the device when that may be. */
  held: 3,
  /** As `pending` or `held`, and to be aborted. */
  doomed: 4,
  /** It has ended, and nobody was told yet. */
  ended: 5,
} as const;

/** Somebody who waits for a descriptor. */
interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Errno) => void;
  readonly alarm: Disposable;
}

/** How many bytes of memory a pool of so many descriptors needs. */
export const recordBytes = (size: number): number => size * DSA.COMPLETION_BYTES;

/**
 * The descriptors of one queue, as many as it has room for, each with its completion record: words for the portal on this side, records in
 * memory that the device writes. All of it is there from the beginning; taking one and giving it back moves a number.
 * @see Linux 6.12 drivers/dma/idxd/submit.c idxd_alloc_desc; drivers/dma/idxd/device.c idxd_wq_alloc_resources
 */
export class DescriptorPool {
  /** {@link WORDS} of each descriptor. Where its record is, and its address space, are filled in. */
  readonly words: Uint32Array;
  /** One of {@link SLOT} of each. */
  readonly state: Uint8Array;
  readonly #who: string;
  readonly #memory: DmaBuffer;
  readonly #clock: Clock;
  /** The records, where the host shows them. */
  #view: Uint8Array | undefined;
  readonly #free: Int32Array;
  #freeCount: number;
  /** Who came first is first. */
  readonly #waiters = new Set<Waiter>();
  #closed: Errno | undefined = undefined;
  /** What who finds none free is told: made once, as that is part of normal work. */
  readonly exhausted: Errno;

  /**
   * @param memory {@link recordBytes} of it
   * @param pasid of descriptors of a shared queue; 0 for none
   */
  constructor(
    who: string,
    memory: DmaBuffer,
    readonly size: number,
    pasid: number,
    clock: Clock,
  ) {
    this.#who = who;
    this.#memory = memory;
    this.#clock = clock;
    this.#view = memory.view();
    this.words = new Uint32Array(size * WORDS);
    this.state = new Uint8Array(size);
    this.#free = new Int32Array(size);
    this.#freeCount = size;
    for (let slot = 0; slot < size; slot++) {
      const address = memory.address + slot * DSA.COMPLETION_BYTES;
      const at = slot * WORDS;
      this.words[at] = pasid;
      this.words[at + COMPLETION_WORD] = address;
      this.words[at + COMPLETION_WORD + 1] = Math.floor(address / 2 ** 32);
      this.#free[slot] = size - 1 - slot;
    }
    this.exhausted = new Errno('EAGAIN', `${who}: all ${size} descriptors are in use: await ready()`);
  }

  /** Descriptors that are taken. */
  get used(): number {
    return this.size - this.#freeCount;
  }

  /** Takes a descriptor. @returns {@link NONE} when all are in use */
  alloc(): number {
    if (this.#freeCount === 0) return NONE;
    const slot = this.#free[--this.#freeCount]!;
    this.state[slot] = SLOT.prepared;
    return slot;
  }

  /** Gives a descriptor back. */
  free(slot: number): void {
    this.state[slot] = SLOT.free;
    this.#free[this.#freeCount++] = slot;
    if (this.#waiters.size > 0) this.#wake();
  }

  /**
   * Waits until one is free; who came first is woken first.
   * @throws {Errno} ETIMEDOUT when none is within `timeoutUs`; that of {@link close}
   */
  ready(timeoutUs: number): MaybePromise<void> {
    if (this.#closed !== undefined) throw this.#closed;
    if (this.#freeCount > 0) return undefined;
    return new Promise((resolve, reject) => {
      const alarm = this.#clock.alarm(timeoutUs, () => {
        this.#waiters.delete(waiter);
        reject(new Errno('ETIMEDOUT', `${this.#who}: none of ${this.size} descriptors is free within ${timeoutUs} us`));
      });
      const waiter = { resolve, reject, alarm };
      this.#waiters.add(waiter);
    });
  }

  /** Nobody waits any more. */
  close(error: Errno): void {
    this.#closed = error;
    for (const waiter of this.#waiters) {
      this.#end(waiter);
      waiter.reject(error);
    }
  }

  #wake(): void {
    const [first] = this.#waiters;
    this.#end(first!);
    first!.resolve();
  }

  #end(waiter: Waiter): void {
    this.#waiters.delete(waiter);
    waiter.alarm[Symbol.dispose]();
  }

  /** The memory is about to go: no record is looked at any more. */
  end(): void {
    this.#view = undefined;
  }

  /** The status in a record, with the bit for writes; 0 while there is none. */
  status(slot: number): number {
    const view = this.#view;
    const at = slot * DSA.COMPLETION_BYTES;
    return view === undefined ? this.#memory.read32(at) & 0xff : view[at]!;
  }

  /** A word of a record. */
  record(slot: number, word: number): number {
    const view = this.#view;
    const at = slot * DSA.COMPLETION_BYTES + 4 * word;
    if (view === undefined) return this.#memory.read32(at);
    return (view[at]! | (view[at + 1]! << 8) | (view[at + 2]! << 16) | (view[at + 3]! << 24)) >>> 0;
  }

  /** Before a descriptor goes to the device: its record has no status. */
  clear(slot: number): void {
    const view = this.#view;
    const at = slot * DSA.COMPLETION_BYTES;
    if (view === undefined) this.#memory.write32(at, 0);
    else view[at] = 0;
  }
}
