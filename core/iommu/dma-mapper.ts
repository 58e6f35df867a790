import type { Device, DeviceCore } from '../device/index.js';
import type { DmaMemory, Host, IommuFault } from '../hal/index.js';
import { messageSenderOf } from '../msi/message-sender.js';
import { Errno, type ErrnoCode, type Subscription, alignUp } from '../lib/index.js';
import { DmaDebug, type DmaDebugOptions } from './dma-debug.js';
import { DmaDevice } from './dma-device.js';
import { DmaBuffer, DmaPages } from './dma-buffer.js';
import {
  BouncedPiece,
  DmaMapping,
  type DmaSource,
  type MappedList,
  type MappingParts,
  NO_PIECES,
  usedAfterUnbind,
} from './dma-map.js';
import { HostMemory, type MemorySource } from './dma-memory.js';
import { DmaAttr, type DmaDirection } from './dma-types.js';
import type { IommuDomain } from './domain.js';
import { EndedMappings } from './ended-mappings.js';
import { FlushQueue } from './flush-queue.js';
import { GRANULE, IovaSpace } from './iova.js';
import { PROT } from './page-table.js';

const ANYWHERE = Number.MAX_SAFE_INTEGER;
const LOW_MASK = 0xffff_ffff;
/** Where no memory is: arrays get addresses from here on, for the checker. */
const ARRAYS_START = 2 ** 52;
/** Interrupt messages go there, and are not translated. @see Intel 64 SDM, volume 3, 11.11.1 Message Address Register Format */
const MESSAGES_START = 0xfee0_0000;
const MESSAGES_BYTES = 0x10_0000;

/** Why something could not be mapped. */
interface Failure {
  readonly code: ErrnoCode;
  readonly what: string;
}

const OUT_OF_ADDRESSES: Failure = { code: 'ENOMEM', what: 'no I/O addresses are free within the mask' };
const BEYOND_MASK: Failure = { code: 'EIO', what: 'the buffer is beyond the mask, and there is no memory within it for a copy' };

/** How the DMA API works on a host; all of it has a default. */
export interface DmaOptions {
  /** The domain that the DMA API maps a device's buffers in; undefined where the device reaches memory as it is. */
  readonly domainOf?: (dev: Device) => IommuDomain | undefined;
  /**
   * Hardware is told of what was unmapped in batches, and addresses are used again after that: until then a device that is not quiet
   * reaches memory that may be somebody else's. Default false. Linux's `iommu.strict=0`.
   */
  readonly lazy?: boolean;
  /** Devices work on copies of all that is mapped, as where caches are not coherent: what was not synchronised is not seen. Default false. */
  readonly forceBounce?: boolean;
  readonly debug?: DmaDebugOptions;
}

/** Makes and ends mappings, for {@link Dma} and {@link DmaCalls}. What fails is a value; see `failure`. @internal */
export class DmaMapper implements MemorySource {
  readonly debug: DmaDebug;
  readonly memory: DmaMemory;
  /** Why the last mapping could not be made. */
  failure: Failure = OUT_OF_ADDRESSES;
  readonly #devices = new WeakMap<Device, DmaDevice>();
  readonly #spaces = new WeakMap<IommuDomain, IovaSpace>();
  readonly #domainOf: ((dev: Device) => IommuDomain | undefined) | undefined;
  readonly #queue: FlushQueue | undefined;
  readonly #forceBounce: boolean;
  readonly #faults: Subscription | undefined;
  /** Addresses of arrays, in the order in which they were first mapped. */
  readonly #arrays = new WeakMap<ArrayBufferLike, number>();
  #nextArray = ARRAYS_START;
  readonly #ended = new EndedMappings();

  constructor(
    readonly core: DeviceCore,
    host: Host,
    options: DmaOptions,
  ) {
    this.memory = host.dma;
    this.debug = new DmaDebug(core, options.debug);
    this.#domainOf = options.domainOf;
    this.#queue = options.lazy === true ? new FlushQueue(core.clock) : undefined;
    this.#forceBounce = options.forceBounce ?? false;
    this.#faults = host.iommu?.onFault((fault) => this.#checkFault(fault));
  }

