import type { Device, Dma, DmaBuffer } from '../../core/index.js';
import { EQE, PAGE_BYTES, UAR_EQ_ARM, UAR_INTR_KICK } from '../../hw/regs/nic.js';
import { EQN, OPCODES } from '../../hw/regs/nic-commands.js';
import { EQC, EQ_CONTEXT, EQ_SPARE, PAGE_LIST, eventBit } from '../../hw/regs/nic-contexts.js';
import { getWord, setAddress, setWord } from '../../hw/regs/nic-words.js';
import type { HandlerHandle, VectorLease } from '../lib/vectors/index.js';
import type { Mlx5CqTarget } from './api.js';
import type { Commands } from './commands.js';
import { EventEntry, type Events } from './events.js';
import { type Held, hold, warnOnly } from './held.js';
import { Words } from '../lib/mlx5/index.js';
import type { Uar } from './uar.js';

const ENTRY_WORDS = EQE.sizeBytes / 4;
const OWNER_WORD = EQE.owner >>> 2;
const CQN_WORD = EQE.cqn >>> 2;
/** The owner byte of all entries at first: not software's in the first round. */
const OWNED_BY_HARDWARE = 1 << 24;
/** Entries that are handled until the device is told how far it is: what is spare in the queue. */
const BUDGET = EQ_SPARE;
const INDEX_MASK = 0xff_ffff;

/** What event queues need of their function. */
export interface EqOwner {
  readonly dev: Device;
  readonly dma: Dma;
  readonly commands: Commands;
  /** By which they are armed. */
  readonly uar: Uar;
}

/** How an event queue is to be. */
export interface EqOptions {
  /** In messages and the ledger. */
  readonly name: string;
  /** Entries that it has at least, beside the spare ones. */
  readonly entries: number;
  readonly lease: VectorLease;
}

/**
 * A queue of events in memory. An entry is software's when its owner bit is the parity of the rounds; the vector of the queue comes once,
 * until the queue is armed with how far software is.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/eq.c
 */
export abstract class EventQueue implements AsyncDisposable {
  readonly name: string;
  readonly logSize: number;
  readonly lease: VectorLease;
  protected readonly memory: Words;
  protected readonly owner: EqOwner;
  readonly #buffer: DmaBuffer;
  readonly #mask: number;
  #held: Held<number> | undefined = undefined;
  #handler: HandlerHandle | undefined = undefined;
  #kicks: Disposable | undefined = undefined;
  /** Entries that were handled, modulo 2^32. */
  #consumer = 0;
  #isRunning = false;

