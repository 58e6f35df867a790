import { CQE_OPCODES, CQE_SYNDROMES } from '../../regs/nic.js';
import { WQ_STATES } from '../../regs/nic-contexts.js';
import type { CompletionQueue } from './completion-queue.js';
import type { NicFunction } from './function.js';
import type { Ring } from './ring.js';

export const COUNTER_MASK = 0xffff;
const ONES = 0xffff_ffff;
const NONE = -1;

/** How a send or receive queue is made. */
export interface WorkQueueSetup {
  readonly uar: number;
  readonly cq: CompletionQueue;
  /** Binary logarithms of the entries, and of the bytes of one. */
  readonly logSize: number;
  readonly logStride: number;
  readonly ring: Ring;
  /** As the context has it. */
  readonly logPage: number;
  /** Address of its doorbell record. */
  readonly record: number;
  /** Of its ring, its record and its packets; 0: none. */
  readonly pasid: number;
  /** Send queues: the port that packets leave by; -1: the function's own. */
  readonly leavesBy: number;
}

/**
 * What send and receive queues have in common: a ring, how far it is, and three states.
 *
 * Whatever is asked of memory may bring a command or a reset with it; then the `generation` is another one, and what was being done is
 * no longer wanted.
 */
export abstract class WorkQueue {
  readonly fn: NicFunction;
  readonly number: number;
  readonly setup: WorkQueueSetup;
  /** `WQ_STATES`. */
  state: number = WQ_STATES.reset;
  /** The next entry: 16 bits. */
  consumer = 0;
  /** Entries from there on that software has given, as far as that is known. */
  pending = 0;
  generation = 0;
  /** What chooses this queue: with any, it cannot be destroyed. */
  users = 0;
  readonly size: number;
  readonly #recordWord: number;
  readonly #failure: number;

  /**
   * @param recordWord byte offset of its word in the doorbell record
   * @param failure opcode of its completions with an error
   */
  constructor(
    fn: NicFunction,
    number: number,
    setup: WorkQueueSetup,
    recordWord: number,
    failure: typeof CQE_OPCODES.sendError | typeof CQE_OPCODES.receiveError,
  ) {
    this.fn = fn;
    this.number = number;
    this.setup = setup;
    this.size = 2 ** setup.logSize;
    this.#recordWord = setup.record + recordWord;
    this.#failure = failure;
    setup.cq.users++;
  }

  /** It does nothing any more. */
  destroy(): void {
    if (this.state === NONE) return;
    this.state = NONE;
    this.generation++;
    this.setup.cq.users--;
  }

  /** Begins anew, with the first entry of the ring; or works; or completes all that it is given with an error. */
  setState(state: number): void {
    this.generation++;
    this.state = state;
    if (state === WQ_STATES.reset) this.consumer = this.pending = 0;
    this.entered(state);
  }

  /** It has come into a state. */
  protected abstract entered(state: number): void;

  /** Looks how many entries software has given. @returns false when that is not wanted any more, or was an error */
  protected look(): boolean {
    const { generation } = this;
    const word = this.fn.dma.read32(this.#recordWord, this.setup.pasid);
    if (generation !== this.generation) return false;
    const pending = (word - this.consumer) & COUNTER_MASK;
    // A counter has 16 bits: all ones are what a read gives that failed.
    if (word !== ONES && pending <= this.size) {
      this.pending = pending;
      return true;
    }
    this.pending = 0;
    if (this.state === WQ_STATES.ready)
      this.fail(this.consumer, word === ONES ? CQE_SYNDROMES.protection : CQE_SYNDROMES.localQueue);
    return false;
  }

  /** One entry could not be done, and nothing is done any more. */
  protected fail(counter: number, syndrome: number, opcode = 0): void {
    this.state = WQ_STATES.error;
    const generation = ++this.generation;
    this.complain(counter, syndrome, opcode);
    if (generation === this.generation) this.entered(WQ_STATES.error);
  }

  protected complain(counter: number, syndrome: number, opcode = 0): void {
    this.setup.cq.postError(this.#failure, (opcode << 24) | this.number, counter, syndrome);
  }

  protected advance(entries: number): void {
    this.consumer = (this.consumer + entries) & COUNTER_MASK;
    this.pending -= entries;
  }
}
