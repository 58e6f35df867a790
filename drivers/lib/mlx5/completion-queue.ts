import { type Device, Errno } from '../../../core/index.js';
import * as NIC from '../../../hw/regs/nic.js';
import { OBJECT, OPCODES } from '../../../hw/regs/nic-commands.js';
import { CQC, CQ_CONTEXT, CQ_MODIFY, MODERATION, PAGE_LIST, PASID } from '../../../hw/regs/nic-contexts.js';
import { getWord, setAddress, setWord } from '../../../hw/regs/nic-words.js';
import { destroyCommand } from './destroy-command.js';
import type { DoorbellRecords } from './doorbell-records.js';
import { QueueMemory } from './queue-memory.js';
import type { CqTarget, QueueOwner, UarPage } from './queue-owner.js';
import type { Words } from './words.js';

const { CQE, CQE_INITIAL, CQ_ARM_INITIAL, CQ_RECORD, UAR_CQ_ARM } = NIC;
const CONSUMER_WORD = CQ_RECORD.consumer / 4;
const ARM_WORD = CQ_RECORD.arm / 4;
const CQE_WORDS = CQE.sizeBytes / 4;
/** The last word of an entry: 31:28 opcode, 24 owner, 15:0 counter. */
const LAST_WORD = CQE_WORDS - 1;
const SOLICITED = 1 << 24;
const INDEX_MASK = 0xff_ffff;

/** Who is told of a completion queue's events, in interrupt context. */
export interface CqClient {
  /** There are entries; nothing more is told before the queue is armed. */
  completed(): void;
  /** It has no use any more: `CQ_ERROR_OVERRUN`. */
  failed?(syndrome: number): void;
}

/** What a completion queue is to be. */
export interface CqOptions {
  /** Binary logarithm of its entries. */
  readonly logSize: number;
  /** Number of the event queue that it tells. */
  readonly eqn: number;
  readonly client: CqClient;
  /** Where its doorbell record is. */
  readonly records: DoorbellRecords;
  /** Microseconds and completions until the event; default at once. */
  readonly periodUs?: number;
  readonly maxCount?: number;
  /** Default the function's. */
  readonly uar?: UarPage;
  /** Address space of the queue, with its ring and its record; default that of the function. */
  readonly pasid?: number;
  /** What has come when it is full is dropped, and no error; default false. */
  readonly ignoresOverrun?: boolean;
}

/** A queue in memory where the device writes what it has done. @see Linux 7.2 include/linux/mlx5/cq.h struct mlx5_core_cq */
export class CompletionQueue implements CqTarget {
  readonly words: Words;
  readonly #owner: QueueOwner;
  readonly #memory: QueueMemory;
  readonly #uar: UarPage;
  readonly #client: CqClient;
  readonly #logSize: number;
  readonly #mask: number;
  #cqn = 0;
  #consumer = 0;
  /** Events that were received. */
  #armSn = 0;
  #hasFailed = false;

  /**
   * Makes one. Managed: in the ledger of `dev` it is `cq`.
   * @throws {Errno} ENOENT without such an event queue; ERANGE for moderation that the device cannot count to; what the command gives
   * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/cq.c mlx5_create_cq
   */
  static async create(owner: QueueOwner, dev: Device, options: CqOptions): Promise<CompletionQueue> {
    const { eqn, periodUs = 0, maxCount = 0 } = options;
    if (!owner.hasEq(eqn)) throw new Errno('ENOENT', `${dev.name}: completion queue: there is no event queue ${eqn}`);
    checkModeration(dev, periodUs, maxCount);
    const memory = new QueueMemory(owner, dev, CQE.sizeBytes << options.logSize, options.records);
    const cq = new CompletionQueue(owner, memory, options);
    return dev.devres.acquire(
      'cq',
      () => cq.#create(options),
      (it) => it.#destroy(eqn),
    );
  }