  constructor(owner: EqOwner, { name, entries, lease }: EqOptions) {
    this.owner = owner;
    this.name = name;
    this.lease = lease;
    this.logSize = Math.ceil(Math.log2(entries + EQ_SPARE));
    const size = 1 << this.logSize;
    this.#mask = size - 1;
    this.#buffer = owner.dma.alloc(owner.dev, size * EQE.sizeBytes);
    this.memory = new Words(this.#buffer);
    for (let n = 0; n < size; n++) this.memory.set(n * ENTRY_WORDS + OWNER_WORD, OWNED_BY_HARDWARE);
  }

  /** Its number; -1 while it is not made. */
  get eqn(): number {
    return this.#held?.value ?? -1;
  }

  /** Entries that were handled, modulo 2^32. */
  get consumer(): number {
    return this.#consumer;
  }

  /** Whether the next entry is software's. @see Linux 7.2 lib/eq.h next_eqe_sw */
  get hasEntry(): boolean {
    const word = this.memory.get((this.#consumer & this.#mask) * ENTRY_WORDS + OWNER_WORD);
    return (((word >>> 24) ^ (this.#consumer >>> this.logSize)) & 1) === 0;
  }

  /**
   * Makes it, has it handled and arms it. What fails is undone.
   * @param types of events that come to it; those of completion come where the completion queue says
   * @see Linux 7.2 eq.c create_map_eq, mlx5_eq_enable
   */
  async start(types: readonly number[]): Promise<void> {
    const { dev, uar } = this.owner;
    try {
      this.#held = await hold(
        dev,
        `eq ${this.name}`,
        () => this.#create(types),
        (eqn) => this.#destroy(eqn),
      );
      const { eqn } = this;
      this.#kicks = this.lease.onChanged(() => uar.write32(UAR_INTR_KICK, eqn));
      this.#handler = this.lease.attach(this.run);
      this.#arm();
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Handles it no more: its vector may come and go. The device has it still. */
  detach(): void {
    this.#handler?.[Symbol.dispose]();
    this.#kicks?.[Symbol.dispose]();
  }

  /** Undoes it all; harmless when that was done. Its vector is its maker's. @see Linux 7.2 eq.c destroy_comp_eq */
  async [Symbol.asyncDispose](): Promise<void> {
    this.detach();
    await this.#held?.[Symbol.asyncDispose]();
    this.#buffer[Symbol.dispose]();
  }

  /** The handler of its vector. */
  readonly run = (): void => {
    this.poll();
  };

  /**
   * Handles what is there, and arms the queue: by its interrupt, or by hand when one may have been lost.
   * @returns how many entries
   */
  poll(): number {
    // By hand and by interrupt at once, when somebody who is told lets time pass: the one who is at it goes on.
    if (this.#isRunning) return 0;
    this.#isRunning = true;
    let count = 0;
    try {
      while (count < BUDGET && this.hasEntry) {
        const at = (this.#consumer & this.#mask) * ENTRY_WORDS;
        this.#consumer = (this.#consumer + 1) >>> 0;
        count++;
        this.take(at);
      }
    } finally {
      this.#isRunning = false;
      if (count > 0 || this.armsAlways) this.#arm();
    }
    return count;
  }

  /** Whether it is armed also when there was nothing. */
  protected abstract readonly armsAlways: boolean;

  /** Handles the entry that begins at word `at`. */
  protected abstract take(at: number): void;

  #arm(): void {
    const { eqn } = this;
    if (eqn >= 0) this.owner.uar.write32(UAR_EQ_ARM, ((eqn << 24) | (this.#consumer & INDEX_MASK)) >>> 0);
  }

  async #create(types: readonly number[]): Promise<number> {
    const { commands, uar } = this.owner;
    const { address, sizeBytes } = this.#buffer;
    const pages = sizeBytes / PAGE_BYTES;
    const input = new Uint32Array((PAGE_LIST + 8 * pages) / 4);
    setWord(input, EQC.logSize, this.logSize, EQ_CONTEXT);
    setWord(input, EQC.uar, uar.index, EQ_CONTEXT);
    const { target } = this.lease;
    if (target.kind === 'msix') setWord(input, EQC.intr, target.index, EQ_CONTEXT);
    else {
      setWord(input, EQC.inMemory, 1, EQ_CONTEXT);
      setAddress(input, EQ_CONTEXT + EQC.message, target.address);
    }
    for (const type of types) {
      const { offset, bit } = eventBit(type);
      input[offset / 4] = input[offset / 4]! | (1 << bit);
    }
    for (let n = 0; n < pages; n++) setAddress(input, PAGE_LIST + 8 * n, address + n * PAGE_BYTES);
    return getWord(await commands.exec(OPCODES.CREATE_EQ, input), EQN);
  }

  async #destroy(eqn: number): Promise<void> {
    const input = new Uint32Array(4);
    setWord(input, EQN, eqn);
    await warnOnly(
      this.owner.dev,
      `eq ${this.name}, number ${eqn}, is not destroyed`,
      this.owner.commands.exec(OPCODES.DESTROY_EQ, input),
    );
  }
}

/** An event queue of what happens: listeners are told of its events. @see Linux 7.2 eq.c mlx5_eq_async_int */
export class AsyncEq extends EventQueue {
  protected override readonly armsAlways = true;
  readonly #events: Events;
  readonly #entry: EventEntry;

  constructor(owner: EqOwner, options: EqOptions, events: Events) {
    super(owner, options);
    this.#events = events;
    this.#entry = new EventEntry(this.memory);
  }

  protected override take(at: number): void {
    this.#entry.at = at;
    this.#events.tell(this.#entry);
  }
}

/** An event queue of completions: each is for one completion queue. @see Linux 7.2 eq.c mlx5_eq_comp_int */
export class CompletionEq extends EventQueue {
  /** One without new entries is armed already: with many on a vector, that spares most of the writes. Linux arms always. */
  protected override readonly armsAlways = false;
  /** By their numbers. */
  readonly #cqs: (Mlx5CqTarget | undefined)[] = [];

  has(cqn: number): boolean {
    return this.#cqs[cqn] !== undefined;
  }

  set(cqn: number, cq: Mlx5CqTarget | undefined): void {
    this.#cqs[cqn] = cq;
  }

  protected override take(at: number): void {
    const cqn = this.memory.get(at + CQN_WORD) & INDEX_MASK;
    const cq = this.#cqs[cqn];
    if (cq !== undefined) cq.completed();
    // A queue that is being destroyed.
    else this.owner.dev.log('debug', `completion event for cq ${cqn}, which is not on eq ${this.eqn}`, 'eq_unknown_cq');
  }
}
