import { type Device, Errno } from '../../../core/index.js';
import { OBJECT } from '../../../hw/regs/nic-commands.js';
import { PASID, WQC, WQ_CONTEXT, WQ_MODIFY, WQ_PAGES, WQ_STATES } from '../../../hw/regs/nic-contexts.js';
import { getWord, setAddress, setWord } from '../../../hw/regs/nic-words.js';
import type { CompletionQueue } from './completion-queue.js';
import { destroyCommand } from './destroy-command.js';
import type { DoorbellRecords } from './doorbell-records.js';
import { QueueMemory } from './queue-memory.js';
import type { QueueOwner, UarPage } from './queue-owner.js';
import type { Words } from './words.js';

/** What a work queue is to be. */
export interface WqOptions {
  /** Where its completions go. */
  readonly cq: CompletionQueue;
  /** Binary logarithm of its entries. */
  readonly logSize: number;
  /** Where its doorbell record is. */
  readonly records: DoorbellRecords;
  /** Default the function's. */
  readonly uar?: UarPage;
  /** Address space of the queue, its ring, its record and what it moves; default that of the function. */
  readonly pasid?: number;
}

/** Commands of one kind of work queue. */
export interface WqKind {
  readonly name: 'sq' | 'rq';
  readonly create: number;
  readonly modify: number;
  readonly destroy: number;
  /** Binary logarithm of the bytes of an entry. */
  readonly logStride: number;
}

type State = keyof typeof WQ_STATES;
/** A ring whose entries are reused in order. */
const CYCLIC = 1;

/** What send and receive queues have in common: a ring of entries, a doorbell record and a state. */
export abstract class WorkQueue {
  readonly words: Words;
  /** Entries less 1. */
  readonly mask: number;
  readonly size: number;
  protected readonly owner: QueueOwner;
  protected readonly uar: UarPage;
  protected readonly memory: QueueMemory;
  readonly #kind: WqKind;
  #number = 0;
  #state: State = 'reset';

  protected constructor(owner: QueueOwner, dev: Device, kind: WqKind, options: WqOptions) {
    this.owner = owner;
    this.uar = options.uar ?? owner.uar;
    this.#kind = kind;
    this.size = 1 << options.logSize;
    this.mask = this.size - 1;
    this.memory = new QueueMemory(owner, dev, this.size << kind.logStride, options.records);
    this.words = this.memory.words;
  }

  /** The number by which the device has it. */
  get number(): number {
    return this.#number;
  }

  /** As software has set it. */
  get state(): State {
    return this.#state;
  }

  /** It takes work. @throws {Errno} as the command */
  ready(): Promise<void> {
    return this.modify('ready');
  }

  /** It takes no work; the device gives up what is under way and completes it as flushed. @throws {Errno} as the command */
  fail(): Promise<void> {
    return this.modify('error');
  }

  /** @throws {Errno} as the command @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/transobj.c mlx5_core_modify_sq */
  async modify(state: State, from: State = this.#state): Promise<void> {
    const input = new Uint32Array((WQ_CONTEXT + WQC.sizeBytes) / 4);
    setWord(input, OBJECT, this.#number);
    setWord(input, WQ_MODIFY.state, WQ_STATES[from]);
    setWord(input, WQC.state, WQ_STATES[state], WQ_CONTEXT);
    await this.owner.exec(this.#kind.modify, input);
    this.#state = state;
  }

  /** Managed: in the ledger of `dev` it is `sq` or `rq`. @internal */
  protected async make(dev: Device, { cq, logSize, pasid }: WqOptions, more: (input: Uint32Array) => void): Promise<this> {
    await dev.devres.acquire(
      this.#kind.name,
      async () => {
        const input = this.memory.command(WQ_CONTEXT + WQ_PAGES);
        setWord(input, WQC.state, WQ_STATES.reset, WQ_CONTEXT);
        setWord(input, WQC.cqn, cq.cqn, WQ_CONTEXT);
        setWord(input, WQC.type, CYCLIC, WQ_CONTEXT);
        setWord(input, WQC.uar, this.uar.index, WQ_CONTEXT);
        setWord(input, WQC.logStride, this.#kind.logStride, WQ_CONTEXT);
        setWord(input, WQC.logSize, logSize, WQ_CONTEXT);
        setAddress(input, WQ_CONTEXT + WQC.record, this.memory.recordAddress);
        if (pasid !== undefined) {
          setWord(input, PASID.valid, 1, WQ_CONTEXT + WQC.pasid);
          setWord(input, PASID.pasid, pasid, WQ_CONTEXT + WQC.pasid);
        }
        more(input);
        const output = await this.owner.exec(this.#kind.create, input);
        this.#number = getWord(output, OBJECT);
      },
      () => destroyCommand(this.owner, this.#kind.destroy, this.#number),
    );
    return this;
  }
}

/** @throws {Errno} ERANGE for what is no binary logarithm of a size */
export function checkLogSize(dev: Device, what: string, logSize: number, min: number, max: number): void {
  if (Number.isInteger(logSize) && logSize >= min && logSize <= max) return;
  throw new Errno('ERANGE', `${dev.name}: ${what} of 2^${logSize} entries: must be 2^${min} to 2^${max}`);
}
