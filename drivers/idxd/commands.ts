import { Completion, Errno, type Mmio, type PciDevice, getField } from '../../core/index.js';
import { CMD, CMDSTATUS, COMMANDS, ERRORS, GENSTATUS, STATES } from '../../hw/regs/dsa.js';

/** A command by its name in the datasheet. */
export type CommandName = keyof typeof COMMANDS;

/** How a command ended. */
export interface CommandResult {
  /** `CMDSTATUS.error`: 0 when it was done. */
  readonly status: number;
  /** `CMDSTATUS.result`, of those that have one. */
  readonly result: number;
}

/** How long an interrupt may take before the device is asked. */
const INTERRUPT_US = 10_000;
/** How long a command may take: one that drains waits for the work that is under way. */
const LIMIT_US = 30_000_000;
/** Looks at a device that is polled: its commands take less than a microsecond. */
const LOOKS = 10_000;
const ACTIVE = CMDSTATUS.fields.active;
/** What a device says that is gone. */
const ONES = 0xffff_ffff;
const REFUSED: CommandResult = { status: ERRORS.hardware, result: 0 };

/**
 * The command register: one command at a time, first come, first served, each caller with its own answer.
 *
 * Its end is told by an interrupt; a lost one is found out by asking the device.
 * @see Linux 6.12 drivers/dma/idxd/device.c idxd_cmd_exec
 */
export class Commands {
  readonly #dev: PciDevice;
  readonly #regs: Mmio;
  readonly #interrupt: Completion;
  /** Ends with the last command asked for. */
  #last: Promise<unknown> = Promise.resolve();
  /** Whether somebody waits for a command. */
  #isRunning = false;
  /** How it ended, when somebody else has seen that before. */
  #seen: number | undefined = undefined;
  #hasHalted = false;
  /** Whether one may be under way that nobody waits for: it took too long. */
  #isStuck = false;
  #isCutOff = false;

  constructor(dev: PciDevice, regs: Mmio) {
    this.#dev = dev;
    this.#regs = regs;
    this.#interrupt = new Completion(dev.clock, `${dev.name}: command`);
  }

  /**
   * Runs a command when those before it are done. A device that has halted refuses all but `resetDevice`: the status is that of a
   * hardware error then.
   * @param operand 20 bits
   * @throws {Errno} ETIMEDOUT when it does not end; ENODEV when the device is gone, or its driver
   */
  run(command: CommandName, operand = 0): Promise<CommandResult> {
    const result = this.#last.then(() => this.#execute(command, operand));
    this.#last = result.then(undefined, () => {});
    return result;
  }

  /** Whether the device takes no command, because it does not end one: that one has taken too long. */
  get isStuck(): boolean {
    return this.#isStuck;
  }

  /**
   * Runs a command at once, and looks until it is done; one that is under way ends before. For commands that do not wait for work.
   * @throws {Errno} ETIMEDOUT, ENODEV as `run`
   */
  runPolled(command: CommandName, operand = 0): CommandResult {
    if (this.#isRunning) this.#seen ??= this.#look(command);
    if (this.#isStuck) this.#look(command);
    this.#isStuck = true;
    this.#regs.write(CMD, { command: COMMANDS[command], operand });
    const word = this.#look(command);
    this.#isStuck = false;
    return resultOf(word);
  }

  /** The device says that a command is done. @internal */
  interrupted(): void {
    this.#interrupt.complete();
  }

  /** The device does not end what it has begun. @internal */
  halted(): void {
    this.#hasHalted = this.#isRunning;
    this.#interrupt.complete();
  }

  /** Nobody listens to the device any more, whatever it does, until `restarted`. @internal */
  cutOff(): void {
    this.#isCutOff = true;
    this.halted();
  }

  /** The device was reset. @internal */
  restarted(): void {
    this.#isCutOff = this.#isStuck = false;
  }

  /** Nobody waits any more. @internal */
  stop(): void {
    this.#interrupt.fail(new Errno('ENODEV', `${this.#dev.name}: its driver is gone`));
  }

  async #execute(command: CommandName, operand: number): Promise<CommandResult> {
    if (this.#isStuck && !this.#isRefused(command)) await this.#untilIdle();
    if (this.#isRefused(command)) return REFUSED;
    this.#interrupt.reinit();
    this.#hasHalted = false;
    this.#isRunning = true;
    try {
      this.#regs.write(CMD, { interrupt: 1, command: COMMANDS[command], operand });
      return await this.#ended(command);
    } finally {
      this.#isRunning = false;
      this.#seen = undefined;
    }
  }

  #isRefused(command: CommandName): boolean {
    const status = this.#present(command, this.#regs.read(GENSTATUS));
    if (this.#isCutOff) return true;
    return getField(GENSTATUS.fields.state, status) === STATES.halted && command !== 'resetDevice';
  }

  async #ended(command: CommandName): Promise<CommandResult> {
    const { clock } = this.#dev;
    const limit = clock.now() + LIMIT_US;
    for (;;) {
      const wasTold = await this.#wait();
      const word = this.#seen ?? this.#read(command);
      if (getField(ACTIVE, word) === 0) {
        if (!wasTold) this.#dev.log('warn', `the interrupt of command ${command} was lost`, 'lost_interrupt');
        return resultOf(word);
      }
      if (this.#hasHalted) return REFUSED;
      if (clock.now() < limit) continue;
      this.#isStuck = true;
      throw new Errno('ETIMEDOUT', `${this.#dev.name}: command ${command}: not done within ${LIMIT_US} us`);
    }
  }

  /** @returns whether the device has said something */
  async #wait(): Promise<boolean> {
    try {
      await this.#interrupt.wait(INTERRUPT_US);
      return true;
    } catch (error) {
      if (!Errno.is(error, 'ETIMEDOUT')) throw error;
      return false;
    }
  }

  async #untilIdle(): Promise<void> {
    const isIdle = (): boolean => this.#isCutOff || getField(ACTIVE, this.#read('before this one')) === 0;
    await this.#dev.clock.poll(isIdle, {
      intervalUs: INTERRUPT_US,
      timeoutUs: LIMIT_US,
      what: `${this.#dev.name}: the command before this one`,
    });
    this.#isStuck = this.#isCutOff;
  }

  /** Looks until nothing is under way, and lets the hardware get on meanwhile. */
  #look(command: CommandName): number {
    for (let looks = 0; looks < LOOKS; looks++) {
      const word = this.#read(command);
      if (getField(ACTIVE, word) === 0) return word;
      this.#dev.clock.relax();
    }
    throw new Errno('ETIMEDOUT', `${this.#dev.name}: command ${command}: not done after ${LOOKS} looks`);
  }

  #read(command: string): number {
    return this.#present(command, this.#regs.read(CMDSTATUS));
  }

  #present(command: string, word: number): number {
    if (word === ONES) throw new Errno('ENODEV', `${this.#dev.name}: command ${command}: the device is gone`);
    return word;
  }
}

function resultOf(word: number): CommandResult {
  const { error, result } = CMDSTATUS.fields;
  return { status: getField(error, word), result: getField(result, word) };
}
