import { PCI } from '../../../core/hal/index.js';
import type { Model, PciModelContext, ResetKind } from '../../endpoint/index.js';
import * as DSA from '../../regs/dsa.js';
import { Commands } from './commands.js';
import { Membership, NO_GROUP, checkQueue, settingsOf } from './enabling.js';
import { Engine, Group } from './engine.js';
import { Errors } from './errors.js';
import type { Execution } from './execution.js';
import { CAUSE_HALT, Interrupts } from './interrupts.js';
import { Portals } from './portals.js';
import { type Profile, writableOf } from './profile.js';
import { Entries, WorkQueue } from './queues.js';
import { Registers } from './registers.js';
import { type TableLocks, Tables } from './tables.js';

const { ERRORS, RESETS, STATES, WQ_STATES } = DSA;
const USER_INTERRUPTS = 1 << DSA.GENCFG.fields.userInterrupts.lsb;
const EVL_ENABLE = 1 << DSA.GENCFG.fields.evlEnable.lsb;
const GENCFG_WRITABLE = writableOf(DSA.GENCFG);
/** How much each reset of a function is worth to a device that has halted. */
const RESET_DEPTH: Readonly<Record<ResetKind, number>> = { function: RESETS.flr, power: RESETS.flr, bus: RESETS.warm };

/** What a device may need before it works again: named as GENSTATUS has them. */
export type ResetNeeded = keyof typeof RESETS;

/**
 * One accelerator. Beside its two BARs it has a side for tests and for who sits at its pins: {@link halt}, {@link revokeHandles} and
 * the two instructions of {@link portals}.
 */
export class DsaDevice implements Model, TableLocks {
  readonly regions;
  readonly tables: Tables;
  readonly interrupts: Interrupts;
  readonly errors: Errors;
  readonly entries: Entries;
  readonly queues: readonly WorkQueue[];
  readonly portals: Portals;
  readonly commands: Commands;
  /** GENSTATUS. */
  state: number = STATES.disabled;
  resetNeeded: number = RESETS.software;
  /** GENCFG. */
  config = 0;
  readonly #engines: readonly Engine[];
  #isMaster = false;