  of(dev: Device): DmaDevice {
    let device = this.#devices.get(dev);
    if (device === undefined) {
      device = new DmaDevice(dev, this);
      this.#devices.set(dev, device);
    }
    return device;
  }

  reportDeadUse(dev: Device, text: string): void {
    this.core.report('use-after-unbind', dev, text);
  }

  /** What to throw at who uses a mapping of a binding that is over. */
  deadUse(mapping: DmaMapping): Errno {
    const error = usedAfterUnbind(mapping);
    this.reportDeadUse(mapping.dev, error.text);
    return error;
  }

  /** Listens no more. */
  close(): void {
    this.flush();
    this.#faults?.dispose();
  }

  /** Tells hardware of all that was unmapped, where that is put off. */
  flush(): void {
    this.#queue?.flush();
  }

  /** Maps a part of a buffer; undefined when it cannot be done. */
  map(
    device: DmaDevice,
    source: DmaSource,
    offset: number,
    length: number,
    direction: DmaDirection,
    attrs: number,
  ): DmaMapping | undefined {
    const isTranslated = this.enterDomain(device);
    const piece = this.bounce(device, source, offset, length, 0);
    if (piece === undefined) return undefined;
    const pieces = piece === 'direct' ? NO_PIECES : [piece];
    const physical = piece === 'direct' ? physicalOf(source) + offset : piece.copy;
    let iova = 0;
    let iovaBytes = 0;
    let address = physical;
    if (isTranslated) {
      const inPage = physical % GRANULE;
      iovaBytes = alignUp(inPage + length, GRANULE);
      iova = this.allocIova(device, iovaBytes);
      if (iova < 0 || !this.mapPages(device, iova, physical - inPage, iovaBytes, protectionOf(direction, attrs))) {
        if (iova >= 0) device.space!.free(iova, iovaBytes);
        this.freePieces(pieces);
        return undefined;
      }
      address = iova + inPage;
    }
    const cpuAddress = this.cpuAddressOf(source) + offset;
    const { domain, space } = device;
    const kind = 'single';
    return this.begin({
      device,
      kind,
      direction,
      attrs,
      address,
      sizeBytes: length,
      cpuAddress,
      pieces,
      domain,
      space,
      iova,
      iovaBytes,
    });
  }

  /** Takes memory that the device and the CPU share; undefined when it cannot be done. */
  allocCoherent(device: DmaDevice, sizeBytes: number, alignBytes: number | undefined): DmaBuffer | undefined {
    const isTranslated = this.enterDomain(device);
    const physical = this.#allocMemory(sizeBytes, isTranslated ? ANYWHERE : device.mask, alignBytes);
    if (physical < 0) return undefined;
    let iova = 0;
    const iovaBytes = isTranslated ? alignUp(sizeBytes, GRANULE) : 0;
    if (isTranslated) {
      iova = this.allocIova(device, iovaBytes, alignBytes);
      const isMapped = iova >= 0 && this.mapPages(device, iova, physical, iovaBytes, PROT.READ | PROT.WRITE | PROT.CACHE);
      if (!isMapped) {
        if (iova >= 0) device.space!.free(iova, iovaBytes);
        this.memory.free(physical);
        return undefined;
      }
    }
    const mapping = this.begin({
      device,
      kind: 'coherent',
      direction: 'bidirectional',
      // Nothing is copied: there is one memory.
      attrs: 0,
      address: isTranslated ? iova : physical,
      sizeBytes,
      cpuAddress: physical,
      pieces: NO_PIECES,
      domain: device.domain,
      space: device.space,
      iova,
      iovaBytes,
    });
    const buffer = new DmaBuffer(this, physical, mapping);
    mapping.memory = buffer;
    return buffer;
  }

  /** @throws {Errno} what the host throws */
  allocPages(dev: Device, sizeBytes: number, alignBytes: number | undefined): DmaPages {
    const constraint = { mask: ANYWHERE, ...(alignBytes !== undefined && { alignBytes }) };
    return new DmaPages(this, this.memory.alloc(sizeBytes, constraint), sizeBytes, dev);
  }

  /** Where the CPU has a buffer; for an array an address that only tells it from others. */
  cpuAddressOf(source: DmaSource): number {
    if (source instanceof HostMemory) return source.physicalAddress;
    let base = this.#arrays.get(source.buffer);
    if (base === undefined) {
      base = this.#nextArray;
      this.#nextArray += alignUp(source.buffer.byteLength + 1, GRANULE);
      this.#arrays.set(source.buffer, base);
    }
    return base + source.byteOffset;
  }

