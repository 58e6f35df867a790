import * as DSA from '../../regs/dsa.js';
import type { DsaDevice } from './device.js';
import { CAUSE_COMMAND } from './interrupts.js';
import type { WorkQueue } from './queues.js';

const { COMMANDS, ERRORS, STATES, WQ_STATES } = DSA;
const { command: COMMAND, operand: OPERAND, interrupt: INTERRUPT } = DSA.CMD.fields;
const RESERVED = 0x7e00_0000;
const ACTIVE = 0x8000_0000;
const RESULT_SHIFT = DSA.CMDSTATUS.fields.result.lsb;
/** Queues that one operand can name. */
const BLOCK = 16;
/** The command goes on until what it waits for has completed. */
const GOES_ON = -1;

/** The command register. All commands are done at once, but for those that wait for descriptors. */
export class Commands {
  /** CMDSTATUS. */
  status = 0;
  readonly #device: DsaDevice;
  #command = 0;
  #operand = 0;
  #result = 0;
  #wantsInterrupt = false;
  /** Descriptors that it still waits for. */
  #left = 0;

  constructor(device: DsaDevice) {
    this.#device = device;
  }

  get isActive(): boolean {
    return this.status === ACTIVE;
  }

  reset(): void {
    this.status = this.#left = 0;
  }

  write(value: number): void {
    if (this.isActive) {
      this.#device.context.log.guestError(`command ${(value >>> COMMAND.lsb) & 0x1f} while another is active: not taken`);
      this.#device.errors.device(DSA.SWERRORS.commandActive);
      return;
    }
    this.#command = (value >>> COMMAND.lsb) & 0x1f;
    this.#operand = value & (2 ** (OPERAND.msb + 1) - 1);
    this.#wantsInterrupt = value >>> INTERRUPT.lsb === 1;
    this.#result = 0;
    this.status = ACTIVE;
    const error = (value & RESERVED) === 0 ? this.#execute() : ERRORS.reserved;
    if (error !== GOES_ON) this.#done(error);
  }

  /** A descriptor that the command has marked, is completed or gone. */
  markedDone(): void {
    if (--this.#left > 0 || !this.isActive) return;
    this.#finish();
    this.#done(ERRORS.none);
  }

  /** The device has halted. */
  fail(): void {
    this.#left = 0;
    if (this.isActive) this.#done(ERRORS.hardware);
  }

  #done(error: number): void {
    this.status = error | (this.#result << RESULT_SHIFT);
    if (this.#wantsInterrupt) this.#device.interrupts.raise(CAUSE_COMMAND);
  }

  #execute(): number {
    const device = this.#device;
    const command = this.#command;
    if (((device.profile.commands >>> command) & 1) === 0) return ERRORS.command;
    switch (command) {
      case COMMANDS.enableDevice:
        return device.enable();
      case COMMANDS.resetDevice:
        return device.resetByCommand();
      case COMMANDS.enableWq:
        return device.enableQueue(this.#operand);
      case COMMANDS.requestHandle:
        return this.#requestHandle();
      case COMMANDS.releaseHandle:
        return device.interrupts.release(this.#operand & 0xffff, (this.#operand & DSA.HANDLE_IMS) !== 0)
          ? ERRORS.none
          : ERRORS.noHandleForIndex;
    }
    if (device.state !== STATES.enabled) return ERRORS.deviceNotEnabled;
    switch (command) {
      case COMMANDS.disableDevice:
        device.beginDisable();
        return this.#await(this.#markAll());
      case COMMANDS.drainAll:
        return this.#await(this.#markAll());
      case COMMANDS.abortAll:
        for (const wq of device.queues) device.abortQueue(wq);
        return ERRORS.none;
      case COMMANDS.drainPasid:
        return this.#await(this.#markAll(this.#operand));
      case COMMANDS.abortPasid:
        for (const wq of device.queues) device.abortPasid(wq, this.#operand);
        return ERRORS.none;
      default:
        return this.#executeQueues();
    }
  }

  #executeQueues(): number {
    const error = this.#checkQueues();
    if (error !== ERRORS.none) return error;
    const device = this.#device;
    let marked = 0;
    for (let i = 0; i < BLOCK; i++) {
      const wq = this.#queue(i);
      if (wq === undefined) continue;
      if (this.#command === COMMANDS.disableWq) wq.state = WQ_STATES.busy;
      if (this.#command === COMMANDS.disableWq || this.#command === COMMANDS.drainWq) marked += wq.mark();
      else device.abortQueue(wq);
      if (this.#command === COMMANDS.resetWq) {
        device.disableQueue(wq);
        device.tables.resetQueue(wq.index);
      }
    }
    return this.#await(marked);
  }

  /** Either all queues of the mask are enabled, or nothing is done. */
  #checkQueues(): number {
    const mask = this.#operand & 0xffff;
    if (mask === 0) return ERRORS.wqIndex;
    for (let i = 0; i < BLOCK; i++) {
      if ((mask & (1 << i)) === 0) continue;
      const wq = this.#queue(i);
      if (wq === undefined) return ERRORS.wqIndex;
      if (wq.state !== WQ_STATES.enabled) return ERRORS.wqNotEnabled;
    }
    return ERRORS.none;
  }

  /** Queue `i` of the block that the operand names, if it is in the mask. */
  #queue(i: number): WorkQueue | undefined {
    return (this.#operand & (1 << i)) === 0 ? undefined : this.#device.queues[(this.#operand >>> BLOCK) * BLOCK + i];
  }

  #markAll(pasid?: number): number {
    let marked = 0;
    for (const wq of this.#device.queues) marked += wq.mark(pasid);
    return marked;
  }

  #await(marked: number): number {
    this.#left = marked;
    if (marked > 0) return GOES_ON;
    this.#finish();
    return ERRORS.none;
  }

  /** What it waited for has completed. */
  #finish(): void {
    if (this.#command === COMMANDS.disableDevice) this.#device.disable();
    if (this.#command !== COMMANDS.disableWq) return;
    for (let i = 0; i < BLOCK; i++) {
      const wq = this.#queue(i);
      if (wq !== undefined) this.#device.disableQueue(wq);
    }
  }

  #requestHandle(): number {
    const handle = this.#device.interrupts.request(this.#operand & 0xffff, (this.#operand & DSA.HANDLE_IMS) !== 0);
    if (handle < 0) return ERRORS.tableIndex;
    this.#result = handle;
    return ERRORS.none;
  }
}
