import { getField, packFields } from '../../../core/index.js';
import * as DSA from '../../../hw/regs/dsa.js';
import { VIRTUAL_VECTORS } from './virtual-config.js';
import type { VirtualHost } from './virtual-profile.js';
import type { VirtualRegisters } from './virtual-registers.js';

const { CMD, CMDSTATUS, COMMANDS, ERRORS, STATES } = DSA;
const RESERVED = 0x7e00_0000;
const ACTIVE = packFields(CMDSTATUS, { active: 1 });
const CAUSE_COMMAND = packFields(DSA.INTCAUSE, { command: 1 });
/** The operand of commands for several queues: of those there is one. */
const QUEUE_MASK = 1;

/** The command register of a virtual device: what is there of a queue is done to the real one. */
export class VirtualCommands {
  readonly #regs: VirtualRegisters;
  readonly #host: VirtualHost;
  #running: Promise<void> | undefined = undefined;
  #result = 0;

  constructor(regs: VirtualRegisters, host: VirtualHost) {
    this.#regs = regs;
    this.#host = host;
  }

  write(value: number): void {
    if (this.#running !== undefined) {
      this.#regs.deviceError(DSA.SWERRORS.commandActive);
      return;
    }
    this.#result = 0;
    const error = (value & RESERVED) === 0 ? this.#execute(value) : ERRORS.reserved;
    if (typeof error === 'number') {
      this.#done(value, error);
      return;
    }
    this.#regs.commandStatus = ACTIVE;
    const running = error.then((code) => {
      this.#leave(running);
      this.#done(value, code);
    });
    this.#running = running;
  }

  /** Does something after the command that is active, if one is; none is taken until it is over. */
  exclusive(work: () => Promise<void>): Promise<void> {
    const done = this.#running === undefined ? work() : this.#running.then(work);
    const running = done.finally(() => this.#leave(running));
    this.#running = running;
    return running;
  }

  #leave(running: Promise<void>): void {
    if (this.#running === running) this.#running = undefined;
  }

  /** @returns an error of the command, or the promise of one where it takes time */
  #execute(value: number): number | Promise<number> {
    const regs = this.#regs;
    const command = getField(CMD.fields.command, value);
    const operand = getField(CMD.fields.operand, value);
    if (!regs.knows(command)) return ERRORS.command;
    if (regs.deviceState === STATES.halted) return ERRORS.hardware;
    switch (command) {
      case COMMANDS.enableDevice:
        return this.#enableDevice();
      case COMMANDS.resetDevice:
        return this.#resetDevice();
      case COMMANDS.enableWq:
        return this.#enableQueue(operand);
      case COMMANDS.requestHandle:
        return this.#requestHandle(operand);
      case COMMANDS.releaseHandle:
        return this.#releaseHandle(operand);
    }
    if (regs.deviceState !== STATES.enabled) return ERRORS.deviceNotEnabled;
    switch (command) {
      case COMMANDS.disableDevice:
        return this.#disableDevice();
      case COMMANDS.drainAll:
      case COMMANDS.drainPasid:
        return regs.isQueueEnabled ? this.#host.drainQueue() : ERRORS.none;
      case COMMANDS.abortAll:
      case COMMANDS.abortPasid:
        return regs.isQueueEnabled ? this.#host.abortQueue() : ERRORS.none;
    }
    if (operand !== QUEUE_MASK) return ERRORS.wqIndex;
    if (!regs.isQueueEnabled) return ERRORS.wqNotEnabled;
    switch (command) {
      case COMMANDS.drainWq:
        return this.#host.drainQueue();
      case COMMANDS.abortWq:
        return this.#host.abortQueue();
      case COMMANDS.disableWq:
        return this.#disableQueue();
      default:
        return this.#resetQueue();
    }
  }

  #enableDevice(): number {
    if (this.#regs.deviceState !== STATES.disabled) return ERRORS.deviceNotDisabled;
    if (!this.#host.isMaster) return ERRORS.busMaster;
    this.#regs.deviceState = STATES.enabled;
    return ERRORS.none;
  }

  async #disableDevice(): Promise<number> {
    const regs = this.#regs;
    const error = regs.isQueueEnabled ? await this.#disableQueue() : ERRORS.none;
    if (regs.deviceState !== STATES.halted) regs.deviceState = STATES.disabled;
    return error;
  }

  async #resetDevice(): Promise<number> {
    const regs = this.#regs;
    const error = regs.isQueueEnabled ? await this.#resetQueue() : ERRORS.none;
    if (regs.deviceState === STATES.halted) return ERRORS.hardware;
    regs.resetDevice();
    return error;
  }

  #enableQueue(index: number): number | Promise<number> {
    const regs = this.#regs;
    const { dedicated, pasidEnable } = DSA.WQ_MODE.fields;
    if (index !== 0) return ERRORS.wqIndex;
    if (regs.deviceState !== STATES.enabled) return ERRORS.deviceDisabled;
    if (regs.isQueueEnabled) return ERRORS.wqNotDisabled;
    if (getField(dedicated, regs.queueMode) !== getField(dedicated, regs.presetMode)) return ERRORS.wqMode;
    // It has one address space, that of whoever has the device.
    if (getField(pasidEnable, regs.queueMode) === 1) return ERRORS.wqPasid;
    return this.#host.enableQueue().then((error) => {
      regs.isQueueEnabled = error === ERRORS.none && regs.deviceState === STATES.enabled;
      return error;
    });
  }

  #disableQueue(): Promise<number> {
    this.#regs.isQueueEnabled = false;
    return this.#host.disableQueue();
  }

  async #resetQueue(): Promise<number> {
    await this.#host.abortQueue();
    const error = await this.#disableQueue();
    this.#regs.resetQueue();
    return error;
  }

  #requestHandle(operand: number): number | Promise<number> {
    const index = operand & 0xffff;
    if (index === 0 || index >= VIRTUAL_VECTORS) return ERRORS.tableIndex;
    if ((operand & DSA.HANDLE_IMS) !== 0) return ERRORS.noHandle;
    return this.#host.handle.request().then(({ status, result }) => {
      this.#result = result;
      return status;
    });
  }

  #releaseHandle(operand: number): number {
    return this.#host.handle.release(operand) ? ERRORS.none : ERRORS.noHandleForIndex;
  }

  #done(value: number, error: number): void {
    this.#regs.commandStatus = error | (this.#result << CMDSTATUS.fields.result.lsb);
    if (getField(CMD.fields.interrupt, value) === 1) this.#regs.raise(CAUSE_COMMAND);
  }
}