  /** Finds the domain of a device; false when it is not translated. */
  enterDomain(device: DmaDevice): boolean {
    const domain = this.#domainOf?.(device.dev);
    if (domain === device.domain) return device.space !== undefined;
    device.domain = domain;
    device.space = domain?.isPaging === true ? this.#spaceOf(domain) : undefined;
    return device.space !== undefined;
  }

  /** A copy for a device that cannot have the original; undefined when there is no memory for it. */
  bounce(
    device: DmaDevice,
    source: DmaSource,
    offset: number,
    length: number,
    start: number,
  ): BouncedPiece | 'direct' | undefined {
    const isTranslated = device.space !== undefined;
    if (source instanceof HostMemory && !this.#forceBounce) {
      if (isTranslated || source.physicalAddress + offset + length - 1 <= device.mask) return 'direct';
    }
    // The place within a page stays, as devices may have rules for it.
    const inPage = (physicalOf(source) + offset) % GRANULE;
    const allocation = this.#allocMemory(inPage + length, isTranslated ? ANYWHERE : device.mask, undefined);
    if (allocation < 0) {
      if (!isTranslated) this.failure = BEYOND_MASK;
      return undefined;
    }
    return new BouncedPiece(start, source, offset, length, allocation + inPage, allocation);
  }

  /** The highest free I/O addresses, those below 4 GiB first; -1 when there are none. */
  allocIova(device: DmaDevice, sizeBytes: number, alignBytes?: number): number {
    const iova = this.#searchIova(device, sizeBytes, alignBytes);
    if (iova >= 0) return iova;
    // Those that wait for the hardware to forget them may do.
    if (this.#queue?.flush() === true) return this.#searchIova(device, sizeBytes, alignBytes);
    return iova;
  }

  /** @see Linux 6.12 drivers/iommu/dma-iommu.c iommu_dma_alloc_iova */
  #searchIova(device: DmaDevice, sizeBytes: number, alignBytes: number | undefined): number {
    const space = device.space!;
    const limit = Math.min(device.mask, device.domain!.geometry.end);
    if (limit > LOW_MASK && device.isLowFirst) {
      const low = space.alloc(sizeBytes, LOW_MASK, alignBytes);
      if (low >= 0) return low;
      device.isLowFirst = false;
      this.core.logFor('notice', device.dev.name, `Using ${Math.ceil(Math.log2(limit))}-bit DMA addresses`, 'dma_bits');
    }
    const iova = space.alloc(sizeBytes, limit, alignBytes);
    if (iova < 0) this.failure = OUT_OF_ADDRESSES;
    return iova;
  }

  /** False when the domain refuses. */
  mapPages(device: DmaDevice, iova: number, physical: number, sizeBytes: number, prot: number): boolean {
    try {
      device.domain!.map(iova, physical, sizeBytes, prot);
      return true;
    } catch (error) {
      this.failure = { code: Errno.codeOf(error), what: Errno.is(error) ? error.text : 'the domain refuses' };
      return false;
    }
  }

  /** Records a mapping whose addresses are there, and gives the device what the CPU has written. */
  begin(parts: MappingParts, list?: MappedList): DmaMapping {
    const { attrs, sizeBytes } = parts;
    const mapping = new DmaMapping(parts, list);
    if (this.core.devresHooks !== undefined) mapping.mappedAt = new Error('mapped');
    // Also of what the device writes: what it does not write is to stay as it was.
    if ((attrs & DmaAttr.SKIP_CPU_SYNC) === 0) mapping.copy(0, sizeBytes, true);
    parts.device.add(mapping);
    this.debug.added(mapping);
    return mapping;
  }

  /**
   * Ends a mapping for its driver, which has it no longer in its ledger either.
   * @param attrs of the unmap, where the driver says them
   */
  unmap(mapping: DmaMapping, attrs: number = mapping.attrs): void {
    const { entry, memory, device } = mapping;
    mapping.state = 'unmapped';
    if (entry === undefined) device.loose--;
    if (entry?.ledger !== undefined) void entry.ledger.releaseEntry(entry);
    else if (memory !== undefined) memory.end();
    else this.end(mapping, attrs);
  }

