import type { Mmio } from '../../../core/hal/index.js';
import type { DmaBuffer } from '../../../core/iommu/index.js';
import type { Kernel } from '../../../core/kernel.js';
import type { PciDevice } from '../../../core/pci/index.js';

/** A device that sends a message when it is told to. */
export interface Sender {
  /** Sets it up to send vectors 0, 1 and {@link Kind.third}; also after a reset. */
  start(): void;
  /** Whether it has done all that it was told to, and sent what is to be sent for it. */
  isDone(): boolean;
  /** Has it send a vector, some time later. */
  fire(vector: number): void;
  /** Takes note of what it has done, so that it can do it again: what a handler does. @returns whether there was anything */
  acknowledge(vector: number): boolean;
}

/** A kind of sender. */
export interface Kind {
  readonly device: string;
  readonly vendor: number;
  readonly id: number;
  /** A vector that is not allocated at first. */
  readonly third: number;
  /** Whether it may send a message once more than it has cause to. */
  readonly repeats: boolean;
  make(kernel: Kernel, dev: PciDevice): Sender;
}

/**
 * The 82574L: vectors are given to causes, and causes can be set by software. QEMU sends nothing for a cause that is set
 * already. QEMU 11.1 sends each message once more when the 128 us are over that it leaves between two of a vector, whether or not
 * there still is a cause; 7.2 does not.
 * @see Intel 82574 GbE Controller Family Datasheet 3.4, 10.2.4 (interrupt registers)
 */
class E1000e implements Sender {
  static readonly ICR = 0xc0;
  static readonly ICS = 0xc8;
  static readonly IMS = 0xd0;
  static readonly IVAR = 0xe4;
  /** Bits of the causes of vectors 0, 1 and 4: receive queue 0, transmit queues 0 and 1. */
  static readonly CAUSES: Readonly<Record<number, number>> = { 0: 1 << 20, 1: 1 << 22, 4: 1 << 23 };
  readonly #regs: Mmio;

  constructor(dev: PciDevice) {
    this.#regs = dev.mapBar(0);
  }

  start(): void {
    // Four bits for each of receive queues 0 and 1, transmit queues 0 and 1: its vector, and whether it has one.
    this.#regs.write32(E1000e.IVAR, 0x8 | ((0x8 | 1) << 8) | ((0x8 | 4) << 12));
    this.#regs.write32(
      E1000e.IMS,
      Object.values(E1000e.CAUSES).reduce((all, cause) => all | cause),
    );
  }

  isDone(): boolean {
    return true;
  }

  fire(vector: number): void {
    this.#regs.write32(E1000e.ICS, E1000e.CAUSES[vector]!);
  }

  acknowledge(vector: number): boolean {
    const cause = E1000e.CAUSES[vector]!;
    // Reading ICR clears all causes on QEMU 11.1, and none on 7.2; ICS reads the same, and clears none.
    const isSet = (this.#regs.read32(E1000e.ICS) & cause) !== 0;
    this.#regs.write32(E1000e.ICR, cause);
    return isSet;
  }
}

/** A submission and a completion queue of an NVMe controller, both for `ENTRIES` commands, of which one is left free. */
class QueuePair {
  static readonly ENTRIES = 64;
  static readonly COMMAND_BYTES = 64;
  static readonly RESULT_BYTES = 16;
  submitted = 0;
  completed = 0;

  constructor(
    readonly id: number,
    readonly commands: DmaBuffer,
    readonly results: DmaBuffer,
  ) {}

  /** Whether a command has its result: its last word tells, since no queue goes round here. */
  hasResult(command: number): boolean {
    const phase = new Uint8Array(1);
    this.results.read(command * QueuePair.RESULT_BYTES + 14, phase);
    return (phase[0]! & 1) === 1;
  }

  clear(): void {
    this.submitted = this.completed = 0;
    this.commands.fill(0);
    this.results.fill(0);
  }
}

/**
 * An NVMe controller: each completion queue has a vector. A command that cannot be is completed as well, with an error.
 * @see NVM Express Base Specification 1.4, 3.1 (registers), 5.3 and 5.4 (queue creation)
 */
