import type { ClockTimer } from '../../../core/hal/index.js';
import { NO_ADDRESS } from '../../endpoint/index.js';
import * as DSA from '../../regs/dsa.js';
import { check } from './checks.js';
import { deliver } from './completion.js';
import type { DsaDevice } from './device.js';
import { Execution } from './execution.js';
import { Missing, operate } from './operations.js';
import { NONE, WORDS, type WorkQueue } from './queues.js';

const { FLAGS, OPCODES, STATUS } = DSA;
/**
 * An engine works in slices: what it takes on takes this long together, unless one descriptor takes longer or there are no more. All
 * of it is completed when the slice is over. So a moment of time costs one event, however many descriptors it sees.
 */
const SLICE_US = 1;
const SLICE_MAX = 32;

/** Engines, and the queues that they serve: those with more priority get more descriptors in a turn. */
export class Group {
  readonly #ready: WorkQueue[] = [];
  readonly #idle: Engine[] = [];
  #readyAt = 0;
  #readyCount = 0;
  #idleCount = 0;

  add(engine: Engine): void {
    engine.group = this;
    this.#idle[this.#idleCount++] = engine;
  }
  /** Makes room for a queue. */
  addQueue(wq: WorkQueue): void {
    this.#ready.push(wq);
  }

  /** A queue has work. */
  wake(wq: WorkQueue): void {
    if (!wq.isReady) {
      wq.isReady = true;
      wq.turn = wq.settings.priority;
      this.#ready[(this.#readyAt + this.#readyCount++) % this.#ready.length] = wq;
    }
    if (this.#idleCount > 0) this.#idle[--this.#idleCount]!.start();
  }

  /** An engine has nothing to do. */
  rest(engine: Engine): void {
    this.#idle[this.#idleCount++] = engine;
  }

  /** The queue whose turn it is; undefined when none has work. */
  next(): WorkQueue | undefined {
    while (this.#readyCount > 0) {
      const wq = this.#ready[this.#readyAt]!;
      if (!wq.isEmpty && wq.turn-- > 0) return wq;
      this.#readyAt = (this.#readyAt + 1) % this.#ready.length;
      this.#readyCount--;
      wq.isReady = false;
      if (wq.isEmpty) continue;
      wq.isReady = true;
      wq.turn = wq.settings.priority;
      this.#ready[(this.#readyAt + this.#readyCount++) % this.#ready.length] = wq;
    }
    return undefined;
  }
}

/** What the current work takes; and by how much the last time that was set was too long. */
const COST = 0;
const AHEAD = 1;

const FRESH = 0;
const MEMBERS = 1;

/** One engine: it executes descriptors one after the other, batches with all their members. */
export class Engine {
  group: Group | undefined = undefined;
  readonly #device: DsaDevice;
  /** Set while it works on something, or has been told to go on. */
  readonly #timer: ClockTimer;
  /** Microseconds, by {@link COST} and {@link AHEAD}: a fraction that were kept otherwise would be an object each time. */
  readonly #us = new Float64Array(2);
  readonly #taken = new Int32Array(SLICE_MAX);
  readonly #takenFrom: (WorkQueue | undefined)[] = new Array<WorkQueue | undefined>(SLICE_MAX).fill(undefined);
  #count = 0;
  #at = 0;
  #x: Execution;
  /** The batch that it is in, its members and where it is among them. */
  #batch: Execution;
  #list = new Uint8Array(0);
  #words = new Uint32Array(0);
  #view = new DataView(this.#list.buffer);
  #phase = FRESH;
  #member = 0;
  #members = 0;
  #hasFailed = false;
  /** Whether the current descriptor has begun; it has when it waited for a page. */
  #hasBegun = false;
  #isRefused = false;
  readonly #missing = new Missing();

  constructor(device: DsaDevice) {
    this.#device = device;
    this.#timer = device.context.clock.timer(() => this.#run());
    this.#x = new Execution(device.profile, device.context.dma);
    this.#batch = new Execution(device.profile, device.context.dma);
  }

  /** Takes on what there is. */
  start(): void {
    this.#gather();
    if (this.#count > 0) this.#work();
    else this.#rest();
  }

  /** Comes back when what it works on is done: in whole microseconds, and what those are too long is taken off the next work. */
  #work(): void {
    const us = this.#us;
    const leftUs = us[COST]! - us[AHEAD]!;
    const wholeUs = Math.max(0, Math.ceil(leftUs));
    us[AHEAD] = wholeUs - leftUs;
    this.#timer.start(wholeUs);
  }

  #rest(): void {
    this.#us[AHEAD] = 0;
    this.group?.rest(this);
  }

  /** Drops everything; it belongs to no group then. */
  reset(): void {
    this.#timer.cancel();
    this.#us[AHEAD] = 0;
    this.group = undefined;
    this.#takenFrom.fill(undefined);
    this.#count = this.#at = 0;
    this.#cancel();
  }

  /**
   * Drops what it has taken from a queue.
   * @param pasid only what works in this address space; undefined for all
   */
  drop(wq: WorkQueue, pasid?: number): void {
    for (let i = this.#at; i < this.#count; i++) {
      if (this.#takenFrom[i] !== wq || (pasid !== undefined && wq.pasidOf(this.#taken[i]!) !== pasid)) continue;
      this.#takenFrom[i] = undefined;
      if (i !== this.#at) continue;
      // It may be in the middle of it.
      this.#cancel();
      this.#goOn();
    }
  }

  #goOn(): void {
    if (!this.#timer.isPending) this.#timer.start(0);
  }

  #cancel(): void {
    this.#x.isCancelled = this.#batch.isCancelled = true;
    const { profile, context } = this.#device;
    this.#x = new Execution(profile, context.dma);
    this.#batch = new Execution(profile, context.dma);
    this.#phase = FRESH;
    this.#hasBegun = this.#isRefused = false;
  }

  #gather(): void {
    const { entries } = this.#device;
    this.#count = this.#at = 0;
    this.#us[COST] = 0;
    while (this.#us[COST] < SLICE_US && this.#count < SLICE_MAX) {
      const wq = this.group?.next();
      if (wq === undefined) break;
      const entry = wq.take();
      if (entry === NONE) continue;
      this.#taken[this.#count] = entry;
      this.#takenFrom[this.#count++] = wq;
      this.#addCost(entries.words, entry * WORDS);
      // How long it takes is not known before its members are.
      if (entries.opcode(entry) === OPCODES.batch) break;
    }
  }

