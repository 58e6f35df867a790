import { DevresEntry } from '../devres/index.js';
import type { Device, DeviceCore } from '../device/index.js';
import type { Host } from '../hal/index.js';
import { Errno, bits, hex, isPowerOfTwo } from '../lib/index.js';
import { DmaBuffer, type DmaPages, freeMemory } from './dma-buffer.js';
import { DmaCalls } from './dma-calls.js';
import type { DmaDebug } from './dma-debug.js';
import { type DmaMapping, type DmaSource, endMapping } from './dma-map.js';
import { DmaMapper, type DmaOptions } from './dma-mapper.js';
import { HostMemory } from './dma-memory.js';
import { type SgElement, type SgPart, mapList } from './dma-sg.js';
import { type DmaDirection, checkDirection } from './dma-types.js';

/** Masks below this reach less than the zone that is kept for such devices. @see Linux 6.12 kernel/dma/direct.c dma_direct_supported */
const SMALLEST_BITS = 24;
const LARGEST_BITS = 53;

/** Options of {@link Dma.alloc} and {@link Dma.pages}. */
export interface DmaAllocOptions {
  /** Power of two; default 4096. */
  readonly alignBytes?: number;
}

/** Options of {@link Dma.map}. */
export interface DmaMapOptions {
  /** Where the mapped part begins in the buffer; default 0. Its place within a page of 4096 bytes is that of the device's address. */
  readonly offset?: number;
  /** Bytes; default all from `offset` on. */
  readonly length?: number;
  /** Bits of {@link DmaAttr}; default none. */
  readonly attrs?: number;
}

/** What a device can take as one element of a list. */
export interface DmaLimits {
  /** Bytes of an element at most; default 65,536. */
  readonly maxSegmentBytes?: number;
  /** An element does not cross a multiple of this plus 1, a power of two; default 2^32 - 1. */
  readonly boundaryMask?: number;
}

/**
 * Memory for the devices of one system; the class is the name under which drivers inject it.
 *
 * `alloc` gives memory that both sides share; `map` lets a device reach a buffer that exists, for a while and in one direction. What a
 * device is told are addresses of its own, which mean nothing elsewhere: where an IOMMU translates, it reaches what was mapped for it
 * and nothing else. What it can address belongs to its binding, and is 32 bits when a driver is bound.
 * @see Linux 6.12 Documentation/core-api/dma-api.rst
 */
export class Dma {
  /** The calls as Linux has them: a driver unmaps what it maps, and asks whether a mapping was made. */
  readonly calls: DmaCalls;
  readonly #mapper: DmaMapper;
  #label = '';
  #labelBytes = -1;

