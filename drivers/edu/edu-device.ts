import {
  Completion,
  type DmaBuffer,
  Errno,
  type IrqReturn,
  type MaybePromise,
  type Mmio,
  type PciDevice,
} from '../../core/index.js';
import * as R from '../../hw/regs/edu.js';
import type { Edu } from './api.js';

/** The largest n whose factorial fits 32 bits. */
const LARGEST_N = 12;
/** QEMU before 9.1 takes a transfer that ends with the buffer for one beyond it, and aborts: the last byte stays unused. */
const LARGEST_COPY = R.BUFFER_BYTES - 1;
const PATTERN = 0x1234_5678;
/** How long a command may take: ten DMA transfers. */
const LIMIT_US = 10 * R.DMA_TIME_US;
/** Pause between two looks at a device that has not interrupted. */
const LOOK_US = R.DMA_TIME_US / 100;
/** What a device that is gone says; all causes. */
const ONES = 0xffff_ffff;

/** One bound device: what users call through the class. */
export class EduDevice implements Edu {
  /** Ends with the last piece of work asked for. */
  #last: Promise<unknown> = Promise.resolve();
  #isStopped = false;
  readonly #computed: Completion;
  readonly #transferred: Completion;

  constructor(
    private readonly dev: PciDevice,
    private readonly regs: Mmio,
    private readonly buffer: DmaBuffer,
  ) {
    this.#computed = new Completion(dev.clock, `${dev.name}: factorial`);
    this.#transferred = new Completion(dev.clock, `${dev.name}: dma`);
  }

  /** From now on it interrupts. */
  start(): void {
    this.regs.write(R.STATUS, { raise: 1 });
  }

  /** The handler: what is done is acknowledged, with MSI too, and who waits for it goes on. */
  interrupted(): IrqReturn {
    const causes = this.regs.read(R.IRQ_STATUS);
    if (causes === 0 || causes === ONES) return 'none';
    this.regs.write(R.IRQ_ACK, causes);
    // Its line is low when this is over: a write may be under way still, and the line would interrupt again.
    this.regs.read(R.IRQ_STATUS);
    if ((causes & R.IRQ_FACTORIAL) !== 0) this.#computed.complete();
    if ((causes & R.IRQ_DMA) !== 0) this.#transferred.complete();
    return 'handled';
  }

  isAlive(): boolean {
    this.regs.write(R.LIVENESS, PATTERN);
    return this.regs.read(R.LIVENESS) === ~PATTERN >>> 0;
  }

  async factorial(n: number): Promise<number> {
    if (!(Number.isInteger(n) && n >= 0 && n <= LARGEST_N)) {
      throw new Errno('ERANGE', `${this.dev.name}: factorial of ${n}: must be an integer from 0 to ${LARGEST_N}`);
    }
    return this.#inTurn(async () => {
      this.#computed.reinit();
      this.regs.write(R.FACTORIAL, n);
      await this.#until(this.#computed, () => !this.#isComputing);
      return this.regs.read(R.FACTORIAL);
    });
  }

  async copy(data: Uint8Array): Promise<Uint8Array> {
    if (data.length < 1 || data.length > LARGEST_COPY) {
      throw new Errno('ERANGE', `${this.dev.name}: copy of ${data.length} bytes: must be 1 to ${LARGEST_COPY}`);
    }
    const sent = data.slice();
    return this.#inTurn(async () => {
      this.buffer.write(0, sent);
      await this.#transfer(R.TO_DEVICE, this.buffer.address, R.BUFFER_BASE, sent.length);
      this.buffer.fill(0);
      await this.#transfer(R.FROM_DEVICE, R.BUFFER_BASE, this.buffer.address, sent.length);
      const received = new Uint8Array(sent.length);
      this.buffer.read(0, received);
      return received;
    });
  }

  /** Lets no work go on; resolves when the device has ended what it had begun, and so leaves the buffer alone. */
  stop(): MaybePromise<void> {
    this.#isStopped = true;
    const gone = new Errno('ENODEV', `${this.dev.name}: is stopped`);
    this.#computed.fail(gone);
    this.#transferred.fail(gone);
    this.regs.write(R.STATUS, { raise: 0 });
    if (this.#isIdle) return this.#acknowledgeAll();
    return this.#poll(() => this.#isIdle, 'stop').then(() => this.#acknowledgeAll());
  }

  /** What is raised when nobody handles it any more, would keep a line busy that others share. */
  #acknowledgeAll(): void {
    this.regs.write(R.IRQ_ACK, ONES);
  }

  get #isComputing(): boolean {
    return this.regs.readField(R.STATUS, R.STATUS.fields.computing) === 1;
  }

  get #isTransferring(): boolean {
    return this.regs.readField(R.DMA_COMMAND, R.DMA_COMMAND.fields.start) === 1;
  }

  get #isIdle(): boolean {
    return this.dev.isGone || !(this.#isComputing || this.#isTransferring);
  }

  async #transfer(direction: number, source: number, destination: number, count: number): Promise<void> {
    this.#transferred.reinit();
    this.regs.write(R.DMA_SOURCE, source);
    this.regs.write(R.DMA_DEST, destination);
    this.regs.write(R.DMA_COUNT, count);
    this.regs.write(R.DMA_COMMAND, { start: 1, direction, irq: 1 });
    await this.#until(this.#transferred, () => !this.#isTransferring);
  }

  /** Waits for an interrupt, and then for the device to say that it is done: an interrupt may be lost, or come late. */
  async #until(interrupt: Completion, isDone: () => boolean): Promise<void> {
    try {
      await interrupt.wait(LIMIT_US);
    } catch (error) {
      if (!Errno.is(error, 'ETIMEDOUT')) throw error;
      this.#checkRunning();
      // One that is not done yet is slow, and has nothing to tell.
      if (isDone()) this.dev.log('warn', 'an interrupt was lost', 'lost_interrupt');
    }
    await this.#pollRunning(isDone, 'command');
  }

  /** Looks until it is so, or until `stop`. */
  async #pollRunning(isSo: () => boolean, what: string): Promise<void> {
    const look = (): boolean => {
      this.#checkRunning();
      return isSo();
    };
    await this.#poll(look, what);
    this.#checkRunning();
  }

  async #poll(isDone: () => boolean, what: string): Promise<void> {
    await this.dev.clock.poll(isDone, { intervalUs: LOOK_US, timeoutUs: LIMIT_US, what: `${this.dev.name}: ${what}` });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(async () => {
      // One that took too long goes on, and until it ends the device drops what is written.
      await this.#pollRunning(() => this.#isIdle, 'command before this one');
      return work();
    });
    this.#last = result.catch(() => {});
    return result;
  }

  #checkRunning(): void {
    if (this.#isStopped) throw new Errno('ENODEV', `${this.dev.name}: is stopped`);
  }
}
