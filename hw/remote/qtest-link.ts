import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { Errno, Signal, hex } from '../../core/lib/index.js';
import type { QtestProcess } from './qtest-process.js';
import type { Watchdog } from './qtest-watchdog.js';

export type ReadOp = 'readb' | 'readw' | 'readl' | 'inb' | 'inw' | 'inl';
export type WriteOp = 'writeb' | 'writew' | 'writel' | 'outb' | 'outw' | 'outl';

const IRQ_LINE = /^IRQ (raise|lower) (\d+)$/;

/** Opens the read side of a FIFO to block, without waiting for a writer: for a moment we are one. */
function openReader(path: string): number {
  const both = openSync(path, 'r+');
  try {
    return openSync(path, 'r');
  } finally {
    closeSync(both);
  }
}

/** As {@link openReader}, for the write side. */
function openWriter(path: string): number {
  const both = openSync(path, 'r+');
  try {
    return openSync(path, 'w');
  } finally {
    closeSync(both);
  }
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown }).code;
}

/** Opens the write side of QEMU's input; undefined until QEMU has opened its own. @internal */
export function tryOpenWriter(path: string): number | undefined {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (codeOf(error) === 'ENXIO') return undefined;
    throw error;
  }
}

/** What is in a non-blocking pipe now. @internal */
export function tryRead(fd: number): string {
  const buffer = Buffer.alloc(256);
  try {
    return buffer.toString('latin1', 0, readSync(fd, buffer));
  } catch (error) {
    if (codeOf(error) === 'EAGAIN') return '';
    throw error;
  }
}

/**
 * The qtest protocol over two FIFOs, one blocking request at a time.
 *
 * A wrong argument would abort QEMU and an empty line would never be answered, so nothing is sent here but what the typed
 * methods build of checked numbers.
 * @see QEMU 11.1 system/qtest.c (the commands)
 */
export class QtestLink {
  /**
   * Interrupt lines of the I/O APIC as they change, told after the request during which they were heard. A listener takes
   * note; it must not access the hardware.
   */
  readonly irqLines = new Signal<[line: number, raised: boolean]>();
  /** Called after each answered request; it must not access the hardware. */
  onReply: (() => void) | undefined = undefined;
  readonly #heard: string[] = [];
  readonly #buffer = Buffer.alloc(0x1_0000);
  #text = '';
  #in = -1;
  #out = -1;
  /** Another end of `#out` that does not block. */
  #ear = -1;
  #qemu: QtestProcess | undefined = undefined;
  #watchdog: Watchdog | undefined = undefined;
  #fault: Errno | undefined = new Errno('EIO', 'qemu: not running: start the host first');

  /** Takes over a QEMU that has answered its first command. */
  open(qemu: QtestProcess, watchdog: Watchdog): void {
    this.#in = openWriter(qemu.path('qtest.in'));
    this.#out = openReader(qemu.path('qtest.out'));
    this.#ear = openSync(qemu.path('qtest.out'), constants.O_RDONLY | constants.O_NONBLOCK);
    this.#qemu = qemu;
    this.#watchdog = watchdog;
    this.#fault = undefined;
  }

  /** Every later use throws EIO. Idempotent. */
  close(): void {
    this.#fault = new Errno('EIO', 'qemu: not running: the host was stopped');
    this.#watchdog?.stop();
    for (const fd of [this.#in, this.#out, this.#ear]) if (fd >= 0) closeSync(fd);
    this.#in = this.#out = this.#ear = -1;
    this.#text = '';
    this.#heard.length = 0;
  }

  /** One access of the operation's width. `address` is a non-negative safe integer. */
  read(op: ReadOp, address: number): number {
    return Number.parseInt(this.#ok(`${op} 0x${hex(address)}`), 16);
  }

  /** `value` has the operation's width. */
  write(op: WriteOp, address: number, value: number): void {
    this.#ok(`${op} 0x${hex(address)} 0x${hex(value)}`);
  }

  /** One 8-byte read of memory, as two words. */
  read64(address: number, out: Uint32Array): void {
    const digits = this.#ok(`readq 0x${hex(address)}`)
      .slice(2)
      .padStart(16, '0');
    out[0] = Number.parseInt(digits.slice(8), 16);
    out[1] = Number.parseInt(digits.slice(0, 8), 16);
  }

  write64(address: number, lo: number, hi: number): void {
    const value = hex(hi >>> 0) + hex(lo >>> 0, 8);
    this.#ok(`writeq 0x${hex(address)} 0x${value}`);
  }

  /** Makes `irqLines` tell of the inputs of the I/O APIC; once per QEMU. */
  interceptIrqs(): void {
    this.#ok('irq_intercept_in ioapic');
  }

  /** Tells of lines that changed since the last request, without a request. Nothing when QEMU is gone. */
  hear(): void {
    if (this.#fault !== undefined) return;
    this.#text += tryRead(this.#ear);
    for (let line = this.#takeLine(); line !== undefined; line = this.#takeLine()) this.#tell(line);
  }

  /** Whether virtual time moves by command: QEMU knows the command only under accel=qtest. */
  canStep(): boolean {
    return !this.#exchange('clock_step 0').startsWith('FAIL Unknown command');
  }

  /** Moves virtual time on by whole nanoseconds, at least 1, and runs the timers that fall due. */
  stepClock(ns: number): void {
    this.#ok(`clock_step ${ns}`);
  }

  #ok(command: string): string {
    const reply = this.#exchange(command);
    if (reply === 'OK') return '';
    if (reply.startsWith('OK ')) return reply.slice(3);
    throw new Errno('EIO', `qemu: '${command}' was answered '${reply}'`);
  }

  #exchange(command: string): string {
    if (this.#fault !== undefined) throw this.#fault;
    this.#watchdog?.turn();
    let reply: string;
    try {
      writeSync(this.#in, `${command}\n`);
      reply = this.#readLine();
      while (reply.startsWith('IRQ ')) {
        this.#heard.push(reply);
        reply = this.#readLine();
      }
    } catch (error) {
      this.#fault = this.#explain(command, error);
      throw this.#fault;
    } finally {
      this.#watchdog?.turn();
    }
    while (this.#heard.length > 0) this.#tell(this.#heard.shift()!);
    this.onReply?.();
    return reply;
  }

  #readLine(): string {
    for (;;) {
      const line = this.#takeLine();
      if (line !== undefined) return line;
      const length = readSync(this.#out, this.#buffer);
      if (length === 0) throw new Errno('EPIPE', 'qemu: end of its pipe');
      this.#text += this.#buffer.toString('latin1', 0, length);
    }
  }

  /** The first whole line of what was read. */
  #takeLine(): string | undefined {
    const end = this.#text.indexOf('\n');
    if (end < 0) return undefined;
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 1);
    return line;
  }

  #explain(command: string, error: unknown): Errno {
    const how = this.#qemu?.ended() ?? 'not running';
    if (this.#watchdog?.fired !== true) return new Errno('EIO', `qemu: ${how}`, { cause: error });
    return new Errno('EIO', `qemu: silent for ${this.#watchdog.periodMs} ms after '${command}', so ${how}`, { cause: error });
  }

  #tell(text: string): void {
    const match = IRQ_LINE.exec(text);
    if (match !== null) this.irqLines.emit(Number(match[2]), match[1] === 'raise');
  }
}