  private constructor(owner: QueueOwner, memory: QueueMemory, { logSize, client, uar = owner.uar }: CqOptions) {
    this.#owner = owner;
    this.#memory = memory;
    this.words = memory.words;
    this.#uar = uar;
    this.#client = client;
    this.#logSize = logSize;
    this.#mask = (1 << logSize) - 1;
    for (let n = 0; n <= this.#mask; n++) this.words.set(n * CQE_WORDS + LAST_WORD, CQE_INITIAL << 24);
    memory.setRecord(ARM_WORD, CQ_ARM_INITIAL);
    memory.setRecord(CONSUMER_WORD, 0);
  }

  get cqn(): number {
    return this.#cqn;
  }

  /** Entries that were taken. */
  get consumer(): number {
    return this.#consumer;
  }

  get armSn(): number {
    return this.#armSn;
  }

  /** Whether it has overrun: it is of no use any more. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** The next entry: the index of its first word in {@link words}; -1 when there is none. */
  peek(): number {
    const at = (this.#consumer & this.#mask) * CQE_WORDS;
    const owner = this.words.get(at + LAST_WORD) >>> 24;
    return ((owner ^ (this.#consumer >>> this.#logSize)) & 1) === 0 ? at : -1;
  }

  /** One of `CQE_OPCODES`. @param at what {@link peek} gave */
  opcode(at: number): number {
    return this.words.get(at + LAST_WORD) >>> 28;
  }

  /** Which entry of the work queue. @param at what {@link peek} gave */
  counter(at: number): number {
    return this.words.get(at + LAST_WORD) & 0xffff;
  }

  /** The next entry is taken. */
  pop(): void {
    this.#consumer++;
  }

  /**
   * Tells the device how far it was read: before anything that could make it write more.
   * @see Linux 7.2 include/linux/mlx5/cq.h mlx5_cq_set_ci
   */
  updateConsumer(): void {
    this.#memory.setRecord(CONSUMER_WORD, this.#consumer & INDEX_MASK);
  }

  /**
   * Asks for an event, once: at the next entry, or now where it is there already.
   * @param solicited of entries that ask for it alone
   * @see Linux 7.2 include/linux/mlx5/cq.h mlx5_cq_arm
   */
  arm(solicited = false): void {
    const word = ((this.#armSn & 3) << 28) | (solicited ? SOLICITED : 0) | (this.#consumer & INDEX_MASK);
    this.#memory.setRecord(ARM_WORD, word);
    this.#uar.write64(UAR_CQ_ARM, word >>> 0, this.#cqn);
  }

  /** Sets when it tells. @throws {Errno} ERANGE; as the command @see Linux 7.2 cq.c mlx5_core_modify_cq_moderation */
  async setModeration(periodUs: number, maxCount: number): Promise<void> {
    checkModeration(this.#memory.memory.dev, periodUs, maxCount);
    const input = new Uint32Array(PAGE_LIST / 4);
    setWord(input, OBJECT, this.#cqn);
    setWord(input, CQ_MODIFY.select, CQ_MODIFY.period | CQ_MODIFY.count);
    setWord(input, CQC.period, periodUs, CQ_CONTEXT);
    setWord(input, CQC.maxCount, maxCount, CQ_CONTEXT);
    await this.#owner.exec(OPCODES.MODIFY_CQ, input);
  }

  /** Of its event queue, in interrupt context. @internal */
  completed(): void {
    this.#armSn++;
    this.#client.completed();
  }

  /** Of the function's event queue, in interrupt context. @internal */
  failed(syndrome: number): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#client.failed?.(syndrome);
  }

  async #create({ logSize, eqn, periodUs = 0, maxCount = 0, pasid, ignoresOverrun = false }: CqOptions): Promise<this> {
    const input = this.#memory.command(PAGE_LIST);
    setWord(input, CQC.overrunIgnore, ignoresOverrun ? 1 : 0, CQ_CONTEXT);
    setWord(input, CQC.logSize, logSize, CQ_CONTEXT);
    setWord(input, CQC.uar, this.#uar.index, CQ_CONTEXT);
    setWord(input, CQC.period, periodUs, CQ_CONTEXT);
    setWord(input, CQC.maxCount, maxCount, CQ_CONTEXT);
    setWord(input, CQC.eqn, eqn, CQ_CONTEXT);
    if (pasid !== undefined) {
      setWord(input, PASID.valid, 1, CQ_CONTEXT + CQC.pasid);
      setWord(input, PASID.pasid, pasid, CQ_CONTEXT + CQC.pasid);
    }
    setAddress(input, CQ_CONTEXT + CQC.record, this.#memory.recordAddress);
    const output = await this.#owner.exec(OPCODES.CREATE_CQ, input);
    this.#cqn = getWord(output, OBJECT);
    try {
      this.#owner.addCq(eqn, this.#cqn, this);
    } catch (error) {
      await this.#command();
      throw error;
    }
    return this;
  }

  /** Nobody is told any more before it goes. @see Linux 7.2 cq.c mlx5_core_destroy_cq */
  async #destroy(eqn: number): Promise<void> {
    await this.#owner.removeCq(eqn, this.#cqn);
    await this.#command();
  }

  #command(): Promise<void> {
    return destroyCommand(this.#owner, OPCODES.DESTROY_CQ, this.#cqn);
  }
}

function checkModeration(dev: Device, periodUs: number, maxCount: number): void {
  const isPeriod = Number.isInteger(periodUs) && periodUs >= 0 && periodUs <= MODERATION.maxPeriodUs;
  if (isPeriod && Number.isInteger(maxCount) && maxCount >= 0 && maxCount <= MODERATION.maxCount) return;
  const limits = `${MODERATION.maxPeriodUs} us and ${MODERATION.maxCount} completions`;
  throw new Errno(
    'ERANGE',
    `${dev.name}: events after ${periodUs} us or ${maxCount} completions: must be integers up to ${limits}`,
  );
}
