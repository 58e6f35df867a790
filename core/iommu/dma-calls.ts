import { DevresEntry } from '../devres/index.js';
import type { Device } from '../device/index.js';
import { ERRNO, Errno, hex } from '../lib/index.js';
import { DmaBuffer, type DmaPages } from './dma-buffer.js';
import type { DmaDevice, UnmapRef } from './dma-device.js';
import type { DmaMapping, DmaSource } from './dma-map.js';
import type { DmaMapper } from './dma-mapper.js';
import { HostMemory } from './dma-memory.js';
import { type SgList, type SgPart, mapList } from './dma-sg.js';
import { DMA_MAPPING_ERROR, DmaAttr, type DmaDirection, checkDirection } from './dma-types.js';

/** The codes that `mapSgTable` has. @see Linux 6.12 kernel/dma/mapping.c dma_map_sgtable */
const SG_CODES = new Set(['EINVAL', 'ENOMEM', 'EIO']);

/**
 * Mappings as Linux has them: numbers that the driver keeps, and gives back with all that it said when it made them. Failures are
 * values. For drivers that map for each packet, where a handle would be one too many; `Dma.map` is easier to use, and undone by itself.
 *
 * What such a call breaks is reported as Linux's checker does, and the call goes on: an unmap undoes what was made, whatever it says.
 * What is left at unbind is reported, and undone then.
 * @see Linux 6.12 include/linux/dma-mapping.h, Documentation/core-api/dma-api.rst
 */
export class DmaCalls {
  readonly #mapper: DmaMapper;

  /** @internal */
  constructor(mapper: DmaMapper) {
    this.#mapper = mapper;
  }

  /**
   * Maps the first `sizeBytes` of a buffer.
   * @param attrs bits of {@link DmaAttr}
   * @returns what the device is to be told; {@link DMA_MAPPING_ERROR}, which `mappingError` tells, when it cannot be done
   * @throws {Errno} EINVAL for what is no direction
   */
  mapSingle(dev: Device, buffer: DmaSource, sizeBytes: number, direction: DmaDirection, attrs = 0): number {
    return this.#map(dev, buffer, 0, sizeBytes, direction, attrs);
  }

  /** Maps a part of pages. See {@link mapSingle}. */
  mapPage(dev: Device, pages: DmaPages, offset: number, sizeBytes: number, direction: DmaDirection, attrs = 0): number {
    return this.#map(dev, pages, offset, sizeBytes, direction, attrs);
  }

  /** Whether an address is none: 0, or -ENOMEM. Each is to be asked before it is used. */
  mappingError(dev: Device, address: number): number {
    if (address === DMA_MAPPING_ERROR) return -ERRNO.ENOMEM;
    const mapping = this.#mapper.of(dev).unchecked(address);
    if (mapping !== undefined) mapping.isChecked = true;
    return 0;
  }

  /** Ends a mapping; address, size, direction and attributes are those of the mapping. */
  unmapSingle(dev: Device, address: number, sizeBytes: number, direction: DmaDirection, attrs = 0): void {
    checkDirection(dev, direction);
    this.#unmap(dev, { address, sizeBytes, kind: 'single', direction, attrs, listLength: 0 });
  }

  /** As {@link unmapSingle}: Linux has one for both. */
  unmapPage(dev: Device, address: number, sizeBytes: number, direction: DmaDirection, attrs = 0): void {
    this.unmapSingle(dev, address, sizeBytes, direction, attrs);
  }

  /**
   * Maps the first `count` elements of a list, and writes into it what the device is to be told.
   * @returns how many segments the device has: as many, or less; 0 when it cannot be done
   */
  mapSg(dev: Device, list: SgList, count: number, direction: DmaDirection, attrs = 0): number {
    return this.#mapList(dev, list, count, direction, attrs)?.segments.length ?? 0;
  }