  /** What is undone when a mapping ends: exactly what was made, whatever an unmap says of it. */
  end(mapping: DmaMapping, attrs: number = mapping.attrs): void {
    if (mapping.isOver) return;
    mapping.isOver = true;
    if (mapping.state === 'live') mapping.state = 'unbound';
    const { device, direction, pieces } = mapping;
    device.delete(mapping);
    this.debug.removed(mapping);
    if (mapping.space !== undefined) this.#endIova(mapping, mapping.space);
    if (mapping.space !== undefined)
      this.#ended.add(mapping, this.core.devresHooks === undefined ? undefined : new Error('unmapped'));
    try {
      if (direction !== 'to-device' && (attrs & DmaAttr.SKIP_CPU_SYNC) === 0) mapping.copy(0, mapping.sizeBytes, false);
    } finally {
      // An array that was detached or made shorter meanwhile takes nothing any more.
      mapping.pieces = NO_PIECES;
      this.freePieces(pieces);
    }
  }

  #endIova(mapping: DmaMapping, space: IovaSpace): void {
    const { iova, iovaBytes } = mapping;
    const domain = mapping.domain!;
    const queue = this.#queue;
    // A list that keeps clear of a boundary has holes, where an unmap ends.
    for (let at = iova; at < iova + iovaBytes;) {
      const left = iova + iovaBytes - at;
      const done = queue === undefined ? domain.unmap(at, left) : domain.unmapFast(at, left);
      at += done > 0 ? done : GRANULE;
    }
    if (queue === undefined) space.free(iova, iovaBytes);
    else queue.add(domain, space, iova, iovaBytes);
  }

  /** Copies what a sync asks for, by its direction. @see Linux 6.12 kernel/dma/swiotlb.c swiotlb_sync_single_for_cpu */
  sync(mapping: DmaMapping, from: number, end: number, toDevice: boolean, direction: DmaDirection): void {
    if (mapping.pieces.length === 0) return;
    if (toDevice ? direction !== 'from-device' : direction !== 'to-device') mapping.copy(from, end, toDevice);
  }

  freePieces(pieces: readonly BouncedPiece[]): void {
    for (const piece of pieces) this.memory.free(piece.allocation);
  }

  /** -1 when there is none. */
  #allocMemory(sizeBytes: number, mask: number, alignBytes: number | undefined): number {
    try {
      return this.memory.alloc(sizeBytes, { mask, ...(alignBytes !== undefined && { alignBytes }) });
    } catch (error) {
      this.failure = { code: Errno.codeOf(error), what: Errno.is(error) ? error.text : 'the host has no memory' };
      return -1;
    }
  }

  #spaceOf(domain: IommuDomain): IovaSpace {
    let space = this.#spaces.get(domain);
    if (space === undefined) {
      space = new IovaSpace(Math.ceil(Math.log2(domain.geometry.end)));
      space.reserve(MESSAGES_START, MESSAGES_BYTES);
      this.#spaces.set(domain, space);
    }
    return space;
  }

  /** An access that was refused may be one to what was unmapped a while ago. */
  #checkFault({ requesterId, pasid, iova, isWrite, reason }: IommuFault): void {
    if (pasid !== undefined || reason !== 'no-entry') return;
    const ended = this.#ended.find(iova, (dev) => messageSenderOf(dev)?.requesterId === requesterId);
    if (ended !== undefined) this.debug.usedAfterUnmap(ended, iova, isWrite);
  }
}

/** Where a buffer is to the host; 0 for what only this program knows. @internal */
export const physicalOf = (source: DmaSource): number => (source instanceof HostMemory ? source.physicalAddress : 0);

/** What the device may do. @see Linux 6.12 drivers/iommu/dma-iommu.c dma_info_to_prot @internal */
export function protectionOf(direction: DmaDirection, attrs: number): number {
  const prot = PROT.CACHE | ((attrs & DmaAttr.PRIVILEGED) === 0 ? 0 : PROT.PRIV);
  if (direction === 'to-device') return prot | PROT.READ;
  return direction === 'from-device' ? prot | PROT.WRITE : prot | PROT.READ | PROT.WRITE;
}
