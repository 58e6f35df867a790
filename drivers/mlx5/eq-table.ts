import { type CpuMask, Errno, type Irqs, type MaybePromise } from '../../core/index.js';
import { EQE, EVENTS } from '../../hw/regs/nic.js';
import { OPCODES } from '../../hw/regs/nic-commands.js';
import type { VectorLease } from '../lib/vectors/index.js';
import type { Mlx5Caps, Mlx5CqTarget } from './api.js';
import { AsyncEq, CompletionEq, type EqOwner, type EventQueue } from './eq.js';
import type { Events } from './events.js';
import type { IrqTable } from './irq-table.js';
import { UndoStack } from './undo-stack.js';

/** Entries of the queues for commands and for requests of pages. @see Linux 7.2 eq.c MLX5_NUM_CMD_EQE */
const COMMAND_ENTRIES = 32;
const PAGE_ENTRIES = 1;
/** Those that are not for completions. @see Linux 7.2 eq.c MLX5_MAX_ASYNC_EQS */
const ASYNC_EQS = 3;
/** Completion queues of a sub-function, unless the device says. @see Linux 7.2 eq.c MLX5_COMP_EQS_PER_SF */
const COMPLETIONS_PER_SF = 8;
const CQN_MASK = 0xff_ffff;
/**
 * What is let through while the event queue of commands comes and goes. Linux lets through the one or the other, so that a queue that was
 * made and cannot be used is not destroyed.
 */
const EQ_COMMANDS = [OPCODES.CREATE_EQ, OPCODES.DESTROY_EQ];
/** Those that every function has. */
const ASYNC_TYPES: readonly number[] = [
  EVENTS.cqError,
  EVENTS.wqCatastrophic,
  EVENTS.internalError,
  EVENTS.portChange,
  EVENTS.vportChange,
  EVENTS.wqInvalidRequest,
  EVENTS.wqAccess,
  EVENTS.temperature,
  EVENTS.general,
];

/** What the event queues of a function depend on. */
export interface EqTableOptions {
  readonly isSf: boolean;
  readonly caps: Mlx5Caps;
  /** Entries of the queue for what happens, and of each completion queue. */
  readonly eventEqSize: number;
  readonly ioEqSize: number;
  /** Ethernet could be had, and is not wanted: one completion queue is enough. */
  readonly isEthernetOff: boolean;
}

/** @see Linux 7.2 mlx5_core.h mlx5_max_eq_cap_get */
export const maxEqs = ({ maxNumEqs, logMaxEq }: Mlx5Caps): number => (maxNumEqs === 0 ? 1 << logMaxEq : maxNumEqs);

/**
 * How many completion queues a function can have, when Ethernet is on.
 * @see Linux 7.2 eq.c get_num_eqs
 */
export function mostCompletions(irqTable: IrqTable, isSf: boolean, caps: Mlx5Caps): number {
  const most = Math.max(maxEqs(caps) - ASYNC_EQS, 1);
  if (!isSf) return Math.min(irqTable.completionCount, most);
  const wanted = caps.maxNumEqs === 0 ? COMPLETIONS_PER_SF : caps.maxNumEqs;
  return Math.min(irqTable.sfCompletionCount, most, wanted);
}

/**
 * The event queues of a function.
 *
 * ```
 *   control vector      cmd     how commands end, which is polled until there is this one
 *                       async   what happens
 *                       pages   the firmware wants pages, or gives some back
 *   completion vectors  one each, made when somebody first asks for the vector
 * ```
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/eq.c struct mlx5_eq_table
 */
