import { Errno, type IrqReturn, type MaybePromise, describeError } from '../../core/index.js';
import * as DSA from '../../hw/regs/dsa.js';
import type { CommandName } from './commands.js';
import { type CompletionSink, Completions } from './completion.js';
import { type CompletionVector, hasCommand } from './completion-vector.js';
import { type DescriptorPool, NONE, SLOT, WORDS } from './descriptor-pool.js';
import { cutOff } from './halt.js';
import { renewHandle } from './revocation.js';
import { type Wq, type WqPath, wqOperand } from './wq.js';

const HANDLE_WORD = DSA.DESCRIPTOR.handle / 4;
const SOURCE_WORD = DSA.DESCRIPTOR.source / 4;
const { completionValid, requestCompletion, requestInterrupt } = DSA.FLAGS;
/** Flags and operation of a drain: clients have none. */
const DRAIN = completionValid | requestCompletion | requestInterrupt | (DSA.OPCODES.drain << 24);
/** How often one descriptor may be refused for its interrupt handle: handles are taken back more than once, but not for ever. */
const MOST_REFUSALS = 16;
/** Pause before a shared queue is asked again that had no room, in microseconds. */
const ROOM_US = 100;

/** Whose descriptors they are. */
export interface PathClient {
  /** A descriptor has ended: give it back. It must not throw. @param status as in its record, or `ABORTED` */
  ended(slot: number, status: number): void;
}

/**
 * The way of descriptors into an enabled queue, and back.
 *
 * ```
 *   prepare ---> pool: 16 words and a record each ---> submit: noted, in order ---> portal
 *      ^  none free: EAGAIN, ready                        |  paused: held              |
 *      |                                                  +<-- handle refused: again   v
 *   client, wait <--- told, one after the other <--- reap: interrupt, status, wait <- record
 * ```
 * A descriptor is noted before it is written to the portal. While the way is paused it is held, and written when that is over; so who
 * submits need not know.
 * @see Linux 6.12 drivers/dma/idxd/submit.c idxd_submit_desc
 */
export class KernelPath implements WqPath, CompletionSink {
  /** What descriptors name their interrupt by. */
  handle = 0;
  readonly completions: Completions;
  /** Set by who opens it. */
  client: PathClient | undefined = undefined;
  /** Of the portal, from the start of BAR 2. */
  readonly #portal: number;
  readonly #isDedicated: boolean;
  readonly #refusals: Uint8Array;
  /** Where in the portal the next descriptor goes. */
  #at = 0;
  #pauses = 0;
  #error: Errno | undefined = undefined;
  #isOpen = true;
  #isClosed = false;
  #terminating: Promise<void> | undefined = undefined;
  #needsHandle = false;
  #isRenewing = false;
  #work: Promise<void> = Promise.resolve();
  readonly #full: Errno;

  constructor(
    readonly wq: Wq,
    readonly pool: DescriptorPool,
    readonly vector: CompletionVector,
  ) {
    this.completions = new Completions(pool, this);
    // The page says which table the handle is of; the limited one leaves room in a shared queue for others.
    this.#portal = wq.index * DSA.PORTAL_STRIDE + DSA.PORTAL_LIMITED + (vector.isIms ? DSA.PORTAL_IMS : 0);
    this.#isDedicated = wq.mode === 'dedicated';
    this.#refusals = new Uint8Array(pool.size);
    this.#full = new Errno('EAGAIN', `${wq.name}: the device has no room for a descriptor: try again later`);
  }

  /** Why there is no way any more; undefined while there is one. */
  get error(): Errno | undefined {
    return this.#error;
  }

  /** Whether a handle that was just requested is the one to go on with. */
  get hasHandle(): boolean {
    return this.#error === undefined && !this.#needsHandle;
  }

  /** Whether the device gives out interrupt handles. */
  get requestsHandles(): boolean {
    return hasCommand(this.wq.idxd, 'requestHandle');
  }

