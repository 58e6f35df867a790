import type { DevresEntry } from '../devres/index.js';
import type { Device } from '../device/index.js';
import type { DmaMemory } from '../hal/index.js';
import { Errno, hex } from '../lib/index.js';
import type { DmaDevice } from './dma-device.js';
import type { DmaPages } from './dma-buffer.js';
import { HostMemory } from './dma-memory.js';
import type { DmaDirection, DmaKind } from './dma-types.js';
import type { IommuDomain } from './domain.js';
import type { IovaSpace } from './iova.js';

/**
 * What a driver can map. Pages are reached where they are. A plain array has no physical address: the device works on a copy in
 * memory of the host, which is brought up to date when it is mapped, synchronised and unmapped, and at no other time.
 */
export type DmaSource = Uint8Array | DmaPages;

/** What a device was given a copy of, and the copy. @internal */
export class BouncedPiece {
  constructor(
    /** Where it begins in its mapping. */
    readonly start: number,
    readonly source: Uint8Array | HostMemory,
    readonly offset: number,
    readonly sizeBytes: number,
    /** Physical address of the first byte of the copy. */
    readonly copy: number,
    /** Start of the allocation that the copy is in. */
    readonly allocation: number,
  ) {}

  /** Copies what of the bytes [from, end) of the mapping is in this piece. */
  sync(memory: DmaMemory, from: number, end: number, toDevice: boolean): void {
    const first = Math.max(from - this.start, 0);
    const count = Math.min(end - this.start, this.sizeBytes) - first;
    if (count <= 0) return;
    const copy = this.copy + first;
    const { source } = this;
    if (source instanceof HostMemory) {
      // What was freed under a mapping may belong to somebody else by now.
      if (!source.isLive) return;
      const original = source.physicalAddress + this.offset + first;
      if (toDevice) memory.copy(original, copy, count);
      else memory.copy(copy, original, count);
    } else if (toDevice) {
      memory.write(copy, source, this.offset + first, count);
    } else {
      memory.read(copy, source, this.offset + first, count);
    }
  }
}

/** What mappings have that need no copy. @internal */
export const NO_PIECES: readonly BouncedPiece[] = [];

/** A run of addresses that a device is told. */
export interface DmaSegment {
  readonly address: number;
  readonly sizeBytes: number;
}

/** What a mapped list is to the device. @internal */
export interface MappedList {
  readonly length: number;
  readonly segments: readonly DmaSegment[];
}

/** What a mapping is made of. @internal */
export interface MappingParts {
  readonly device: DmaDevice;
  readonly kind: DmaKind;
  readonly address: number;
  readonly sizeBytes: number;
  readonly direction: DmaDirection;
  readonly attrs: number;
  /** Where the CPU has its first byte. */
  readonly cpuAddress: number;
  readonly pieces: readonly BouncedPiece[];
  /** Undefined where the device is not translated. */
  readonly domain: IommuDomain | undefined;
  readonly space: IovaSpace | undefined;
  readonly iova: number;
  readonly iovaBytes: number;
}

/**
 * A buffer that a device reaches for a while: unmapped when the binding ends, or earlier by `unmap` or `using`.
 *
 * While it is mapped it is the device's: what the CPU reads before `syncForCpu` may be old, and what it writes without
 * `syncForDevice` may not arrive. One that could not be made was thrown, so there is no error to check.
 * @see Linux 6.12 Documentation/core-api/dma-api.rst
 */
export class DmaMapping implements Disposable {
  /** What the device is to be told. */
  readonly address: number;
  readonly sizeBytes: number;
  readonly direction: DmaDirection;
  /** @internal */ readonly kind: DmaKind;
  /** @internal */ readonly attrs: number;
  /** @internal */ readonly device: DmaDevice;
  /** @internal */ readonly cpuAddress: number;
  /** Emptied at its end, so that no buffer is kept. @internal */
  pieces: readonly BouncedPiece[];
  /** @internal */ readonly domain: IommuDomain | undefined;
  /** @internal */ readonly space: IovaSpace | undefined;
  /** @internal */ readonly iova: number;
  /** @internal */ readonly iovaBytes: number;
  /** Length of the list that was mapped; 0 for a single buffer. @internal */
  readonly listLength: number;
  readonly #segments: readonly DmaSegment[] | undefined;
  /** The memory that is freed with it, of a coherent one. @internal */
  memory: HostMemory | undefined = undefined;
  /** Whether it was asked if it was made. @internal */
  isChecked = true;
  /** Whether the checker knows it. @internal */
  isTracked = false;
  /** @internal */ isOver = false;
  /** @internal */ state: 'live' | 'unmapped' | 'unbound' = 'live';
  /** In the ledger; absent when its driver unmaps it. @internal */
  entry: DevresEntry | undefined = undefined;
  /** Who mapped it: the name of the driver, and the call, where the test kit is attached. @internal */
  readonly mappedBy: string;
  /** @internal */ mappedAt: Error | undefined = undefined;
  /** The next one on the same page of device addresses. @internal */
  chain: DmaMapping | undefined = undefined;
  /** Neighbours among all that the checker knows. @internal */
  prev: DmaMapping | undefined = undefined;
  /** @internal */ next: DmaMapping | undefined = undefined;

