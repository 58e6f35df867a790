import { Errno, alignUp, hex } from '../lib/index.js';
import {
  type DmaConstraint,
  type DmaMemory,
  type Host,
  type HostCapabilities,
  type PciRoot,
  VirtualClock,
} from '../hal/index.js';
import { FakeInterrupts } from './fake-interrupts.js';
import { type FakePciFunction, FakePciRoot } from './fake-pci.js';

const PAGE = 4096;

/** Memory for DMA: one flat buffer, handed out first fit. */
class FakeDma implements DmaMemory {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #taken: { start: number; size: number }[] = [];

  constructor(sizeBytes: number) {
    this.#bytes = new Uint8Array(sizeBytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get allocatedBytes(): number {
    return this.#taken.reduce((sum, t) => sum + t.size, 0);
  }

  alloc(sizeBytes: number, constraint: DmaConstraint): number {
    const align = constraint.alignBytes ?? PAGE;
    const size = alignUp(Math.max(sizeBytes, 1), PAGE);
    let start = alignUp(PAGE, align);
    let index = 0;
    for (; index < this.#taken.length; index++) {
      const next = this.#taken[index]!;
      if (start + size <= next.start) break;
      start = alignUp(next.start + next.size, align);
    }
    if (start + size > this.#bytes.length || start + size - 1 > constraint.mask) {
      throw new Errno('ENOMEM', `fake: no ${sizeBytes} bytes of DMA memory free below 0x${hex(constraint.mask)}`);
    }
    this.#taken.splice(index, 0, { start, size });
    this.#bytes.fill(0, start, start + size);
    return start;
  }

  free(address: number): void {
    const index = this.#taken.findIndex((t) => t.start === address);
    if (index < 0) throw new Errno('EINVAL', `fake: 0x${hex(address)} is not the start of an allocation`);
    this.#taken.splice(index, 1);
  }

  read(address: number, buffer: Uint8Array, offset: number, length: number): void {
    buffer.set(this.#bytes.subarray(address, address + length), offset);
  }
  write(address: number, buffer: Uint8Array, offset: number, length: number): void {
    this.#bytes.set(buffer.subarray(offset, offset + length), address);
  }
  copy(source: number, destination: number, length: number): void {
    this.#bytes.copyWithin(destination, source, source + length);
  }
  read32(address: number): number {
    return this.#view.getUint32(address, true);
  }
  write32(address: number, value: number): void {
    this.#view.setUint32(address, value, true);
  }
  view(address: number, sizeBytes: number): Uint8Array {
    return this.#bytes.subarray(address, address + sizeBytes);
  }
}

/** What a fake host has. */
export interface FakeHostOptions {
  /** PCI functions, at 00:01.0, 00:02.0, ... */
  readonly pci?: readonly FakePciFunction[];
  /** DMA memory in bytes; default 4 MiB. */
  readonly memoryBytes?: number;
}

/** The smallest host a driver can run on: a virtual clock, some memory, and fake functions on one bus. */
export class FakeHost implements Host {
  readonly name = 'fake';
  readonly capabilities: HostCapabilities = { time: 'virtual', hotplug: false };
  readonly clock = new VirtualClock();
  readonly dma: DmaMemory;
  readonly pci: readonly PciRoot[];
  /** The test is the device: it posts messages and drives lines. */
  readonly interrupts = new FakeInterrupts();

  constructor(options: FakeHostOptions = {}) {
    this.dma = new FakeDma(options.memoryBytes ?? 4 * 1024 * 1024);
    this.pci = options.pci === undefined ? [] : [new FakePciRoot(options.pci)];
  }

  start(): void {}
  stop(): void {}
}
