import {
  Completion,
  DMA_PREP,
  DMA_WAIT_US,
  type Device,
  type DmaCapabilities,
  type DmaChannel,
  type DmaClient,
  type DmaOperation,
  type DmaResult,
  type DmaStatus,
  Errno,
  type MaybePromise,
  describeError,
} from '../../core/index.js';
import * as DSA from '../../hw/regs/dsa.js';
import { NONE, SLOT, WORDS } from './descriptor-pool.js';
import { Outcome, Outcomes } from './outcomes.js';
import type { KernelPath, PathClient } from './submit.js';

const { DESCRIPTOR, FLAGS, OPCODES } = DSA;
const OPERATIONS: Readonly<Record<DmaOperation, number>> = {
  memcpy: OPCODES.move,
  fill: OPCODES.fill,
  compare: OPCODES.compare,
  'compare-pattern': OPCODES.comparePattern,
  dualcast: OPCODES.dualcast,
  crc: OPCODES.crc,
  'copy-crc': OPCODES.copyCrc,
  'create-delta': OPCODES.createDelta,
  'apply-delta': OPCODES.applyDelta,
  interrupt: OPCODES.noop,
};
/** Words of a descriptor. */
const SOURCE = DESCRIPTOR.source / 4;
const DESTINATION = DESCRIPTOR.destination / 4;
const SIZE = DESCRIPTOR.size / 4;
/** The first of an operation's own. */
const OWN = DESCRIPTOR.expected / 4;
const MAX_DELTA = DESCRIPTOR.maxDeltaSize / 4;
const HIGH = 2 ** 32;
/** A transfer is its slot, and which of those that the slot has served. */
const SLOT_BITS = 16;
const SLOT_MASK = 2 ** SLOT_BITS - 1;
const TURN_MASK = 0x7fff;

/** Somebody who waits for a transfer. */
interface Waiter {
  readonly done: Completion;
  readonly outcome: Outcome;
}

/** A queue as a channel: descriptors are filled in here, and what comes of them is told to clients. */
export class IdxdDmaChannel implements DmaChannel, PathClient {
  readonly #path: KernelPath;
  readonly #capabilities: DmaCapabilities;
  /** Bit n of the 256: operation n is allowed. */
  readonly #operations: Uint32Array;
  readonly #maxBytes: number;
  readonly #turns: Uint16Array;
  /** By slot: of the transfer that is under way. */
  readonly #cookies: Int32Array;
  readonly #clients: (DmaClient | undefined)[];
  readonly #outcomes: Outcomes;
  readonly #told = new Outcome();
  readonly #waiters = new Map<number, Waiter[]>();

  constructor(path: KernelPath) {
    const { wq, pool } = path;
    const allowed = wq.opConfig.map((word, i) => word & wq.idxd.caps.operations[i]!);
    const operations = (Object.keys(OPERATIONS) as DmaOperation[]).filter((name) => hasBit(allowed, OPERATIONS[name]));
    this.#path = path;
    this.#operations = allowed;
    this.#maxBytes = wq.maxTransferBytes;
    this.#capabilities = { operations: new Set(operations), maxTransferBytes: this.#maxBytes, depth: pool.size };
    this.#turns = new Uint16Array(pool.size);
    this.#cookies = new Int32Array(pool.size);
    this.#clients = new Array<DmaClient | undefined>(pool.size).fill(undefined);
    this.#outcomes = new Outcomes(wq.name, pool.size);
    path.client = this;
  }

  capabilities(): DmaCapabilities {
    return this.#capabilities;
  }

  device(): Device {
    return this.#path.wq;
  }

  prepareMemcpy(destination: number, source: number, sizeBytes: number, flags: number = DMA_PREP.INTERRUPT): number {
    this.#check(OPCODES.move, sizeBytes, source, destination, 0);
    const slot = this.#take(OPCODES.move, sizeBytes, flags);
    this.#put(slot, SOURCE, source);
    this.#put(slot, DESTINATION, destination);
    return this.#transfer(slot);
  }

  prepareFill(
    destination: number,
    patternLo: number,
    patternHi: number,
    sizeBytes: number,
    flags: number = DMA_PREP.INTERRUPT,
  ): number {
    this.#check(OPCODES.fill, sizeBytes, destination, 0, 0);
    const slot = this.#take(OPCODES.fill, sizeBytes, flags);
    this.#putPattern(slot, SOURCE, patternLo, patternHi);
    this.#put(slot, DESTINATION, destination);
    return this.#transfer(slot);
  }

  prepareCompare(source: number, other: number, sizeBytes: number, flags: number = DMA_PREP.INTERRUPT): number {
    this.#check(OPCODES.compare, sizeBytes, source, other, 0);
    const slot = this.#take(OPCODES.compare, sizeBytes, flags);
    this.#put(slot, SOURCE, source);
    this.#put(slot, DESTINATION, other);
    return this.#transfer(slot);
  }