  /** As {@link mapSg} of all of a list. @throws {Errno} EINVAL, ENOMEM or EIO when it cannot be done */
  mapSgTable(dev: Device, list: SgList, direction: DmaDirection, attrs = 0): void {
    if (this.#mapList(dev, list, list.length, direction, attrs) !== undefined) return;
    const { code, what } = this.#mapper.failure;
    throw new Errno(SG_CODES.has(code) ? code : 'EIO', `${dev.name}: dma map of a list of ${list.length}: ${what}`);
  }

  /** Ends the mapping of a list. @param count as it was mapped: not the number of segments */
  unmapSg(dev: Device, list: SgList, count: number, direction: DmaDirection, attrs = 0): void {
    checkDirection(dev, direction);
    const { address, sizeBytes } = spanOf(list);
    this.#unmap(dev, { address, sizeBytes, kind: 'scatter-gather', direction, attrs, listLength: count });
  }

  /** The CPU is to read what the device has written. */
  syncSingleForCpu(dev: Device, address: number, sizeBytes: number, direction: DmaDirection): void {
    this.#sync(dev, address, 0, sizeBytes, direction, true, 0);
  }

  /** The device is to see what the CPU has written. */
  syncSingleForDevice(dev: Device, address: number, sizeBytes: number, direction: DmaDirection): void {
    this.#sync(dev, address, 0, sizeBytes, direction, false, 0);
  }

  syncSingleRangeForCpu(dev: Device, address: number, offset: number, sizeBytes: number, direction: DmaDirection): void {
    this.#sync(dev, address, offset, sizeBytes, direction, true, 0);
  }

  syncSingleRangeForDevice(dev: Device, address: number, offset: number, sizeBytes: number, direction: DmaDirection): void {
    this.#sync(dev, address, offset, sizeBytes, direction, false, 0);
  }

  syncSgForCpu(dev: Device, list: SgList, count: number, direction: DmaDirection): void {
    const { address, sizeBytes } = spanOf(list);
    this.#sync(dev, address, 0, sizeBytes, direction, true, count);
  }

  syncSgForDevice(dev: Device, list: SgList, count: number, direction: DmaDirection): void {
    const { address, sizeBytes } = spanOf(list);
    this.#sync(dev, address, 0, sizeBytes, direction, false, count);
  }

  /** Takes zeroed memory that the device shares; undefined when there is none. */
  allocCoherent(dev: Device, sizeBytes: number): DmaBuffer | undefined {
    const device = this.#mapper.of(dev);
    if (!(Number.isSafeInteger(sizeBytes) && sizeBytes > 0) || !this.#mayAcquire(dev, sizeBytes)) return undefined;
    const buffer = this.#mapper.allocCoherent(device, sizeBytes, undefined);
    if (buffer !== undefined) this.#watch(device);
    return buffer;
  }

  /** Gives it back; size and address are those that it has. */
  freeCoherent(dev: Device, sizeBytes: number, buffer: HostMemory, address: number): void {
    const ref: UnmapRef = { address, sizeBytes, kind: 'coherent', direction: 'bidirectional', attrs: 0, listLength: 0 };
    this.#unmap(dev, ref, buffer.physicalAddress);
  }

  #map(dev: Device, source: DmaSource, offset: number, sizeBytes: number, direction: DmaDirection, attrs: number): number {
    checkDirection(dev, direction);
    const device = this.#mapper.of(dev);
    if (!this.#isMappable(dev, source, offset, sizeBytes) || !this.#mayAcquire(dev, sizeBytes)) return DMA_MAPPING_ERROR;
    const mapping = this.#mapper.map(device, source, offset, sizeBytes, direction, attrs);
    if (mapping === undefined) {
      this.#logFailure(dev, sizeBytes, attrs);
      return DMA_MAPPING_ERROR;
    }
    mapping.isChecked = false;
    this.#watch(device);
    return mapping.address;
  }

  #mapList(dev: Device, list: SgList, count: number, direction: DmaDirection, attrs: number): DmaMapping | undefined {
    checkDirection(dev, direction);
    const device = this.#mapper.of(dev);
    const parts: SgPart[] = [];
    let total = 0;
    for (const { buffer, offset = 0, length = sizeOf(buffer) - offset } of list.elements.slice(0, count)) {
      if (!this.#isMappable(dev, buffer, offset, length)) return undefined;
      parts.push({ source: buffer, offset, sizeBytes: length });
      total += length;
    }
    if (parts.length === 0) this.#mapper.failure = { code: 'EINVAL', what: 'it is empty' };
    if (parts.length === 0 || !this.#mayAcquire(dev, total)) return undefined;
    const mapping = mapList(this.#mapper, device, parts, direction, attrs);
    if (mapping === undefined) {
      this.#logFailure(dev, total, attrs);
      return undefined;
    }
    list.segments = mapping.segments;
    this.#watch(device);
    return mapping;
  }

  #unmap(dev: Device, ref: UnmapRef, cpuAddress?: number): void {
    const mapping = this.#mapper.of(dev).bestFit(ref);
    this.#mapper.debug.checkUnmap(dev, ref, mapping, cpuAddress);
    if (mapping !== undefined) this.#mapper.unmap(mapping, ref.attrs);
  }

  #sync(
    dev: Device,
    address: number,
    offset: number,
    sizeBytes: number,
    direction: DmaDirection,
    toCpu: boolean,
    listLength: number,
  ): void {
    checkDirection(dev, direction);
    const mapping = this.#mapper.of(dev).containing(address);
    this.#mapper.debug.checkSync(dev, mapping, address, offset + sizeBytes, direction, toCpu, listLength);
    if (mapping === undefined) return;
    const from = address - mapping.address + offset;
    this.#mapper.sync(mapping, from, Math.min(from + sizeBytes, mapping.sizeBytes), !toCpu, direction);
  }

  /** @see Linux 6.12 kernel/dma/debug.c debug_dma_map_single */
  #isMappable(dev: Device, source: DmaSource | DmaBuffer, offset: number, sizeBytes: number): boolean {
    const isCoherent = source instanceof DmaBuffer;
    const isLive = !(source instanceof HostMemory) || source.isLive;
    const isInside = Number.isSafeInteger(offset) && offset >= 0 && sizeBytes > 0 && offset + sizeBytes <= sizeOf(source);
    if (isLive && isInside && !isCoherent) return true;
    const { debug } = this.#mapper;
    const at = source instanceof HostMemory ? source.physicalAddress : 0;
    const what = `device driver maps memory from ${isCoherent ? 'coherent' : 'invalid'} area`;
    if (!debug.disabled) debug.report('dma-bad-memory', dev, `${what} [addr=0x${hex(at + offset)}] [len=${sizeBytes}]`);
    this.#mapper.failure = { code: 'EINVAL', what: 'its memory cannot be mapped' };
    return false;
  }

  /** False when the binding is over, or the test kit makes it fail. */
  #mayAcquire(dev: Device, sizeBytes: number): boolean {
    const { devres } = dev;
    if (devres.sealed === undefined && this.#mapper.core.devresHooks === undefined) return true;
    try {
      devres.faultPoint(`dma map ${sizeBytes} bytes`);
      return true;
    } catch (error) {
      this.#mapper.failure = { code: Errno.codeOf(error), what: Errno.is(error) ? error.text : 'it was refused' };
      return false;
    }
  }

  #logFailure(dev: Device, sizeBytes: number, attrs: number): void {
    if ((attrs & DmaAttr.NO_WARN) !== 0) return;
    this.#mapper.core.logFor('warn', dev.name, `dma map ${sizeBytes} bytes: ${this.#mapper.failure.what}`, 'dma_map_failed');
  }

