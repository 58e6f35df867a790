import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { Errno } from '../../core/lib/errno.js';
import type { Log } from '../../core/lib/log.js';
import type { Signal } from '../../core/lib/signal.js';
import type { Clock } from '../../core/hal/clock.js';
import type { DmaMemory } from '../../core/hal/dma.js';
import type { Host, HostCapabilities } from '../../core/hal/host.js';
import type { InterruptController } from '../../core/hal/interrupts.js';
import type { PciRoot } from '../../core/hal/pci.js';
import { AdoptedClock, SteppedClock } from './qtest-clock.js';
import { QtestInterrupts } from './qtest-interrupts.js';
import { QtestLink, tryOpenWriter, tryRead } from './qtest-link.js';
import { FileMemory } from './qtest-memory.js';
import { type QtestConfig, type QtestOptions, checkOptions } from './qtest-options.js';
import { QtestPciRoot } from './qtest-pci.js';
import { QtestProcess } from './qtest-process.js';
import { Watchdog } from './qtest-watchdog.js';
import { RealClock } from './real-clock.js';

/** Pause between two looks at a QEMU that starts. */
const LOOK_MS = 2;

/**
 * The device models of a QEMU as hardware: registers by its qtest protocol, memory shared with it.
 *
 * No firmware and no guest runs. Each register access blocks for some 15 us; when QEMU dies or falls silent, every access
 * throws EIO with what QEMU said last. Nothing of it is left after `stop`, nor after our own process is killed.
 * @see QEMU 11.1 docs/devel/testing/qtest.rst
 */
export class QtestHost implements Host {
  readonly name = 'qtest';
  readonly clock: Clock;
  readonly dma: DmaMemory;
  readonly pci: readonly PciRoot[];
  /**
   * One CPU. Messages are words of guest memory that the host looks at after each access and clock step, and every millisecond:
   * several of one doorbell between two looks are one, so a handler asks its device what there is to do.
   */
  readonly interrupts: InterruptController;
  /**
   * The inputs of the I/O APIC as they change: told after the access or clock step during which they were heard. A listener
   * takes note; it must not access the hardware.
   */
  readonly irqLines: Signal<[line: number, raised: boolean]>;
  readonly #config: QtestConfig;
  readonly #clock = new AdoptedClock();
  readonly #link = new QtestLink();
  readonly #memory: FileMemory;
  readonly #root: QtestPciRoot;
  readonly #interrupts: QtestInterrupts;
  #time: HostCapabilities['time'] = 'real';
  #qemu: QtestProcess | undefined = undefined;
  #stopping: Promise<void> | undefined = undefined;

  /** @throws {Errno} ERANGE or EINVAL when an option is wrong; nothing is started yet */
  constructor(options: QtestOptions = {}) {
    this.#config = checkOptions(options);
    this.#memory = new FileMemory(this.#config.memoryMiB * 2 ** 20);
    this.#root = new QtestPciRoot(this.#link, this.#config.machine);
    this.#interrupts = new QtestInterrupts(this.#link, this.#memory);
    this.clock = this.#clock;
    this.dma = this.#memory;
    this.pci = [this.#root];
    this.interrupts = this.#interrupts;
    this.irqLines = this.#link.irqLines;
  }

  /** What the QEMU that was found can do: `time` is known once `start` has resolved, and `real` until then. */
  get capabilities(): HostCapabilities {
    return { time: this.#time, hotplug: false };
  }

  /** Process id of QEMU while it runs. */
  get pid(): number | undefined {
    return this.#qemu?.pid;
  }

  /**
   * @throws {Errno} ENOENT when the binary is missing; EIO when QEMU ends or refuses, with its stderr; ETIMEDOUT when it
   *   does not answer; EBUSY when started before
   */
  async start(log: Log): Promise<void> {
    if (this.#qemu !== undefined || this.#stopping !== undefined)
      throw new Errno('EBUSY', 'qtest: started before: make a new host');
    const qemu = new QtestProcess(this.#config);
    this.#qemu = qemu;
    try {
      await this.#connect(qemu);
      this.#root.start();
      this.#link.interceptIrqs();
      this.#interrupts.start();
      const steps = this.#link.canStep();
      this.#time = steps ? 'virtual' : 'real';
      this.#clock.adopt(steps ? new SteppedClock(this.#link, this.#interrupts.interrupted) : new RealClock());
      const { machine, memoryMiB, devices } = this.#config;
      log.write('info', this.name, `${machine}, ${memoryMiB} MiB, ${this.#time} time, devices: ${devices.join(' ')}`);
    } catch (error) {
      await this.#end(qemu);
      this.#qemu = undefined;
      throw error;
    }
  }

  /** Also when QEMU is dead. Idempotent; a host that was stopped does not start again. */
  stop(): Promise<void> {
    this.#stopping ??= this.#qemu === undefined ? Promise.resolve() : this.#end(this.#qemu);
    return this.#stopping;
  }

  /** Waits for the answer to a first command without blocking, so that a QEMU that ends is noticed; then hands over. */
  async #connect(qemu: QtestProcess): Promise<void> {
    let reader: number | undefined;
    let writer: number | undefined;
    let reply = '';
    try {
      reader = openSync(qemu.path('qtest.out'), constants.O_RDONLY | constants.O_NONBLOCK);
      const { startTimeoutMs, replyTimeoutMs } = this.#config;
      const end = performance.now() + startTimeoutMs;
      for (;;) {
        if (this.#stopping !== undefined) throw new Errno('ECANCELED', 'qtest: stopped during its start');
        const how = qemu.exited();
        if (how !== undefined) throw new Errno('EIO', `qemu: ${how}`);
        if (performance.now() > end) throw new Errno('ETIMEDOUT', `qemu: no answer within ${startTimeoutMs} ms of its start`);
        if (writer === undefined) {
          writer = tryOpenWriter(qemu.path('qtest.in'));
          if (writer !== undefined) writeSync(writer, 'endianness\n');
        }
        reply += tryRead(reader);
        const { pid } = qemu;
        if (reply.endsWith('\n') && pid !== undefined) {
          this.#link.open(qemu, new Watchdog(pid, replyTimeoutMs));
          this.#memory.open(qemu.path('ram'));
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      }
    } finally {
      for (const fd of [reader, writer]) if (fd !== undefined) closeSync(fd);
    }
  }

  async #end(qemu: QtestProcess): Promise<void> {
    this.#interrupts.stop();
    this.#link.close();
    this.#memory.close();
    await qemu.stop();
  }
}