  /**
   * Hands a descriptor over, which was filled in.
   * @throws {Errno} why there is no way: EIO after a halt; EAGAIN when a shared queue has no room. The descriptor is given back then
   */
  submit(slot: number): void {
    const { pool } = this;
    if (this.#error !== undefined) {
      pool.free(slot);
      throw this.#error;
    }
    pool.clear(slot);
    this.#refusals[slot] = 0;
    this.completions.add(slot);
    if (!this.#isOpen) {
      pool.state[slot] = SLOT.held;
      return;
    }
    if (this.#post(slot)) return;
    this.completions.delete(slot);
    pool.free(slot);
    throw this.#full;
  }

  /** The handler, in task context: one interrupt may stand for many descriptors. */
  interrupted(): IrqReturn {
    this.completions.reap();
    // Also when somebody has looked before it came.
    return 'handled';
  }

  /** Descriptors are held from now on, until `resume` was called as often. */
  pause(): void {
    this.#pauses++;
    this.#isOpen = false;
  }

  resume(): void {
    if (--this.#pauses > 0 || this.#error !== undefined) return;
    this.#isOpen = true;
    this.#flush();
  }

  /**
   * Aborts all that was submitted. When it is over, the device touches no memory for it and its client was told; what has ended has.
   * @see Linux 6.12 drivers/dma/idxd/device.c idxd_wq_flush_descs
   */
  terminate(): MaybePromise<void> {
    if (this.completions.count === 0) return this.#terminating;
    // Whoever has ended the way aborts it.
    if (this.#error !== undefined) return this.#work;
    const own = this.#terminate(this.#terminating).finally(() => {
      if (this.#terminating === own) this.#terminating = undefined;
    });
    this.#terminating = own;
    return own;
  }

  /** Waits for `terminate`. */
  synchronize(): MaybePromise<void> {
    return this.#terminating;
  }

  /** The device has taken its handles back: from interrupts too. */
  revoked(): void {
    if (!this.requestsHandles || this.#needsHandle || this.#error !== undefined) return;
    this.#needsHandle = true;
    this.pause();
    if (this.#isRenewing) return;
    this.#isRenewing = true;
    this.#begin(async () => {
      try {
        // They may be taken back again meanwhile.
        while (this.#needsHandle) {
          this.#needsHandle = false;
          await renewHandle(this);
        }
      } finally {
        this.#isRenewing = false;
      }
    });
  }

  /** The device has halted, and has forgotten everything: from interrupts too. */
  halted(): void {
    this.fail(new Errno('EIO', `${this.wq.name}: the device has halted`));
    this.#begin(async () => {
      this.completions.reap();
      this.completions.abort(false);
    });
  }

