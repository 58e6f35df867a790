import {
  Errno,
  EventFd,
  type FieldValues,
  type Mmio,
  PCI,
  type Reg,
  VFIO_PCI_IRQ,
  VFIO_PCI_REGION,
  type Vfio,
  type VfioContainer,
  type VfioFile,
  bit,
  getField,
  hex,
  packFields,
} from '../../../core/index.js';
import * as DSA from '../../../hw/regs/dsa.js';
import type { CommandName, CommandResult } from '../commands.js';
import { VIRTUAL_VECTORS } from './virtual-config.js';

const { BAR0, BAR2, CONFIG } = VFIO_PCI_REGION;
const QUEUE = 0;
/** The message of its completions. */
const MESSAGE = 1;
/** In the upper half of the capabilities of its queue. */
const SHARED = bit(DSA.WQCAP.fields.shared.lsb - 32);

/**
 * A virtual accelerator in the hands of its user: does what the driver of a guest does, by registers and interrupts alone. What it works
 * on is what the container maps.
 *
 * @example
 * ```ts
 * await using part = await SubDevice.open(vfio, uuid, vfio.container(memory));
 * await part.enable();
 * guest.irqfd(part.completions, { vcpus: [0], vector: 0x41 });
 * part.submit(descriptor); // with `part.handle`
 * ```
 */
export class SubDevice implements AsyncDisposable {
  /** Message 0: commands, errors. Signalled by software. */
  readonly events: EventFd;
  /** Message 1: completions of descriptors with {@link handle}. An interrupt of the real device. */
  readonly completions: EventFd;
  /** The open device, for what has no method here. */
  readonly file: VfioFile;
  #handle: number | undefined = undefined;
  #portal: Mmio | undefined = undefined;
  #isShared = false;
  #hasInterrupts = false;

  private constructor(file: VfioFile) {
    this.file = file;
    this.events = new EventFd(`${file.name} events`);
    this.completions = new EventFd(`${file.name} completions`);
  }

  /**
   * Opens it, for what the container maps, and enables its interrupts.
   * @throws {Errno} ENODEV when there is none of that name; ENOSPC when no interrupt is left; as `VfioFile.bind`
   */
  static async open(vfio: Vfio, uuid: string, container: VfioContainer): Promise<SubDevice> {
    const part = new SubDevice(vfio.openDevice(uuid));
    try {
      await part.file.bind(container);
      part.enableInterrupts();
      return part;
    } catch (error) {
      await part[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What descriptors name its completions by; undefined before {@link enable}. */
  get handle(): number | undefined {
    return this.#handle;
  }

  /** Takes both messages: from now on they signal their eventfds. @throws {Errno} ENOSPC when no interrupt is left */
  enableInterrupts(): void {
    const { events, completions, file } = this;
    const set = { index: VFIO_PCI_IRQ.MSIX, action: 'trigger', start: 0, count: VIRTUAL_VECTORS } as const;
    if (file.setIrqs({ ...set, eventfds: [events, completions] }) !== 0) {
      throw new Errno('ENOSPC', `${file.name}: no interrupt is left for its completions`);
    }
    this.#hasInterrupts = true;
  }

  /** Gives its interrupts back, and with them the handle. */
  disableInterrupts(): void {
    this.file.setIrqs({ index: VFIO_PCI_IRQ.MSIX, action: 'trigger', start: 0, count: 0 });
    this.#hasInterrupts = false;
    this.#handle = undefined;
  }

  /** A register of BAR 0, of 32 bits; of one of 64 the low half. */
  read(reg: Reg): number {
    return this.#read(BAR0, reg.offset, Math.min(reg.bytes, 4));
  }

  /** Writes a register of BAR 0: 32 bits of it at most. */
  write<F extends string>(reg: Reg<F>, value: number | FieldValues<F>): void {
    this.#write(BAR0, reg.offset, Math.min(reg.bytes, 4), typeof value === 'number' ? value : packFields(reg, value));
  }

  /** Runs a command, and waits for its interrupt. @throws {Errno} EINVAL while interrupts are disabled */
  async command(name: CommandName, operand = 0): Promise<CommandResult> {
    if (!this.#hasInterrupts) {
      throw new Errno('EINVAL', `${this.file.name}: ${name}: enable its interrupts first, to be told when it is done`);
    }
    this.write(DSA.CMD, { interrupt: 1, command: DSA.COMMANDS[name], operand });
    const { active, error, result } = DSA.CMDSTATUS.fields;
    while (getField(active, this.read(DSA.CMDSTATUS)) === 1) await this.events.wait();
    this.write(DSA.INTCAUSE, { command: 1 });
    const word = this.read(DSA.CMDSTATUS);
    return { status: getField(error, word), result: getField(result, word) };
  }

  /**
   * Enables the device and its queue, and asks for the handle of its completions.
   * @throws {Errno} EIO when a command is refused; what it has enabled is disabled again
   */
  async enable(): Promise<void> {
    this.#write(CONFIG, PCI.COMMAND.offset, PCI.COMMAND.bytes, packFields(PCI.COMMAND, { master: 1, memory: 1 }));
    await this.#mustRun('enableDevice');
    try {
      await this.#mustRun('enableWq', QUEUE);
      this.#handle = await this.#mustRun('requestHandle', MESSAGE);
    } catch (error) {
      // One that cannot be disabled is gone.
      await this.command('disableDevice').catch(() => {});
      throw error;
    }
    this.#isShared = (this.#read(BAR0, DSA.WQCAP.offset + 4, 4) & SHARED) !== 0;
    this.#portal ??= this.file.mmap(BAR2, DSA.PORTAL_LIMITED, DSA.PORTAL_BYTES);
  }

  /** Disables the device and its queue, when what is under way has ended. @throws {Errno} EIO when the command is refused */
  async disable(): Promise<void> {
    await this.#mustRun('disableDevice');
  }

  /**
   * Writes a descriptor of 64 bytes to the portal.
   * @returns false when a shared queue has no room for it; what a dedicated one has no room for is lost
   * @throws {Errno} EINVAL before {@link enable}
   */
  submit(words: Uint32Array, at = 0): boolean {
    const portal = this.#portal;
    if (portal === undefined) throw new Errno('EINVAL', `${this.file.name}: no portal yet: enable it`);
    if (this.#isShared) return !portal.enqcmd(0, words, at);
    portal.movdir64b(0, words, at);
    return true;
  }

  /** Closes it; harmless when it is closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.file.close();
    this.events.close();
    this.completions.close();
  }

  async #mustRun(name: CommandName, operand?: number): Promise<number> {
    const { status, result } = await this.command(name, operand);
    if (status === DSA.ERRORS.none) return result;
    throw new Errno('EIO', `${this.file.name}: ${name} refused with status 0x${hex(status)}`);
  }

  #read(region: number, offset: number, bytes: number): number {
    const out = new Uint8Array(4);
    this.file.read(region, offset, out.subarray(0, bytes));
    return new DataView(out.buffer).getUint32(0, true);
  }

  #write(region: number, offset: number, bytes: number, value: number): void {
    const data = new Uint8Array(4);
    new DataView(data.buffer).setUint32(0, value, true);
    this.file.write(region, offset, data.subarray(0, bytes));
  }
}
