import { type ClockEvent, type Device, type Dma, type DmaBuffer, Errno, type PciDevice } from '../../core/index.js';
import { CMDQ_ADDR_HI, CMDQ_ADDR_LO, CMDIF_REV, CMDIF_REV_FW_SUB, CMD_DOORBELL, CMD_EXEC_TO } from '../../hw/regs/nic.js';
import { CMD, CMD_SLOTS_MAX, HEADER, OPCODES, STATUS } from '../../hw/regs/nic-commands.js';
import { getWord, setWord } from '../../hw/regs/nic-words.js';
import { commandName, deliveryError, failedFunctionError, statusError, undoes } from './cmd-status.js';
import { DESCRIPTOR_WORDS, INLINE_WORDS, decodeDescriptor, encodeDescriptor } from './command-descriptor.js';
import { CommandSlots } from './command-slots.js';
import type { FunctionWindow } from './function-window.js';
import { type MailboxChain, Mailboxes } from './mailboxes.js';

const PAGE = 4096;
const MOST_TOKENS = 255;
/**
 * How long a command may take, if the device does not want less. Linux gives it a minute; here that is all that a callback of a driver has.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/lib/tout.c tout_def_sw_val
 */
const MOST_TIMEOUT_MS = 20_000;
/** How long a command may still take once its event queue was looked at by hand. @see Linux 7.2 cmd.c MLX5_CMD_TIMEOUT_RECOVER_MSEC */
const RECOVERY_US = 5_000_000;
/** What a command may take longer where it is looked for. */
const POLLING_EXTRA_US = 1_000_000;
/** Pauses between two looks: ever longer. */
const SHORTEST_LOOK_US = 10;
const LONGEST_LOOK_US = 1_000;

/** A command that was handed over. */
class Pending {
  /** 0 until it is known. */
  delivery = 0;
  isDone = false;
  /** Nobody waits any more. */
  isLost = false;
  /** Called when it is done, or has failed. */
  settle: ((error: Errno | undefined) => void) | undefined = undefined;

  constructor(
    readonly opcode: number,
    readonly slot: number,
    readonly output: Uint32Array,
    readonly inChain: MailboxChain,
    readonly outChain: MailboxChain,
  ) {}
}

/**
 * The command interface of a function.
 *
 * ```
 *   exec --> a slot --> descriptor, mailboxes --> doorbell       the last slot is for MANAGE_PAGES alone,
 *                                                                so that the firmware can always get its pages
 *   done:  the device gives the descriptor back      polling: found out by looking
 *          and says so on its event queue            events:  completed(slots)
 * ```
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/cmd.c
 */
export class Commands {
  readonly #dev: Device;
  readonly #pci: PciDevice;
  readonly #window: FunctionWindow;
  readonly #mailboxes: Mailboxes;
  #queue: DmaBuffer | undefined = undefined;
  #strideBytes = 0;
  #slots: CommandSlots;
  #pageSlots: CommandSlots;
  readonly #pending: (Pending | undefined)[] = [];
  #isUp = false;
  #usesEvents = false;
  /** Those that are let through; undefined: all are. */
  #allowed: readonly number[] | undefined = undefined;
  #token = 0;
  #timeoutUs = MOST_TIMEOUT_MS * 1000;
  readonly #words = new Uint32Array(DESCRIPTOR_WORDS);
  readonly #bytes = new Uint8Array(CMD.sizeBytes);
  /** Handles what is on the event queue of commands, though no interrupt has come. @returns how many events */
  recover: (() => number) | undefined = undefined;
  /** Told of a command that undoes something, and was not answered. */
  onUndoLost: ((name: string) => void) | undefined = undefined;

  /** @param dev in whose ledger its memory is; @param pci who is asked whether it is there */
  constructor(dev: Device, pci: PciDevice, window: FunctionWindow, dma: Dma) {
    this.#dev = dev;
    this.#pci = pci;
    this.#window = window;
    this.#mailboxes = new Mailboxes(dma, dev);
    this.#slots = new CommandSlots(pci.clock, dev.name, 0);
    this.#pageSlots = this.#slots;
  }

