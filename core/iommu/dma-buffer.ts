import type { DevresEntry } from '../devres/index.js';
import { hex } from '../lib/index.js';
import type { DmaMapping } from './dma-map.js';
import { HostMemory, type MemorySource } from './dma-memory.js';

/**
 * Memory that a device and its driver share: both see a write as soon as it was made, in order. Freed when the binding ends, or
 * when it is disposed of.
 */
export class DmaBuffer extends HostMemory {
  /** What the device is to be told. */
  readonly address: number;
  /** How the device reaches it. @internal */
  readonly mapping: DmaMapping;

  /** @internal */
  constructor(source: MemorySource, physicalAddress: number, mapping: DmaMapping) {
    super(source, physicalAddress, mapping.sizeBytes, mapping.dev);
    this.address = mapping.address;
    this.mapping = mapping;
  }

  override [Symbol.dispose](): void {
    this.mapping[Symbol.dispose]();
  }

  /** The end of the allocation: no device reaches it when it is freed. @internal */
  override end(): void {
    this.mapping.device.mapper.end(this.mapping);
    super.end();
  }

  protected override get label(): string {
    return `dma 0x${hex(this.address)}`;
  }
}

/**
 * Memory of a driver that has a physical address, so that it can be mapped as it is: rings, packets, pages of a user. No device
 * reaches it before `Dma.map` has said which, and for what. Freed when the binding ends, or when it is disposed of.
 */
export class DmaPages extends HostMemory {
  /** In the ledger. @internal */
  entry: DevresEntry | undefined = undefined;

  override [Symbol.dispose](): void {
    const { entry } = this;
    if (entry?.ledger !== undefined) void entry.ledger.releaseEntry(entry);
  }

  protected override get label(): string {
    return `pages at 0x${hex(this.physicalAddress)}`;
  }
}

/** The release of memory. @internal */
export const freeMemory = (memory: HostMemory): void => memory.end();