  /** One more mapping that its driver must end; what is left at the end of the binding is found by an entry in the ledger. */
  #watch(device: DmaDevice): void {
    device.loose++;
    if (device.isWatched) return;
    device.isWatched = true;
    enterWatch(device, false);
  }
}

/** What looks for forgotten mappings when the binding ends. */
interface Watch {
  readonly device: DmaDevice;
  /** Sweeps of the ledger before. */
  readonly sweep: number;
  /** Whether the resources of the binding have had their turn. */
  readonly isLast: boolean;
}

function enterWatch(device: DmaDevice, isLast: boolean): void {
  const { devres } = device.dev;
  const watch: Watch = { device, sweep: devres.sweep, isLast };
  devres.add(new DevresEntry('dma mappings', endWatch, watch));
}

function endWatch({ device, sweep, isLast }: Watch): void {
  if (device.loose === 0) {
    device.isWatched = false;
    return;
  }
  // A group ended, or releases that come later may still unmap: what they leave is found by the next sweep of the ledger.
  const isSweep = device.dev.devres.sweep !== sweep;
  if (!isSweep || !isLast) {
    enterWatch(device, isSweep);
    return;
  }
  device.isWatched = false;
  const left = device.looseMappings();
  device.mapper.debug.leaked(device.dev, left);
  for (const mapping of left) device.mapper.unmap(mapping);
}

const sizeOf = (source: DmaSource | DmaBuffer): number => (source instanceof HostMemory ? source.sizeBytes : source.byteLength);

/** First address and bytes of a list as it was mapped. */
function spanOf({ segments }: SgList): { address: number; sizeBytes: number } {
  let sizeBytes = 0;
  for (const segment of segments) sizeBytes += segment.sizeBytes;
  return { address: segments[0]?.address ?? 0, sizeBytes };
}