  /** Microseconds that a command may take. */
  get timeoutUs(): number {
    return this.#timeoutUs;
  }

  /** Whether there are commands that were not answered in time, and may be yet. */
  get hasLost(): boolean {
    this.#look(this.#slots.lost | this.#pageSlots.lost);
    return this.#slots.lost !== 0 || this.#pageSlots.lost !== 0;
  }

  /**
   * Checks the interface and gives the device its queue. Commands are refused until {@link open}.
   * @throws {Errno} EINVAL for an interface that is not known; ENOMEM
   * @see Linux 7.2 cmd.c mlx5_cmd_enable
   */
  enable(dma: Dma): DmaBuffer {
    const dev = this.#dev;
    const revision = this.#window.read(CMDIF_REV_FW_SUB) >>> 16;
    const layout = this.#window.read(CMDQ_ADDR_LO);
    const [logSlots, logStride] = [(layout >>> 4) & 15, layout & 15];
    const problem =
      revision !== CMDIF_REV
        ? `has revision ${revision}, not ${CMDIF_REV}`
        : 1 << logSlots > CMD_SLOTS_MAX
          ? `has ${1 << logSlots} slots, more than ${CMD_SLOTS_MAX}`
          : logSlots + logStride > 12
            ? `has ${1 << logSlots} slots of ${1 << logStride} bytes, more than a page`
            : undefined;
    if (problem !== undefined) throw new Errno('EINVAL', `${dev.name}: the command interface ${problem}`);
    const queue = dma.alloc(dev, PAGE);
    this.#queue = queue;
    this.#strideBytes = 1 << logStride;
    const last = (1 << logSlots) - 1;
    this.#slots = new CommandSlots(this.#pci.clock, dev.name, 2 ** last - 1);
    this.#pageSlots = new CommandSlots(this.#pci.clock, dev.name, 2 ** last);
    this.#window.write(CMDQ_ADDR_HI, Math.floor(queue.address / 2 ** 32));
    this.#window.write(CMDQ_ADDR_LO, queue.address >>> 0);
    return queue;
  }

  /** From now on commands are taken. */
  open(): void {
    this.#isUp = true;
  }