  prepareComparePattern(
    source: number,
    patternLo: number,
    patternHi: number,
    sizeBytes: number,
    flags: number = DMA_PREP.INTERRUPT,
  ): number {
    this.#check(OPCODES.comparePattern, sizeBytes, source, 0, 0);
    const slot = this.#take(OPCODES.comparePattern, sizeBytes, flags);
    this.#put(slot, SOURCE, source);
    this.#putPattern(slot, DESTINATION, patternLo, patternHi);
    return this.#transfer(slot);
  }

  prepareDualcast(
    destination: number,
    other: number,
    source: number,
    sizeBytes: number,
    flags: number = DMA_PREP.INTERRUPT,
  ): number {
    this.#check(OPCODES.dualcast, sizeBytes, source, destination, other);
    const slot = this.#take(OPCODES.dualcast, sizeBytes, flags);
    this.#put(slot, SOURCE, source);
    this.#put(slot, DESTINATION, destination);
    this.#put(slot, OWN, other);
    return this.#transfer(slot);
  }

  prepareCrc(source: number, sizeBytes: number, seed: number, flags: number = DMA_PREP.INTERRUPT): number {
    this.#check(OPCODES.crc, sizeBytes, source, 0, 0);
    const slot = this.#take(OPCODES.crc, sizeBytes, flags);
    this.#put(slot, SOURCE, source);
    this.#path.pool.words[slot * WORDS + OWN] = seed;
    return this.#transfer(slot);
  }

  prepareCopyCrc(
    destination: number,
    source: number,
    sizeBytes: number,
    seed: number,
    flags: number = DMA_PREP.INTERRUPT,
  ): number {
    this.#check(OPCODES.copyCrc, sizeBytes, source, destination, 0);
    const slot = this.#take(OPCODES.copyCrc, sizeBytes, flags);
    this.#put(slot, SOURCE, source);
    this.#put(slot, DESTINATION, destination);
    this.#path.pool.words[slot * WORDS + OWN] = seed;
    return this.#transfer(slot);
  }

  prepareCreateDelta(
    source: number,
    other: number,
    sizeBytes: number,
    record: number,
    recordBytes: number,
    flags: number = DMA_PREP.INTERRUPT,
  ): number {
    this.#check(OPCODES.createDelta, sizeBytes, source, other, record);
    const slot = this.#take(OPCODES.createDelta, sizeBytes, flags);
    this.#put(slot, SOURCE, source);
    this.#put(slot, DESTINATION, other);
    this.#put(slot, OWN, record);
    this.#path.pool.words[slot * WORDS + MAX_DELTA] = recordBytes;
    return this.#transfer(slot);
  }

  prepareApplyDelta(
    destination: number,
    sizeBytes: number,
    record: number,
    recordBytes: number,
    flags: number = DMA_PREP.INTERRUPT,
  ): number {
    this.#check(OPCODES.applyDelta, sizeBytes, record, destination, 0);
    const slot = this.#take(OPCODES.applyDelta, sizeBytes, flags);
    this.#put(slot, SOURCE, record);
    this.#put(slot, DESTINATION, destination);
    this.#path.pool.words[slot * WORDS + OWN] = recordBytes;
    return this.#transfer(slot);
  }

  prepareInterrupt(flags: number = DMA_PREP.INTERRUPT): number {
    // It has no length that could be wrong.
    this.#check(OPCODES.noop, 1, 0, 0, 0);
    const slot = this.#take(OPCODES.noop, 0, flags);
    this.#put(slot, SOURCE, 0);
    this.#put(slot, DESTINATION, 0);
    return this.#transfer(slot);
  }

  submit(transfer: number, client?: DmaClient): number {
    const slot = this.#slotOf(transfer);
    this.#path.submit(slot);
    const cookie = this.#outcomes.begin();
    this.#cookies[slot] = cookie;
    this.#clients[slot] = client;
    return cookie;
  }

  discard(transfer: number): void {
    this.#path.pool.free(this.#slotOf(transfer));
  }

  /** What is submitted goes to the device at once. @see Linux 6.12 drivers/dma/idxd/dma.c idxd_dma_issue_pending */
  issuePending(): void {}

  ready(timeoutUs: number = DMA_WAIT_US): MaybePromise<void> {
    return this.#path.pool.ready(timeoutUs);
  }

  status(cookie: number): DmaStatus {
    this.#path.completions.reap();
    return this.#outcomes.status(cookie);
  }

  result(cookie: number): DmaResult {
    const outcome = new Outcome();
    this.#outcomes.tell(cookie, outcome);
    return outcome;
  }

  async wait(cookie: number, timeoutUs: number = DMA_WAIT_US): Promise<DmaResult> {
    const outcome = new Outcome();
    this.#outcomes.tell(cookie, outcome);
    if (outcome.status === 'in-progress') await this.#ended(cookie, outcome, timeoutUs);
    if (outcome.error !== undefined) throw outcome.error;
    return outcome;
  }

  terminate(): MaybePromise<void> {
    return this.#path.terminate();
  }

