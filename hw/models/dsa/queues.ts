import * as DSA from '../../regs/dsa.js';
import type { Group } from './engine.js';

/** Words of a descriptor. */
export const WORDS = DSA.DESCRIPTOR_BYTES / 4;
/** No entry. */
export const NONE = -1;

/** The descriptors of all queues; each queue has a run of them, as long as it was configured. Nothing is made per descriptor. */
export class Entries {
  readonly words: Uint32Array;
  /** 1: it came through a portal of the message store. */
  readonly isIms: Uint8Array;
  /** 1: a command waits for it. */
  readonly isMarked: Uint8Array;
  /** 1: a drain that waits until it is the oldest. */
  readonly isParked: Uint8Array;
  /** Order of arrival in a queue. */
  readonly next: Int32Array;
  readonly prev: Int32Array;
  /** Per queue: a stack of entries that are free, and a ring of those that no engine has taken. */
  readonly free: Int32Array;
  readonly waiting: Int32Array;

  constructor(count: number) {
    this.words = new Uint32Array(count * WORDS);
    this.isIms = new Uint8Array(count);
    this.isMarked = new Uint8Array(count);
    this.isParked = new Uint8Array(count);
    this.next = new Int32Array(count);
    this.prev = new Int32Array(count);
    this.free = new Int32Array(count);
    this.waiting = new Int32Array(count);
  }

  opcode(entry: number): number {
    return this.words[entry * WORDS + 1]! >>> 24;
  }
}

/** What a queue was enabled with; its configuration does not change while it is. */
export interface QueueSettings {
  readonly isDedicated: boolean;
  readonly threshold: number;
  readonly priority: number;
  readonly blockOnFault: boolean;
  /** Of a dedicated queue; 0 for none. */
  readonly pasid: number;
  readonly isPrivileged: boolean;
  readonly maxTransfer: number;
  readonly maxBatch: number;
}

const DISABLED: QueueSettings = {
  isDedicated: false,
  threshold: 0,
  priority: 1,
  blockOnFault: false,
  pasid: 0,
  isPrivileged: false,
  maxTransfer: 0,
  maxBatch: 0,
};

/** A work queue. An entry is in it from its acceptance until it has completed. */
export class WorkQueue {
  state: number = DSA.WQ_STATES.disabled;
  settings = DISABLED;
  group: Group | undefined = undefined;
  /** Whether its group has it in the ring of queues with work; and what of its turn is left. */
  isReady = false;
  turn = 0;
  readonly #entries: Entries;
  #base = 0;
  size = 0;
  #freeCount = 0;
  #waitingAt = 0;
  #waitingCount = 0;
  #oldest = NONE;
  #newest = NONE;
  /** A drain that has become the oldest. */
  #unparked = NONE;

  constructor(
    readonly index: number,
    entries: Entries,
  ) {
    this.#entries = entries;
  }

  /** Gives it its run of entries. */
  place(base: number, size: number, group: Group | undefined): void {
    this.#base = base;
    this.size = size;
    this.group = group;
    this.isReady = false;
    this.clear();
  }

  enable(settings: QueueSettings): void {
    this.settings = settings;
    this.state = DSA.WQ_STATES.enabled;
  }

  disable(): void {
    this.state = DSA.WQ_STATES.disabled;
    this.settings = DISABLED;
  }

  /** Descriptors accepted and not completed. */
  get occupancy(): number {
    return this.size - this.#freeCount;
  }
  get isEmpty(): boolean {
    return this.#waitingCount === 0 && this.#unparked === NONE;
  }

  /** Accepts a descriptor: 16 words from `at` on. @returns false when it is full */
  accept(words: Uint32Array, at: number, isIms: boolean): boolean {
    if (this.#freeCount === 0) return false;
    const entries = this.#entries;
    const entry = entries.free[this.#base + --this.#freeCount]!;
    for (let i = 0; i < WORDS; i++) entries.words[entry * WORDS + i] = words[at + i]!;
    entries.isIms[entry] = isIms ? 1 : 0;
    entries.isMarked[entry] = entries.isParked[entry] = 0;
    entries.prev[entry] = this.#newest;
    entries.next[entry] = NONE;
    if (this.#newest === NONE) this.#oldest = entry;
    else entries.next[this.#newest] = entry;
    this.#newest = entry;
    entries.waiting[this.#base + ((this.#waitingAt + this.#waitingCount++) % this.size)] = entry;
    return true;
  }

  /** The next entry for an engine; a drain waits until it is the oldest. @returns {@link NONE} when there is none */
  take(): number {
    const entries = this.#entries;
    if (this.#unparked !== NONE) {
      const entry = this.#unparked;
      this.#unparked = NONE;
      return entry;
    }
    while (this.#waitingCount > 0) {
      const entry = entries.waiting[this.#base + this.#waitingAt]!;
      this.#waitingAt = (this.#waitingAt + 1) % this.size;
      this.#waitingCount--;
      if (entry === this.#oldest || entries.opcode(entry) !== DSA.OPCODES.drain) return entry;
      entries.isParked[entry] = 1;
    }
    return NONE;
  }

  /** An entry has completed, and may be used again. @returns whether a drain can go on now */
  complete(entry: number): boolean {
    const { next, prev, free, isParked } = this.#entries;
    const before = prev[entry]!;
    const after = next[entry]!;
    if (before === NONE) this.#oldest = after;
    else next[before] = after;
    if (after === NONE) this.#newest = before;
    else prev[after] = before;
    free[this.#base + this.#freeCount++] = entry;
    if (this.#oldest === NONE || isParked[this.#oldest] === 0) return false;
    isParked[this.#oldest] = 0;
    this.#unparked = this.#oldest;
    return true;
  }

  /** Forgets all descriptors. */
  clear(): void {
    for (let i = 0; i < this.size; i++) this.#entries.free[this.#base + i] = this.#base + i;
    this.#freeCount = this.size;
    this.#waitingAt = this.#waitingCount = 0;
    this.#oldest = this.#newest = this.#unparked = NONE;
  }

  /**
   * Marks what is in the queue now, for a command that waits for it.
   * @param pasid only what works in this address space; undefined for all
   * @returns how many were marked
   */
  mark(pasid?: number): number {
    const { isMarked, next } = this.#entries;
    let marked = 0;
    for (let entry = this.#oldest; entry !== NONE; entry = next[entry]!) {
      if (pasid !== undefined && this.pasidOf(entry) !== pasid) continue;
      isMarked[entry] = 1;
      marked++;
    }
    return marked;
  }

  /** The address space that an entry works in; 0 for none. */
  pasidOf(entry: number): number {
    return this.settings.isDedicated ? this.settings.pasid : this.#entries.words[entry * WORDS]! & 0xf_ffff;
  }

  /**
   * Forgets what works in an address space, of which no engine has anything any more.
   * @returns whether a drain can go on now
   */
  abort(pasid: number): boolean {
    const { next, waiting } = this.#entries;
    let kept = 0;
    for (let i = 0; i < this.#waitingCount; i++) {
      const entry = waiting[this.#base + ((this.#waitingAt + i) % this.size)]!;
      if (this.pasidOf(entry) !== pasid) waiting[this.#base + ((this.#waitingAt + kept++) % this.size)] = entry;
    }
    this.#waitingCount = kept;
    for (let entry = this.#oldest; entry !== NONE;) {
      const after = next[entry]!;
      if (this.pasidOf(entry) === pasid) {
        // A drain that those before it have let go on, is dropped like them.
        if (this.#unparked === entry) this.#unparked = NONE;
        this.complete(entry);
      }
      entry = after;
    }
    return this.#unparked !== NONE;
  }
}
