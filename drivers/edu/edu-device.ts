import { type DmaBuffer, Errno, type Field, type MaybePromise, type Mmio, type PciDevice, type Reg } from '../../core/index.js';
import * as R from '../../hw/regs/edu.js';
import type { Edu } from './api.js';

/** The largest n whose factorial fits 32 bits. */
const LARGEST_N = 12;
/** QEMU before 9.1 takes a transfer that ends with the buffer for one beyond it, and aborts: the last byte stays unused. */
const LARGEST_COPY = R.BUFFER_BYTES - 1;
const PATTERN = 0x1234_5678;
/** How long a command may take: ten DMA transfers. */
const LIMIT_US = 10 * R.DMA_TIME_US;
/** Pauses between two looks at a command that runs. */
const FACTORIAL_LOOK_US = 10;
const DMA_LOOK_US = R.DMA_TIME_US / 10;

/** One bound device: what users call through the class. */
export class EduDevice implements Edu {
  /** Ends with the last piece of work asked for. */
  #last: Promise<unknown> = Promise.resolve();
  #isStopped = false;

  constructor(
    private readonly dev: PciDevice,
    private readonly regs: Mmio,
    private readonly buffer: DmaBuffer,
  ) {}

  isAlive(): boolean {
    this.regs.write(R.LIVENESS, PATTERN);
    return this.regs.read(R.LIVENESS) === ~PATTERN >>> 0;
  }

  async factorial(n: number): Promise<number> {
    if (!(Number.isInteger(n) && n >= 0 && n <= LARGEST_N)) {
      throw new Errno('ERANGE', `${this.dev.name}: factorial of ${n}: must be an integer from 0 to ${LARGEST_N}`);
    }
    return this.#inTurn(async () => {
      this.regs.write(R.FACTORIAL, n);
      await this.#untilClear(R.STATUS, R.STATUS.fields.computing, FACTORIAL_LOOK_US);
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
    const isIdle = (): boolean =>
      this.dev.isGone ||
      (this.#isClear(R.STATUS, R.STATUS.fields.computing) && this.#isClear(R.DMA_COMMAND, R.DMA_COMMAND.fields.start));
    if (isIdle()) return;
    return this.#poll(isIdle, DMA_LOOK_US, 'stop');
  }

  async #transfer(direction: number, source: number, destination: number, count: number): Promise<void> {
    this.regs.write(R.DMA_SOURCE, source);
    this.regs.write(R.DMA_DEST, destination);
    this.regs.write(R.DMA_COUNT, count);
    this.regs.write(R.DMA_COMMAND, { start: 1, direction });
    await this.#untilClear(R.DMA_COMMAND, R.DMA_COMMAND.fields.start, DMA_LOOK_US);
  }

  #untilClear(reg: Reg, field: Field, intervalUs: number): Promise<void> {
    const isDone = (): boolean => {
      this.#checkRunning();
      return this.#isClear(reg, field);
    };
    return this.#poll(isDone, intervalUs, reg.name);
  }

  #isClear(reg: Reg, field: Field): boolean {
    return this.regs.readField(reg, field) === 0;
  }

  async #poll(isDone: () => boolean, intervalUs: number, what: string): Promise<void> {
    await this.dev.clock.poll(isDone, { intervalUs, timeoutUs: LIMIT_US, what: `${this.dev.name}: ${what}` });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(() => {
      this.#checkRunning();
      return work();
    });
    this.#last = result.catch(() => {});
    return result;
  }

  #checkRunning(): void {
    if (this.#isStopped) throw new Errno('ENODEV', `${this.dev.name}: is stopped`);
  }
}