class Nvme implements Sender {
  static readonly CC = 0x14;
  static readonly CSTS = 0x1c;
  static readonly AQA = 0x24;
  static readonly ASQ = 0x28;
  static readonly ACQ = 0x30;
  static readonly DOORBELLS = 0x1000;
  static readonly CREATE_SQ = 0x01;
  static readonly CREATE_CQ = 0x05;
  /** Commands of 64 bytes, results of 16, enable. */
  static readonly ENABLED = (6 << 16) | (4 << 20) | 1;
  static readonly NO_SUCH_COMMAND = 0x7f;
  /** Bits of CSTS. */
  static readonly READY = 1;
  static readonly READY_OR_FATAL = 3;
  readonly #regs: Mmio;
  /** By vector. Queue 0 is that of commands to the controller itself. */
  readonly #queues = new Map<number, QueuePair>();

  constructor(kernel: Kernel, dev: PciDevice, vectors: readonly number[]) {
    this.#regs = dev.mapBar(0);
    for (const [id, vector] of vectors.entries()) {
      const commands = kernel.dma.alloc(dev, QueuePair.ENTRIES * QueuePair.COMMAND_BYTES);
      this.#queues.set(vector, new QueuePair(id, commands, kernel.dma.alloc(dev, QueuePair.ENTRIES * QueuePair.RESULT_BYTES)));
    }
  }

  start(): void {
    const regs = this.#regs;
    regs.write32(Nvme.CC, 0);
    const [admin, ...others] = [...this.#queues];
    const [, { commands, results }] = admin!;
    for (const queue of this.#queues.values()) queue.clear();
    regs.write32(Nvme.AQA, ((QueuePair.ENTRIES - 1) << 16) | (QueuePair.ENTRIES - 1));
    for (const [at, { address }] of [[Nvme.ASQ, commands] as const, [Nvme.ACQ, results] as const]) {
      regs.write32(at, address % 2 ** 32);
      regs.write32(at + 4, Math.floor(address / 2 ** 32));
    }
    regs.write32(Nvme.CC, Nvme.ENABLED);
    const status = regs.read32(Nvme.CSTS);
    if ((status & Nvme.READY_OR_FATAL) !== Nvme.READY) throw new Error(`the controller does not start: status ${status}`);
    for (const [vector, queue] of others) {
      const size = ((QueuePair.ENTRIES - 1) << 16) | queue.id;
      // Physically contiguous; interrupts enabled; or the completion queue that belongs to it.
      this.#submit(admin![1], Nvme.CREATE_CQ, queue.results.address, size, (vector << 16) | 3);
      this.#submit(admin![1], Nvme.CREATE_SQ, queue.commands.address, size, (queue.id << 16) | 1);
    }
  }

  isDone(): boolean {
    const hasAll = [...this.#queues.values()].every((queue) => queue.submitted === 0 || queue.hasResult(queue.submitted - 1));
    // A result is in memory a little before its message is sent, and that is before the next access.
    this.#regs.read32(Nvme.CSTS);
    return hasAll;
  }

  fire(vector: number): void {
    this.#submit(this.#queues.get(vector)!, Nvme.NO_SUCH_COMMAND, 0, 0, 0);
  }

  acknowledge(vector: number): boolean {
    const queue = this.#queues.get(vector)!;
    const before = queue.completed;
    while (queue.hasResult(queue.completed)) queue.completed++;
    this.#regs.write32(Nvme.DOORBELLS + 4 * (2 * queue.id + 1), queue.completed);
    return queue.completed > before;
  }

  #submit(queue: QueuePair, opcode: number, address: number, word10: number, word11: number): void {
    const words = new Uint32Array(QueuePair.COMMAND_BYTES / 4);
    const { submitted } = queue;
    words[0] = opcode | (submitted << 16);
    words[6] = address % 2 ** 32;
    words[7] = Math.floor(address / 2 ** 32);
    words[10] = word10;
    words[11] = word11;
    queue.commands.write(submitted * QueuePair.COMMAND_BYTES, new Uint8Array(words.buffer));
    this.#regs.write32(Nvme.DOORBELLS + 4 * (2 * queue.id), ++queue.submitted);
  }
}

/** By the name that QEMU has for them. */
export const KINDS: Readonly<Record<'e1000e' | 'nvme', Kind>> = {
  e1000e: {
    device: 'e1000e,romfile=,addr=6',
    vendor: 0x8086,
    id: 0x10d3,
    third: 4,
    repeats: true,
    make: (_kernel, dev) => new E1000e(dev),
  },
  nvme: {
    device: 'nvme,serial=1,addr=6',
    vendor: 0x1b36,
    id: 0x0010,
    third: 40,
    repeats: false,
    make: (kernel, dev) => new Nvme(kernel, dev, [0, 1, 40]),
  },
};