export class EqTable implements AsyncDisposable {
  readonly compCount: number;
  readonly #owner: EqOwner;
  readonly #irqTable: IrqTable;
  readonly #irqs: Irqs;
  readonly #events: Events;
  readonly #options: EqTableOptions;
  readonly #async: AsyncEq[] = [];
  /** By their vectors, while they are being made; then when they are there. */
  readonly #making: (Promise<CompletionEq> | undefined)[] = [];
  readonly #completion: (CompletionEq | undefined)[] = [];
  /** Completion queues by their numbers. */
  readonly #byNumber: (CompletionEq | undefined)[] = [];
  /** All completion queues of the function: who is told that one has failed. */
  readonly #cqs: (Mlx5CqTarget | undefined)[] = [];
  readonly #undo = new UndoStack();
  #isEnding = false;

  constructor(owner: EqOwner, irqTable: IrqTable, irqs: Irqs, events: Events, options: EqTableOptions) {
    this.#owner = owner;
    this.#irqTable = irqTable;
    this.#irqs = irqs;
    this.#events = events;
    this.#options = options;
    this.compCount = options.isEthernetOff ? 1 : mostCompletions(irqTable, options.isSf, options.caps);
  }

  /** Those of the control vector, in the order they were made. */
  get asyncEqs(): readonly EventQueue[] {
    return this.#async;
  }

  /** Completion event queues that are there. */
  get completionEqs(): readonly EventQueue[] {
    return this.#completion.filter((eq) => eq !== undefined);
  }