  synchronize(): MaybePromise<void> {
    return this.#path.synchronize();
  }

  /** See {@link KernelPath.close}. @internal */
  close(): Promise<void> {
    return this.#path.close();
  }

  /** @internal */
  ended(slot: number, status: number): void {
    const { pool } = this.#path;
    const cookie = this.#cookies[slot]!;
    const client = this.#clients[slot];
    this.#clients[slot] = undefined;
    this.#outcomes.end(cookie, status, pool, slot);
    pool.free(slot);
    if (this.#waiters.size > 0) this.#wake(cookie);
    if (client === undefined) return;
    this.#outcomes.tell(cookie, this.#told);
    try {
      client.transferred(this.#told);
    } catch (error) {
      const { wq } = this.#path;
      const text = `client of transfer ${cookie} threw: ${describeError(error)}`;
      wq.log('err', text, 'callback_threw');
      wq.core?.report('callback-threw', wq, text);
    }
  }

  /** Waits, and looks once more when nobody has told it: an interrupt may have been lost. */
  async #ended(cookie: number, outcome: Outcome, timeoutUs: number): Promise<void> {
    const { wq, completions } = this.#path;
    const waiter = { done: new Completion(wq.idxd.dev.clock, `${wq.name}: transfer ${cookie}`), outcome };
    const waiters = this.#waiters.get(cookie) ?? [];
    this.#waiters.set(cookie, waiters);
    waiters.push(waiter);
    try {
      await waiter.done.wait(timeoutUs);
    } catch (error) {
      completions.reap();
      if (outcome.status !== 'in-progress') return;
      waiters.splice(waiters.indexOf(waiter), 1);
      if (waiters.length === 0) this.#waiters.delete(cookie);
      throw error;
    }
  }

  #wake(cookie: number): void {
    const waiters = this.#waiters.get(cookie);
    if (waiters === undefined) return;
    this.#waiters.delete(cookie);
    for (const { done, outcome } of waiters) {
      this.#outcomes.tell(cookie, outcome);
      done.complete();
    }
  }

  /** Before a descriptor is taken, so that there is nothing to give back. */
  #check(opcode: number, sizeBytes: number, a: number, b: number, c: number): void {
    if (!hasBit(this.#operations, opcode)) {
      const names = [...this.#capabilities.operations].join(', ');
      throw new Errno('EOPNOTSUPP', `${this.#path.wq.name}: operation 0x${opcode.toString(16)}: it has ${names}`);
    }
    if (!(Number.isInteger(sizeBytes) && sizeBytes > 0 && sizeBytes <= this.#maxBytes)) {
      throw new Errno('ERANGE', `${this.#path.wq.name}: ${sizeBytes} bytes: must be an integer of 1 to ${this.#maxBytes}`);
    }
    if (isAddress(a) && isAddress(b) && isAddress(c)) return;
    throw new Errno('ERANGE', `${this.#path.wq.name}: addresses ${a}, ${b}, ${c}: must be integers from 0 up to 2^53`);
  }

  /** Takes a descriptor, with nothing in it that the operation may not have. */
  #take(opcode: number, sizeBytes: number, flags: number): number {
    const { pool, error } = this.#path;
    if (error !== undefined) throw error;
    const slot = pool.alloc();
    if (slot === NONE) throw pool.exhausted;
    const { words } = pool;
    const at = slot * WORDS;
    const interrupt = (flags & DMA_PREP.INTERRUPT) === 0 ? 0 : FLAGS.requestInterrupt;
    words[at + 1] = FLAGS.completionValid | FLAGS.requestCompletion | interrupt | (opcode << 24);
    words[at + SIZE] = sizeBytes;
    for (let i = at + OWN; i < at + WORDS; i++) words[i] = 0;
    this.#turns[slot] = (this.#turns[slot]! + 1) & TURN_MASK;
    return slot;
  }

  #transfer(slot: number): number {
    return (this.#turns[slot]! << SLOT_BITS) | slot;
  }

  #slotOf(transfer: number): number {
    const slot = transfer & SLOT_MASK;
    const isPrepared = this.#path.pool.state[slot] === SLOT.prepared;
    if (isPrepared && transfer === this.#transfer(slot)) return slot;
    throw new Errno('EINVAL', `${this.#path.wq.name}: transfer ${transfer}: is not prepared, or no more`);
  }

  #put(slot: number, word: number, address: number): void {
    const { words } = this.#path.pool;
    const at = slot * WORDS + word;
    words[at] = address;
    words[at + 1] = address / HIGH;
  }

  #putPattern(slot: number, word: number, lo: number, hi: number): void {
    const { words } = this.#path.pool;
    words[slot * WORDS + word] = lo;
    words[slot * WORDS + word + 1] = hi;
  }
}

const hasBit = (words: Uint32Array, bit: number): boolean => ((words[bit >>> 5]! >>> (bit & 31)) & 1) === 1;

const isAddress = (n: number): boolean => n >= 0 && n <= Number.MAX_SAFE_INTEGER && Math.floor(n) === n;