  /** @internal */
  constructor(parts: MappingParts, list: MappedList | undefined) {
    this.address = parts.address;
    this.sizeBytes = parts.sizeBytes;
    this.direction = parts.direction;
    this.kind = parts.kind;
    this.attrs = parts.attrs;
    this.device = parts.device;
    this.cpuAddress = parts.cpuAddress;
    this.pieces = parts.pieces;
    this.domain = parts.domain;
    this.space = parts.space;
    this.iova = parts.iova;
    this.iovaBytes = parts.iovaBytes;
    this.listLength = list?.length ?? 0;
    this.#segments = list?.segments;
    this.mappedBy = parts.device.driverName;
  }

  /** All that the device is to be told: of a list, as many runs of addresses as it takes. */
  get segments(): readonly DmaSegment[] {
    return this.#segments ?? [{ address: this.address, sizeBytes: this.sizeBytes }];
  }

  /** What the checker counts it as. @internal */
  get entries(): number {
    return this.#segments?.length ?? 1;
  }

  /** Whose device reaches it. @internal */
  get dev(): Device {
    return this.device.dev;
  }

  /**
   * The CPU is to read what the device has written: `length` bytes from `offset` on, all by default.
   * @throws {Errno} ENODEV after unbind; EINVAL after `unmap` (rule `dma-sync-not-mapped`), or outside it (`dma-sync-range`)
   * @see Linux 6.12 include/linux/dma-mapping.h dma_sync_single_range_for_cpu
   */
  syncForCpu(offset = 0, length: number = this.sizeBytes - offset): void {
    this.#sync(offset, length, false);
  }

  /** The device is to see what the CPU has written. See {@link syncForCpu}. */
  syncForDevice(offset = 0, length: number = this.sizeBytes - offset): void {
    this.#sync(offset, length, true);
  }

  /**
   * Ends it now. The CPU sees what the device has written; an access of the device from here on is a fault.
   * @throws {Errno} ENODEV after unbind; EINVAL the second time (rule `dma-double-unmap`)
   */
  unmap(): void {
    const { mapper } = this.device;
    if (this.state === 'unbound') throw mapper.deadUse(this);
    if (this.state === 'unmapped')
      throw mapper.debug.violate('dma-double-unmap', this.dev, notAllocated(this.address, this.sizeBytes));
    mapper.unmap(this);
  }

  /** Ends it now; harmless when it is over. */
  [Symbol.dispose](): void {
    if (this.state === 'live') this.device.mapper.unmap(this);
  }

  /** Copies between the buffers and what the device sees. @internal */
  copy(from: number, end: number, toDevice: boolean): void {
    const { memory } = this.device.mapper;
    for (const piece of this.pieces) piece.sync(memory, from, end, toDevice);
  }

  #sync(offset: number, length: number, toDevice: boolean): void {
    const { mapper } = this.device;
    if (this.state === 'unbound') throw mapper.deadUse(this);
    if (this.state === 'unmapped') {
      const what = `device driver tries to sync DMA memory it has not allocated ${addressAndSize(this.address, length)}`;
      throw mapper.debug.violate('dma-sync-not-mapped', this.dev, what);
    }
    if (!(Number.isSafeInteger(offset) && offset >= 0 && length >= 0 && offset + length <= this.sizeBytes)) {
      throw mapper.debug.violate('dma-sync-range', this.dev, outsideRange(this, offset + length));
    }
    mapper.sync(this, offset, offset + length, toDevice, this.direction);
  }
}

/** As Linux's reports have it. @internal */
export const addressAndSize = (address: number, sizeBytes: number): string =>
  `[device address=0x${hex(address, 16)}] [size=${sizeBytes} bytes]`;

/** @internal */
export const notAllocated = (address: number, sizeBytes: number): string =>
  `device driver tries to free DMA memory it has not allocated ${addressAndSize(address, sizeBytes)}`;

/** @internal */
export const outsideRange = (mapping: DmaMapping, end: number): string =>
  `device driver syncs DMA memory outside allocated range [device address=0x${hex(mapping.address, 16)}] ` +
  `[allocation size=${mapping.sizeBytes} bytes] [sync offset+size=${end}]`;

/** What a handle that outlived its binding says. @internal */
export function usedAfterUnbind(mapping: DmaMapping): Errno {
  const { dev, address, sizeBytes } = mapping;
  return new Errno('ENODEV', `${dev.name}: dma map 0x${hex(address)}, ${sizeBytes} bytes, used after unbind`);
}

/** The release of a mapping. @internal */
export const endMapping = (mapping: DmaMapping): void => mapping.device.mapper.end(mapping);