  constructor(core: DeviceCore, host: Host, options: DmaOptions = {}) {
    this.#mapper = new DmaMapper(core, host, options);
    this.calls = new DmaCalls(this.#mapper);
  }

  /** What checks how drivers use it, and what it has found. */
  get debug(): DmaDebug {
    return this.#mapper.debug;
  }

  /** The highest address that the device can send, as a mask of ones. */
  mask(dev: Device): number {
    return this.#mapper.of(dev).mask;
  }

  /**
   * Says which addresses the device can send, until unbind.
   * @param maskOrBits a number of bits, 24 to 64, or the mask itself; what is above 2^53 counts as 2^53
   * @throws {Errno} EIO when no memory can be reached with it; EINVAL when it is no mask of ones
   * @see Linux 6.12 kernel/dma/mapping.c dma_set_mask_and_coherent
   */
  setMask(dev: Device, maskOrBits: number): void {
    const mask = toMask(dev, maskOrBits);
    const device = this.#mapper.of(dev);
    dev.devres.acquire(
      `dma mask 0x${hex(mask)}`,
      () => {
        const before = device.mask;
        device.mask = mask;
        return before;
      },
      (before) => {
        device.mask = before;
      },
    );
  }

  /**
   * Says what the device takes as one element of a list, until unbind.
   * @throws {Errno} EINVAL for what is no length, or no mask of ones
   * @see Linux 6.12 include/linux/dma-mapping.h dma_set_max_seg_size, dma_set_seg_boundary
   */
  setLimits(dev: Device, limits: DmaLimits): void {
    const device = this.#mapper.of(dev);
    const { maxSegmentBytes = device.maxSegmentBytes, boundaryMask = device.boundaryMask } = limits;
    if (
      !(Number.isSafeInteger(maxSegmentBytes) && maxSegmentBytes > 0 && isPowerOfTwo(boundaryMask + 1) && boundaryMask >= 4095)
    ) {
      const what = `elements of ${maxSegmentBytes} bytes, boundary mask 0x${hex(boundaryMask)}`;
      throw new Errno('EINVAL', `${dev.name}: dma: ${what}: must be a positive integer, and a mask of 12 ones or more`);
    }
    dev.devres.acquire(
      'dma limits',
      () => {
        const before = { maxSegmentBytes: device.maxSegmentBytes, boundaryMask: device.boundaryMask };
        Object.assign(device, { maxSegmentBytes, boundaryMask });
        return before;
      },
      (before) => {
        Object.assign(device, before);
      },
    );
  }

  /**
   * Takes zeroed memory that is contiguous for the device. Managed: in the ledger it is `dma 4096 bytes`, and dead after unbind.
   * @param sizeBytes at least 1
   * @throws {Errno} EINVAL for a size or alignment that cannot be; ENOMEM when there is none within the device's mask
   * @see Linux 6.12 kernel/dma/mapping.c dmam_alloc_coherent
   */
  alloc(dev: Device, sizeBytes: number, options: DmaAllocOptions = {}): DmaBuffer {
    checkAlloc(dev, sizeBytes, options.alignBytes);
    const label = `dma ${sizeBytes} bytes`;
    dev.devres.faultPoint(label);
    const buffer = this.#mapper.allocCoherent(this.#mapper.of(dev), sizeBytes, options.alignBytes);
    if (buffer === undefined) throw this.#failed(dev, label);
    buffer.mapping.entry = dev.devres.add(new DevresEntry(label, freeMemory, buffer));
    return buffer;
  }

  /**
   * Takes zeroed memory that is contiguous and can be mapped. Managed: in the ledger it is `dma pages 4096 bytes`, and dead after unbind.
   * @param sizeBytes at least 1
   * @throws {Errno} EINVAL for a size or alignment that cannot be; ENOMEM when there is none
   * @see Linux 6.12 mm/page_alloc.c alloc_pages
   */
  pages(dev: Device, sizeBytes: number, options: DmaAllocOptions = {}): DmaPages {
    checkAlloc(dev, sizeBytes, options.alignBytes);
    const label = `dma pages ${sizeBytes} bytes`;
    dev.devres.faultPoint(label);
    const pages = this.#mapper.allocPages(dev, sizeBytes, options.alignBytes);
    pages.entry = dev.devres.enter(label, pages, freeMemory);
    return pages;
  }

  /**
   * Lets the device reach a buffer, until the mapping is ended or the binding is. In the ledger it is `dma map 4096 bytes`.
   *
   * Where the device cannot have the buffer itself it gets a copy: of an array always, of pages when they are beyond its mask.
   * @param direction who writes it meanwhile
   * @throws {Errno} ERANGE for a part that is not in the buffer; EINVAL for memory that the device has already (rule
   *   `dma-bad-memory`), or what is no direction; ENOMEM without addresses or memory; EIO beyond the device's mask; ENODEV after unbind
   * @see Linux 6.12 kernel/dma/mapping.c dma_map_page_attrs
   */
  map(dev: Device, buffer: DmaSource, direction: DmaDirection, options: DmaMapOptions = {}): DmaMapping {
    const { offset = 0, attrs = 0 } = options;
    const length = options.length ?? lengthOf(buffer) - offset;
    checkDirection(dev, direction);
    this.#checkPart(dev, buffer, offset, length);
    const label = this.#mapLabel(length);
    dev.devres.faultPoint(label);
    const mapping = this.#mapper.map(this.#mapper.of(dev), buffer, offset, length, direction, attrs);
    if (mapping === undefined) throw this.#failed(dev, label);
    mapping.entry = dev.devres.add(new DevresEntry(label, endMapping, mapping));
    return mapping;
  }

  /**
   * Lets the device reach the parts of a list, in as few runs of addresses as its limits allow: `segments` of what this gives.
   * @param list one part at least
   * @throws {Errno} as {@link map}; EINVAL for an empty list
   * @see Linux 6.12 kernel/dma/mapping.c dma_map_sgtable
   */
  mapSg(dev: Device, list: readonly SgElement[], direction: DmaDirection, attrs = 0): DmaMapping {
    checkDirection(dev, direction);
    if (list.length === 0) throw new Errno('EINVAL', `${dev.name}: dma map of an empty list`);
    const parts: SgPart[] = [];
    let sizeBytes = 0;
    for (const { buffer, offset = 0, length = lengthOf(buffer) - offset } of list) {
      this.#checkPart(dev, buffer, offset, length);
      parts.push({ source: buffer, offset, sizeBytes: length });
      sizeBytes += length;
    }
    const label = this.#mapLabel(sizeBytes);
    dev.devres.faultPoint(label);
    const mapping = mapList(this.#mapper, this.#mapper.of(dev), parts, direction, attrs);
    if (mapping === undefined) throw this.#failed(dev, label);
    mapping.entry = dev.devres.add(new DevresEntry(label, endMapping, mapping));
    return mapping;
  }

  /** Makes hardware forget what was unmapped, where that is put off. */
  flush(): void {
    this.#mapper.flush();
  }

  /** The end of the system. @internal */
  close(): void {
    this.#mapper.close();
  }

  /** A mapping of one length follows another, so the last label is kept. */
  #mapLabel(sizeBytes: number): string {
    if (sizeBytes !== this.#labelBytes) {
      this.#labelBytes = sizeBytes;
      this.#label = `dma map ${sizeBytes} bytes`;
    }
    return this.#label;
  }

  #failed(dev: Device, label: string): Errno {
    const { code, what } = this.#mapper.failure;
    return new Errno(code, `${dev.name}: ${label}: ${what}`);
  }