  /** Takes no more of them, and ends those that are under way: as on a function that is down. */
  close(): void {
    this.#isUp = false;
    const down = new Errno('ENXIO', `${this.#dev.name}: the function is down`);
    this.#slots.fail(down);
    this.#pageSlots.fail(down);
    for (const one of this.#pending) if (one?.isLost === false) this.#lose(one, down);
  }

  /** Forgets the queue: the function does not know it any more. */
  disable(): void {
    this.close();
    this.#pending.length = 0;
    this.#usesEvents = false;
    this.#allowed = undefined;
    this.#queue = undefined;
    this.#mailboxes.end();
  }

  /** Reads how long commands may take. @see Linux 7.2 lib/tout.c mlx5_tout_query_iseg */
  readTimeout(): void {
    const ms = this.#window.read(CMD_EXEC_TO);
    this.#timeoutUs = (ms === 0 ? MOST_TIMEOUT_MS : Math.min(ms, MOST_TIMEOUT_MS)) * 1000;
  }

  /** Lets these commands alone through, or all of them, once those under way are done. @see Linux 7.2 cmd.c mlx5_cmd_allowed_opcode */
  async allow(opcodes: readonly number[] | undefined): Promise<void> {
    this.#allowed = opcodes;
    await this.#whenIdle();
  }

  /** The ends of commands are found out by events, or else by looking. @see Linux 7.2 cmd.c mlx5_cmd_change_mod */
  async useEvents(on: boolean): Promise<void> {
    await this.#whenIdle();
    this.#usesEvents = on;
  }

  /** See `Mlx5Child.exec`. */
  async exec(opcode: number, input: Uint32Array, output: Uint32Array = new Uint32Array(4)): Promise<Uint32Array> {
    try {
      await this.#run(opcode, input, output);
    } catch (error) {
      if (!Errno.is(error, 'ENXIO')) throw error;
      const failed = failedFunctionError(this.#dev.name, opcode, output);
      if (failed !== undefined) throw failed;
      return output;
    }
    const refused = statusError(this.#dev.name, opcode, output);
    if (refused !== undefined) throw refused;
    return output;
  }

  /** See `Mlx5Child.do`. */
  async do(opcode: number, input: Uint32Array, output: Uint32Array = new Uint32Array(4)): Promise<Uint32Array> {
    await this.#run(opcode, input, output);
    if (getWord(output, HEADER.status) === STATUS.ok) return output;
    const refused = statusError(this.#dev.name, opcode, output)!;
    throw new Errno('EREMOTEIO', refused.text, { cause: refused });
  }

  /** The device has said that the commands of these slots are done, a bit each. In interrupt context. */
  completed(slots: number): void {
    for (let bits = slots; bits !== 0; bits &= bits - 1) this.#finish(31 - Math.clz32(bits & -bits));
  }

  async #run(opcode: number, input: Uint32Array, output: Uint32Array): Promise<void> {
    this.#check(opcode);
    setWord(input, HEADER.opcode, opcode);
    const isForPages = opcode === OPCODES.MANAGE_PAGES;
    const slots = isForPages ? this.#pageSlots : this.#slots;
    if (slots.lost !== 0) this.#look(slots.lost);
    const slot = await slots.take(commandName(opcode), this.#timeoutUs);
    let pending: Pending;
    try {
      this.#check(opcode);
      pending = this.#issue(slot, opcode, input, output);
    } catch (error) {
      slots.give(slot);
      throw error;
    }
    await (this.#usesEvents ? this.#wait(pending) : this.#poll(pending));
    if (pending.delivery !== 0) throw deliveryError(this.#dev.name, opcode, pending.delivery);
  }

  /** @throws {Errno} ENXIO @see Linux 7.2 cmd.c mlx5_cmd_is_down, opcode_allowed */
  #check(opcode: number): void {
    const name = this.#dev.name;
    if (!this.#isUp || this.#pci.isGone) throw new Errno('ENXIO', `${name}: ${commandName(opcode)}: the function is down`);
    if (this.#allowed?.includes(opcode) === false) {
      const allowed = this.#allowed.map(commandName).join(', ');
      throw new Errno('ENXIO', `${name}: ${commandName(opcode)}: nothing but ${allowed} is let through now`);
    }
  }

  #issue(slot: number, opcode: number, input: Uint32Array, output: Uint32Array): Pending {
    const inChain = this.#mailboxes.take(input.length - INLINE_WORDS);
    let outChain: MailboxChain;
    try {
      outChain = this.#mailboxes.take(output.length - INLINE_WORDS);
    } catch (error) {
      this.#mailboxes.give(inChain);
      throw error;
    }
    this.#token = (this.#token % MOST_TOKENS) + 1;
    this.#mailboxes.write(inChain, this.#token, input, INLINE_WORDS);
    this.#mailboxes.write(outChain, this.#token, output.fill(0), INLINE_WORDS);
    encodeDescriptor(this.#words, this.#bytes, {
      input,
      outBytes: 4 * output.length,
      inMailbox: inChain[0]?.address ?? 0,
      outMailbox: outChain[0]?.address ?? 0,
      token: this.#token,
    });
    const pending = new Pending(opcode, slot, output, inChain, outChain);
    this.#pending[slot] = pending;
    this.#queue!.write(slot * this.#strideBytes, this.#bytes);
    this.#window.write(CMD_DOORBELL, (1 << slot) >>> 0);
    return pending;
  }

  /** What the device says of a slot is taken over, and the slot is free. */
  #finish(slot: number): void {
    const pending = this.#pending[slot];
    if (pending === undefined || !this.#read(slot)) return;
    this.#pending[slot] = undefined;
    const { output, inChain, outChain, isLost } = pending;
    if (!isLost) {
      pending.delivery = getWord(this.#words, CMD.status) >>> 1;
      const inline = Math.min(output.length, INLINE_WORDS);
      output.set(this.#words.subarray(CMD.out / 4, CMD.out / 4 + inline));
      this.#mailboxes.read(outChain, output, INLINE_WORDS);
    }
    this.#mailboxes.give(inChain);
    this.#mailboxes.give(outChain);
    (pending.opcode === OPCODES.MANAGE_PAGES ? this.#pageSlots : this.#slots).give(slot);
    pending.isDone = true;
    pending.settle?.(undefined);
  }

  /** Reads the descriptor of a slot. @returns whether the device has given it back */
  #read(slot: number): boolean {
    this.#queue!.read(slot * this.#strideBytes, this.#bytes);
    return decodeDescriptor(this.#words, this.#bytes);
  }

  /** Looks whether slots that are lost have been answered at last. */
  #look(slots: number): void {
    for (let bits = slots; bits !== 0; bits &= bits - 1) this.#finish(31 - Math.clz32(bits & -bits));
  }

  #lose(pending: Pending, error: Errno): void {
    pending.isLost = true;
    (pending.opcode === OPCODES.MANAGE_PAGES ? this.#pageSlots : this.#slots).lose(pending.slot);
    pending.settle?.(error);
  }

  /** @see Linux 7.2 cmd.c poll_timeout */
  async #poll(pending: Pending): Promise<void> {
    const { clock } = this.#pci;
    const limit = clock.now() + this.#timeoutUs + POLLING_EXTRA_US;
    for (let pauseUs = SHORTEST_LOOK_US; ; pauseUs = Math.min(2 * pauseUs, LONGEST_LOOK_US)) {
      await clock.sleep(pauseUs);
      if (!pending.isLost) this.#finish(pending.slot);
      if (pending.isDone) return;
      this.#checkLost(pending);
      if (clock.now() < limit) continue;
      throw this.#timedOut(pending);
    }
  }

  /** A function that is down answers nothing. */
  #checkLost(pending: Pending): void {
    if (!pending.isLost && !this.#pci.isGone) return;
    const down = new Errno('ENXIO', `${this.#dev.name}: ${commandName(pending.opcode)}: the function went down`);
    if (!pending.isLost) this.#lose(pending, down);
    throw down;
  }

  #timedOut(pending: Pending): Errno {
    const what = `${this.#dev.name}: ${commandName(pending.opcode)}: not done within ${this.#timeoutUs} us`;
    const error = new Errno('ETIMEDOUT', `${what}: slot ${pending.slot} is lost until it is`);
    this.#dev.log('warn', error.text, 'command_lost');
    this.#lose(pending, error);
    if (undoes(pending.opcode)) this.onUndoLost?.(commandName(pending.opcode));
    return error;
  }

  /** @see Linux 7.2 cmd.c wait_func */
  #wait(pending: Pending): Promise<void> {
    return new Promise((resolve, reject) => {
      const { clock } = this.#pci;
      let alarm: ClockEvent = clock.alarm(this.#timeoutUs, () => {
        this.#recover();
        if (pending.isDone || pending.isLost) return;
        alarm = clock.alarm(RECOVERY_US, () => void this.#timedOut(pending));
      });
      pending.settle = (error) => {
        alarm.cancel();
        if (error === undefined) resolve();
        else reject(error);
      };
    });
  }

  /** An interrupt may have been lost. @see Linux 7.2 eq.c mlx5_cmd_eq_recover */
  #recover(): void {
    const count = this.recover?.() ?? 0;
    if (count > 0) this.#dev.log('warn', `Recovered ${count} EQEs on cmd_eq`, 'cmd_eq_recovered');
  }

  async #whenIdle(): Promise<void> {
    await this.#slots.whenIdle();
    await this.#pageSlots.whenIdle();
  }
}