  /** Makes those of the control vector; from then on events tell how commands end. @see Linux 7.2 eq.c create_async_eqs */
  async start(): Promise<void> {
    const { dev, commands } = this.#owner;
    const { isSf, caps, eventEqSize } = this.#options;
    this.#undo.push(
      this.#events.on(EVENTS.cqError, (event) => {
        this.#cqs[event.read32(EQE.errorCqn) & CQN_MASK]?.failed(event.read8(EQE.errorSyndrome));
      }),
    );
    const lease = this.#undo.push(isSf ? this.#irqTable.requestSfControl(dev) : this.#irqTable.requestControl(dev));
    this.#undo.push(dev.devres.defer('command gate', () => commands.allow(undefined)));
    await commands.allow(EQ_COMMANDS);
    const cmd = await this.#startAsync('cmd', COMMAND_ENTRIES, lease, [EVENTS.command]);
    await this.#useEvents(cmd);
    await commands.allow(undefined);
    await this.#startAsync('async', eventEqSize, lease, asyncTypes(caps));
    if (caps.pageRequestDisable === 0) await this.#startAsync('pages', PAGE_ENTRIES, lease, [EVENTS.pageRequest]);
  }

  async #startAsync(name: string, entries: number, lease: VectorLease, types: readonly number[]): Promise<AsyncEq> {
    const eq = this.#undo.push(new AsyncEq(this.#owner, { name, entries, lease }, this.#events));
    await eq.start(types);
    this.#async.push(eq);
    return eq;
  }

  async #useEvents(cmd: AsyncEq): Promise<void> {
    const { dev, commands } = this.#owner;
    const listening = this.#events.on(EVENTS.command, (event) => commands.completed(event.read32(EQE.slots)));
    const stop = async (): Promise<void> => {
      await commands.allow(EQ_COMMANDS);
      await commands.useEvents(false);
      commands.recover = undefined;
      listening.dispose();
    };
    this.#undo.push(dev.devres.defer('command events', stop));
    commands.recover = () => cmd.poll();
    await commands.useEvents(true);
  }

  /** See `Mlx5Child.compEqn`. */
  async compEqn(vector: number): Promise<number> {
    const { dev } = this.#owner;
    if (!(Number.isInteger(vector) && vector >= 0 && vector < this.compCount)) {
      throw new Errno('EINVAL', `${dev.name}: has no completion vector ${vector}: it has ${this.compCount}`);
    }
    if (this.#isEnding) throw new Errno('ENODEV', `${dev.name}: completion vector ${vector}: the function goes down`);
    const eq = this.#completion[vector] ?? (await (this.#making[vector] ??= this.#start(vector)));
    return eq.eqn;
  }

  /** It is being made until that has ended, well or not: then it can be asked for again. */
  #start(vector: number): Promise<CompletionEq> {
    return this.#make(vector).finally(() => {
      this.#making[vector] = undefined;
    });
  }

  /** @see Linux 7.2 eq.c create_comp_eq */
  async #make(vector: number): Promise<CompletionEq> {
    const { dev } = this.#owner;
    let lease: VectorLease | undefined;
    try {
      lease = this.#options.isSf
        ? this.#irqTable.requestSfCompletion(dev, vector)
        : this.#irqTable.requestCompletion(dev, vector);
      const eq = new CompletionEq(this.#owner, { name: `comp${vector}`, entries: this.#options.ioEqSize, lease });
      await eq.start([]);
      this.#completion[vector] = eq;
      this.#byNumber[eq.eqn] = eq;
      return eq;
    } catch (error) {
      lease?.[Symbol.dispose]();
      throw error;
    }
  }

  /** The event queue of a completion vector. @throws {Errno} ENOENT while there is none */
  eqOf(vector: number): EventQueue {
    const eq = this.#completion[vector];
    if (eq !== undefined) return eq;
    throw new Errno('ENOENT', `${this.#owner.dev.name}: completion vector ${vector} has no event queue: ask for it first`);
  }

  /** See `Mlx5Child.compCpus`. */
  cpusOf(vector: number): CpuMask | undefined {
    return this.#completion[vector]?.lease.affinity;
  }

  has(eqn: number): boolean {
    return this.#byNumber[eqn] !== undefined;
  }

  /** See `Mlx5Child.addCq`. */
  addCq(eqn: number, cqn: number, cq: Mlx5CqTarget): void {
    const eq = this.#need(eqn);
    if (this.#cqs[cqn] !== undefined) throw new Errno('EEXIST', `${this.#owner.dev.name}: cq ${cqn} is known already`);
    eq.set(cqn, cq);
    this.#cqs[cqn] = cq;
  }

  /** See `Mlx5Child.removeCq`. @see Linux 7.2 cq.c mlx5_core_destroy_cq */
  removeCq(eqn: number, cqn: number): MaybePromise<void> {
    const eq = this.#byNumber[eqn];
    if (eq?.has(cqn) !== true) return;
    this.#cqs[cqn] = undefined;
    eq.set(cqn, undefined);
    return this.#irqs.synchronize(eq.lease.virq);
  }

  /** See `Mlx5Child.pollEq`. */
  poll(eqn: number): number {
    return this.#need(eqn).poll();
  }

  /** Handles nothing more; what the device has of it stays: the system is going down. @see Linux 7.2 eq.c mlx5_core_eq_free_irqs */
  detach(): void {
    for (const eq of this.completionEqs) eq.detach();
    for (const eq of this.#async.toReversed()) eq.detach();
  }

  /** Undoes it all: completion queues, then those of the control vector, last first. @see Linux 7.2 eq.c mlx5_eq_table_destroy */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true;
    for (const making of this.#making) await making?.catch(() => {});
    for (const [vector, eq] of this.#completion.entries()) {
      if (eq === undefined) continue;
      this.#byNumber[eq.eqn] = undefined;
      this.#completion[vector] = undefined;
      await eq[Symbol.asyncDispose]();
      eq.lease[Symbol.dispose]();
    }
    await this.#undo.unwind();
    this.#async.length = 0;
  }

  #need(eqn: number): CompletionEq {
    const eq = this.#byNumber[eqn];
    if (eq === undefined) throw new Errno('ENOENT', `${this.#owner.dev.name}: has no completion event queue ${eqn}`);
    return eq;
  }
}

/** What a function wants to hear of. @see Linux 7.2 eq.c gather_async_events_mask */
function asyncTypes({ vhcaState, eswitchManager }: Mlx5Caps): number[] {
  const types = ASYNC_TYPES.slice();
  if (vhcaState === 1) types.push(EVENTS.vhcaState);
  if (eswitchManager === 1) types.push(EVENTS.eswitchFunctions);
  return types;
}