  #checkPart(dev: Device, buffer: DmaSource | DmaBuffer, offset: number, length: number): void {
    if (buffer instanceof HostMemory) buffer.checkLive();
    if (buffer instanceof DmaBuffer) {
      const what = `device driver maps memory from coherent area [addr=0x${hex(buffer.physicalAddress)}] [len=${length}]`;
      throw this.debug.violate('dma-bad-memory', dev, what);
    }
    const size = lengthOf(buffer);
    if (Number.isSafeInteger(offset) && offset >= 0 && Number.isSafeInteger(length) && length > 0 && offset + length <= size)
      return;
    throw new Errno('ERANGE', `${dev.name}: dma map of ${length} bytes at offset ${offset} of a buffer of ${size} bytes`);
  }
}

const lengthOf = (buffer: DmaSource | DmaBuffer): number => (buffer instanceof HostMemory ? buffer.sizeBytes : buffer.byteLength);

function checkAlloc(dev: Device, sizeBytes: number, alignBytes: number | undefined): void {
  if (!(Number.isSafeInteger(sizeBytes) && sizeBytes > 0)) {
    throw new Errno('EINVAL', `${dev.name}: dma of ${sizeBytes} bytes: must be a positive integer`);
  }
  if (alignBytes !== undefined && !isPowerOfTwo(alignBytes)) {
    throw new Errno('EINVAL', `${dev.name}: dma aligned to ${alignBytes} bytes: must be a power of two`);
  }
}

function toMask(dev: Device, maskOrBits: number): number {
  if (!(Number.isInteger(maskOrBits) && maskOrBits > 0)) {
    throw new Errno('EINVAL', `${dev.name}: dma mask ${maskOrBits}: must be a number of bits, or a mask of ones`);
  }
  // No mask that a device may have is as small as a number of bits.
  const width = maskOrBits <= 64 ? maskOrBits : Math.log2(maskOrBits + 1);
  const isMask = maskOrBits > Number.MAX_SAFE_INTEGER || Number.isInteger(width);
  if (!isMask) throw new Errno('EINVAL', `${dev.name}: dma mask 0x${hex(maskOrBits)}: is no mask of ones`);
  if (width < SMALLEST_BITS) {
    throw new Errno('EIO', `${dev.name}: dma mask of ${width} bits: no memory is within it, ${SMALLEST_BITS} bits are the least`);
  }
  return width >= LARGEST_BITS ? Number.MAX_SAFE_INTEGER : bits(width - 1, 0);
}