  #addCost(words: Uint32Array, at: number): void {
    const { descriptorUs, bytesPerUs } = this.#device.profile;
    const opcode = words[at + 1]! >>> 24;
    const transferUs = opcode <= OPCODES.drain ? 0 : words[at + 8]! / bytesPerUs;
    this.#us[COST] = this.#us[COST]! + descriptorUs + transferUs;
  }

  #run(): void {
    const { entries } = this.#device;
    while (this.#at < this.#count) {
      const wq = this.#takenFrom[this.#at];
      if (wq !== undefined) {
        const entry = this.#taken[this.#at]!;
        const x = this.#x;
        const isBatch = entries.opcode(entry) === OPCODES.batch;
        const isDone = isBatch ? this.#runBatch(entry, wq) : this.#runOne(x, entries.words, entry * WORDS, entry, wq);
        // It waits, or was dropped while it was on the bus: whoever did that has told this engine how to go on.
        if (!isDone) return;
        this.#hasBegun = false;
        this.#takenFrom[this.#at] = undefined;
        this.#at++;
        this.#device.completed(wq, entry);
        if (x.isCancelled) return;
      } else {
        this.#at++;
      }
    }
    this.start();
  }

  /** @returns false when it waits, or was cancelled */
  #runOne(x: Execution, words: Uint32Array, at: number, entry: number, wq: WorkQueue, batch?: Execution): boolean {
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      x.begin(words, at, wq, this.#device.entries.isIms[entry] === 1, batch, this.#member);
      x.status = check(this.#device, x);
    }
    if (x.status === STATUS.success) {
      if (x.has(FLAGS.blockOnFault) && !this.#hasPages(x)) return false;
      if (x.status === STATUS.success) operate(x);
    }
    return !x.isCancelled && deliver(this.#device, x);
  }

  /** @returns false when it has to wait for one, or was cancelled; one that was refused is in the status */
  #hasPages(x: Execution): boolean {
    const missing = this.#missing;
    const isRefused = this.#isRefused;
    this.#isRefused = false;
    if (!missing.find(x)) return !x.isCancelled;
    if (isRefused) {
      x.pageFault(missing.address, missing.isWrite);
      x.status = STATUS.pageRequest | (missing.isWrite ? DSA.STATUS_WRITE : 0);
      return true;
    }
    let isAnswered = false;
    this.#device.context.dma.requestPage(missing.address, missing.isWrite, x.pasid === 0 ? undefined : x.pasid, (isThere) => {
      if (isAnswered || x.isCancelled) return;
      isAnswered = true;
      this.#isRefused = !isThere;
      this.#goOn();
    });
    return false;
  }

  #runBatch(entry: number, wq: WorkQueue): boolean {
    const batch = this.#batch;
    if (this.#phase === FRESH) {
      batch.begin(this.#device.entries.words, entry * WORDS, wq, this.#device.entries.isIms[entry] === 1);
      batch.status = check(this.#device, batch);
      if (batch.status !== STATUS.success) return deliver(this.#device, batch);
      this.#fetch(batch);
      if (batch.isCancelled) return false;
      this.#phase = MEMBERS;
      this.#member = 0;
      this.#hasFailed = this.#hasBegun = false;
      this.#work();
      return false;
    }
    const x = this.#x;
    for (; this.#member < this.#members; this.#member++) {
      const isFenced = (this.#words[this.#member * WORDS + 1]! & FLAGS.fence) !== 0;
      if (isFenced && this.#hasFailed) break;
      if (!this.#runOne(x, this.#words, this.#member * WORDS, entry, wq, batch)) return false;
      this.#hasBegun = false;
      if (x.status !== STATUS.success) this.#hasFailed = true;
    }
    batch.bytesDone = this.#member;
    if (batch.status === STATUS.success && this.#hasFailed) batch.status = STATUS.batchFailed;
    this.#phase = FRESH;
    return deliver(this.#device, batch);
  }

  /** Reads the members. */
  #fetch(batch: Execution): void {
    const bytes = batch.size * DSA.DESCRIPTOR_BYTES;
    if (this.#list.length < bytes) {
      this.#list = new Uint8Array(bytes);
      this.#words = new Uint32Array(this.#list.buffer);
      this.#view = new DataView(this.#list.buffer);
    }
    const address = batch.place(DSA.DESCRIPTOR.source, false);
    const loaded = address === NO_ADDRESS ? 0 : batch.load(address, this.#list, 0, bytes);
    if (loaded < bytes) batch.status = STATUS.batchPageFault;
    this.#members = Math.floor(loaded / DSA.DESCRIPTOR_BYTES);
    // The words are where the bytes are: they only get the order that this machine has its bytes in.
    for (let i = 0; i < this.#members * WORDS; i++) this.#words[i] = this.#view.getUint32(4 * i, true);
    this.#us[COST] = 0;
    for (let i = 0; i < this.#members; i++) this.#addCost(this.#words, i * WORDS);
  }
}