  /** From now on nothing can be submitted. */
  fail(error: Errno): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#isOpen = false;
    this.pool.close(error);
  }

  /** Lets what was submitted end, aborts what does not, and tells. Nothing is with the device when it is over. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.fail(new Errno('ENODEV', `${this.wq.name}: is unbound`));
    await this.#work;
    await this.#terminating;
    const isDrained = await this.command('drainWq');
    this.completions.reap();
    if (!isDrained && this.completions.count > 0) await this.abort();
    this.completions.abort(false);
    this.pool.end();
  }

  /** Has the device drop what it has. When it is over, it touches no memory for this queue, whether it was willing or not. */
  async abort(): Promise<void> {
    // A device that does not end its drain takes no other command.
    if (this.wq.idxd.commands.isStuck || !(await this.command('abortWq'))) {
      this.fail(new Errno('EIO', `${this.wq.name}: does not abort its work`));
      cutOff(this.wq.idxd);
    }
    this.completions.reap();
  }

  /** A command for this queue. @returns whether the device has done it; why not is in the log */
  async command(name: CommandName): Promise<boolean> {
    const { idxd } = this.wq;
    if (idxd.state !== 'enabled') return false;
    try {
      const { status } = await idxd.commands.run(name, wqOperand(this.wq));
      return status === DSA.ERRORS.none;
    } catch (error) {
      this.wq.log('warn', `${name}: ${describeError(error)}`, 'command_failed');
      return false;
    }
  }

  /** Submits a descriptor that says when all before it have ended, and that nobody waits for; not where there is no room for it. */
  drain(): void {
    const { pool } = this;
    // As every other: a dedicated queue loses what is more than it has room for.
    const slot = pool.alloc();
    if (slot === NONE) return;
    const at = slot * WORDS;
    pool.words[at + 1] = DRAIN;
    pool.words.fill(0, at + SOURCE_WORD, at + WORDS);
    try {
      this.submit(slot);
    } catch (error) {
      this.wq.log('warn', `not drained: ${describeError(error)}`, 'drain_failed');
    }
  }

  /** Whether the device has descriptors that name another handle than the present one. */
  get hasOldHandles(): boolean {
    const { completions, pool } = this;
    for (let slot = completions.first; slot !== NONE; slot = completions.after(slot)) {
      if (pool.state[slot] === SLOT.pending && pool.words[slot * WORDS + HANDLE_WORD] !== this.handle) return true;
    }
    return false;
  }

  /** @internal */
  refused(slot: number): boolean {
    const { pool } = this;
    if (!this.requestsHandles || this.#refusals[slot]! >= MOST_REFUSALS || pool.words[slot * WORDS + 1] === DRAIN) return false;
    // Who does not submit it again aborts it.
    if (pool.state[slot] === SLOT.doomed || this.#error !== undefined) return true;
    this.#refusals[slot]!++;
    pool.clear(slot);
    pool.state[slot] = SLOT.held;
    // It may be the first to tell that handles were taken back.
    if (pool.words[slot * WORDS + HANDLE_WORD] === this.handle) this.revoked();
    if (this.#isOpen) this.#flush();
    return true;
  }

  /** @internal */
  ended(slot: number, status: number): void {
    const { pool, client } = this;
    if (client === undefined || pool.words[slot * WORDS + 1] === DRAIN) pool.free(slot);
    else client.ended(slot, status);
  }

  #post(slot: number): boolean {
    const { words, state } = this.pool;
    const at = slot * WORDS;
    words[at + HANDLE_WORD] = this.handle;
    state[slot] = SLOT.pending;
    return this.#store(words, at);
  }

  /** Writes to the portal, on from where it was written last. @returns false when a shared queue has no room, however often it is asked */
  #store(words: Uint32Array, at: number): boolean {
    const { portals, dev } = this.wq.idxd;
    const offset = this.#portal + this.#at;
    this.#at = (this.#at + DSA.DESCRIPTOR_BYTES) % DSA.PORTAL_BYTES;
    if (this.#isDedicated) {
      portals.movdir64b(offset, words, at);
      return true;
    }
    for (let left = this.wq.enqcmdsRetries; ; left--) {
      if (!portals.enqcmd(offset, words, at)) return true;
      if (left === 0) return false;
      dev.clock.relax();
    }
  }

  /** Hands over what is held, in the order in which it came. */
  #flush(): void {
    const { completions, pool } = this;
    for (let slot = completions.first; slot !== NONE; slot = completions.after(slot)) {
      if (pool.state[slot] !== SLOT.held || this.#post(slot)) continue;
      pool.state[slot] = SLOT.held;
      this.pause();
      this.#begin(async () => {
        await this.wq.idxd.dev.clock.sleep(ROOM_US);
        this.resume();
      });
      return;
    }
  }

  async #terminate(before: Promise<void> | undefined): Promise<void> {
    const { completions, pool } = this;
    for (let slot = completions.first; slot !== NONE; slot = completions.after(slot)) pool.state[slot] = SLOT.doomed;
    this.pause();
    await before;
    await this.abort();
    completions.abort(this.#error === undefined);
    this.resume();
  }

  /** Begins work in task context; the path is not closed before it has ended. */
  #begin(work: () => Promise<void>): void {
    const before = this.#work;
    this.#work = Promise.resolve()
      .then(work)
      .catch((error: unknown) => this.wq.log('err', describeError(error), 'work_failed'))
      .then(() => before);
  }
}