  constructor(
    readonly profile: Profile,
    readonly context: PciModelContext,
  ) {
    this.entries = new Entries(profile.totalSize);
    this.queues = Array.from({ length: profile.workQueues }, (_, index) => new WorkQueue(index, this.entries));
    this.tables = new Tables(profile, this);
    this.interrupts = new Interrupts(profile, this.tables, context.irq);
    this.errors = new Errors(profile, context.dma, context.log, this.interrupts);
    this.portals = new Portals(this);
    this.commands = new Commands(this);
    this.#engines = Array.from({ length: profile.engines }, () => new Engine(this));
    this.regions = { [DSA.REGISTERS_BAR]: new Registers(this), [DSA.PORTALS_BAR]: this.portals };
    context.endpoint.space.onWrite(PCI.COMMAND.offset, 2, () => this.#masterChanged());
  }

  reset(kind: ResetKind): void {
    const isHealed = this.state !== STATES.halted || RESET_DEPTH[kind] >= this.resetNeeded;
    this.#isMaster = false;
    this.commands.reset();
    this.interrupts.slots.reset();
    this.#clear();
    if (!isHealed) this.state = STATES.halted;
    else this.resetNeeded = RESETS.software;
  }

  /** A hardware error: all work is lost, and nothing goes on before a reset. */
  halt(needed: ResetNeeded = 'software'): void {
    this.#stop();
    for (const wq of this.queues) this.disableQueue(wq);
    this.state = STATES.halted;
    this.resetNeeded = RESETS[needed];
    this.commands.fail();
    this.interrupts.raiseIf(1 << DSA.GENCTRL.fields.halt.lsb, CAUSE_HALT);
  }

  /** Takes back all interrupt handles, as when a virtual device has been moved. */
  revokeHandles(): void {
    this.interrupts.revoke();
  }

  get isDisabled(): boolean {
    return this.state === STATES.disabled || this.state === STATES.halted;
  }
  isQueueDisabled(wq: number): boolean {
    return this.queues[wq]!.state === WQ_STATES.disabled;
  }
  get allowsUserInterrupts(): boolean {
    return (this.config & USER_INTERRUPTS) !== 0;
  }

  writeConfig(value: number, mask: number): void {
    if (!this.isDisabled) return;
    const writable = mask & (this.profile.eventBytes === 0 ? GENCFG_WRITABLE & ~EVL_ENABLE : GENCFG_WRITABLE);
    this.config = (this.config & ~writable) | (value & writable);
    this.errors.setLogging((this.config & EVL_ENABLE) !== 0);
  }

  /** A descriptor by a posted write: it is lost where it is not accepted. */
  post(index: number, isIms: boolean, words: Uint32Array, at: number): void {
    const wq = this.queues[index]!;
    if (wq.state !== WQ_STATES.enabled || !wq.settings.isDedicated) {
      this.context.log.guestError(`descriptor for queue ${index}, which is no dedicated queue that is enabled: lost`);
    } else if (wq.accept(words, at, isIms)) {
      wq.group?.wake(wq);
    } else {
      this.context.log.guestError(`descriptor for queue ${index}, which is full at ${wq.size}: lost`);
    }
  }

  /** A descriptor by a write that is answered. @returns whether it has to be tried again */
  enqueue(index: number, isIms: boolean, isLimited: boolean, words: Uint32Array, at: number): boolean {
    const wq = this.queues[index]!;
    const { isDedicated, threshold } = wq.settings;
    if (wq.state !== WQ_STATES.enabled || isDedicated) return true;
    if ((words[at]! & 0xf_ffff) === 0) {
      this.context.log.guestError(`descriptor for queue ${index}, which is shared, without a PASID: lost`);
      return false;
    }
    if ((isLimited && wq.occupancy >= threshold) || !wq.accept(words, at, isIms)) return true;
    wq.group?.wake(wq);
    return false;
  }

  /** A descriptor is done with, and its completion told. */
  completed(wq: WorkQueue, entry: number): void {
    const isMarked = this.entries.isMarked[entry] === 1;
    if (wq.complete(entry)) wq.group?.wake(wq);
    if (isMarked) this.commands.markedDone();
  }

  /** The message or slot that a descriptor may use for its interrupt; -1 when none. */
  messageFor(x: Execution): number {
    if (!x.isPrivileged && !this.allowsUserInterrupts) return -1;
    const index = this.interrupts.indexOf(x.handle, x.isIms);
    return index >= 0 && this.interrupts.permits(index, x.isIms, x.pasid, x.isPrivileged) ? index : -1;
  }

  /** @returns an error of the command */
  enable(): number {
    if (this.state === STATES.halted) return ERRORS.hardware;
    if (this.state !== STATES.disabled) return ERRORS.deviceNotDisabled;
    if (!this.context.endpoint.busMaster) return ERRORS.busMaster;
    const members = new Membership(this.profile, this.tables);
    if (members.error !== ERRORS.none) return members.error;
    const groups = Array.from({ length: this.profile.groups }, () => new Group());
    for (const [i, engine] of this.#engines.entries()) groups[members.engines[i] ?? NO_GROUP]?.add(engine);
    let base = 0;
    for (const wq of this.queues) {
      const size = this.tables.queueWord(wq.index, 0);
      const group = groups[members.queues[wq.index] ?? NO_GROUP];
      wq.place(base, size, group);
      group?.addQueue(wq);
      base += size;
    }
    this.#isMaster = true;
    this.state = STATES.enabled;
    return ERRORS.none;
  }

  /** No descriptor is accepted any more. */
  beginDisable(): void {
    this.state = STATES.draining;
    for (const wq of this.queues) if (wq.state === WQ_STATES.enabled) wq.state = WQ_STATES.busy;
  }

  disable(): void {
    this.#stop();
    for (const wq of this.queues) this.disableQueue(wq);
    this.state = STATES.disabled;
  }

  /** @returns an error of the command */
  resetByCommand(): number {
    if (this.state === STATES.halted && this.resetNeeded !== RESETS.software) return ERRORS.hardware;
    this.#clear();
    return ERRORS.none;
  }

  /** @returns an error of the command */
  enableQueue(index: number): number {
    if (this.state !== STATES.enabled) return ERRORS.deviceDisabled;
    const wq = this.queues[index];
    if (wq === undefined) return ERRORS.wqIndex;
    if (wq.state !== WQ_STATES.disabled) return ERRORS.wqNotDisabled;
    const error = checkQueue(this.profile, this.tables, index, this.context.endpoint);
    if (error === ERRORS.none) wq.enable(settingsOf(this.tables, index));
    return error;
  }

  disableQueue(wq: WorkQueue): void {
    wq.disable();
    this.portals.clear(wq.index);
  }

  /** What is in a queue is lost, also what an engine has of it; nobody is told. */
  abortQueue(wq: WorkQueue): void {
    for (const engine of this.#engines) engine.drop(wq);
    wq.clear();
  }

  /** As {@link abortQueue}, of one address space. */
  abortPasid(wq: WorkQueue, pasid: number): void {
    for (const engine of this.#engines) engine.drop(wq, pasid);
    if (wq.abort(pasid)) wq.group?.wake(wq);
  }

  /** Engines drop what they do, queues what they hold. */
  #stop(): void {
    for (const engine of this.#engines) engine.reset();
    for (const wq of this.queues) wq.place(0, 0, undefined);
  }

  #clear(): void {
    this.#stop();
    for (const wq of this.queues) this.disableQueue(wq);
    this.state = STATES.disabled;
    this.config = 0;
    this.tables.reset();
    this.interrupts.reset();
    this.errors.reset();
  }

  /** A device that is enabled cannot work without the bus. */
  #masterChanged(): void {
    const isMaster = this.context.endpoint.busMaster;
    const isLost = this.#isMaster && !isMaster && !this.isDisabled;
    this.#isMaster = isMaster;
    if (isLost) this.errors.device(DSA.SWERRORS.pciConfiguration);
  }
}
