import type { Device, DeviceCore } from '../device/index.js';
import { Errno, hex } from '../lib/index.js';
import type { DmaDevice, UnmapRef } from './dma-device.js';
import { type DmaMapping, addressAndSize, notAllocated, outsideRange } from './dma-map.js';
import type { EndedMapping } from './ended-mappings.js';
import { DMA_MAPPING_ERROR, type DmaDirection, DmaAttr, directionName } from './dma-types.js';

/** What lines of the cache are long, in bytes. */
const LINE_BYTES = 64;
const DEFAULT_ENTRIES = 65_536;

/** How the use of the DMA API is checked. */
export interface DmaDebugOptions {
  /** Default false: it is checked. */
  readonly disabled?: boolean;
  /** Mappings that are kept track of at most; with more, checking ends. Default 65,536. */
  readonly entries?: number;
  /** Default false: the first error is logged, and others are counted. */
  readonly allErrors?: boolean;
  /** Errors of this driver alone are logged. */
  readonly driverFilter?: string;
  /**
   * Alignment that buffers need so that no line of the cache has two; default 1: caches are coherent. From 64 bytes on, mappings
   * that share a line are reported.
   */
  readonly alignBytes?: number;
}

/**
 * Checks how drivers use the DMA API. Every error is counted, and is a broken rule of the test kit; the log has the first.
 * @see Linux 6.12 kernel/dma/debug.c
 */
export class DmaDebug {
  readonly #core: DeviceCore;
  #isDisabled: boolean;
  #errors = 0;
  /** Log every error. */
  allErrors: boolean;
  /** Errors that are still to be logged. */
  numErrors = 1;
  /** Log errors of this driver alone. */
  driverFilter: string | undefined;
  readonly totalEntries: number;
  #freeEntries: number;
  #minFreeEntries: number;
  readonly #hasLines: boolean;
  /** Mappings that the device writes, by line of the cache in which they begin. */
  readonly #lines = new Map<number, number>();
  #first: DmaMapping | undefined = undefined;
  #last: DmaMapping | undefined = undefined;

  /** @internal */
  constructor(core: DeviceCore, options: DmaDebugOptions = {}) {
    this.#core = core;
    this.#isDisabled = options.disabled ?? false;
    this.allErrors = options.allErrors ?? false;
    this.driverFilter = options.driverFilter;
    this.totalEntries = options.entries ?? DEFAULT_ENTRIES;
    this.#freeEntries = this.#minFreeEntries = this.totalEntries;
    this.#hasLines = (options.alignBytes ?? 1) >= LINE_BYTES;
  }

  /** Whether nothing is checked: it was asked for, or more was mapped than could be kept track of. */
  get disabled(): boolean {
    return this.#isDisabled;
  }

  get errorCount(): number {
    return this.#errors;
  }

  /** Entries that were free when fewest were. */
  get minFreeEntries(): number {
    return this.#minFreeEntries;
  }

  /** One line for each mapping, oldest first. @see Linux 6.12 kernel/dma/debug.c debug_dma_dump_mappings */
  dump(): string[] {
    const lines: string[] = [];
    for (const m of this.mappings()) {
      const error = m.isChecked ? 'dma map error check not applicable' : 'dma map error not checked';
      lines.push(
        `${m.mappedBy} ${m.dev.name} ${m.kind} P=${hex(m.cpuAddress)} D=${hex(m.address)} L=${hex(m.sizeBytes)} ` +
          `${directionName(m.direction)} ${error}`,
      );
    }
    return lines;
  }

  /** The mappings that it knows, oldest first. @internal */
  *mappings(): Generator<DmaMapping> {
    for (let m = this.#first; m !== undefined; m = m.next) yield m;
  }

  /** A mapping was made. @internal */
  added(m: DmaMapping): void {
    if (this.#isDisabled) return;
    if (this.#freeEntries < m.entries) {
      this.#isDisabled = true;
      this.#core.logFor('err', m.dev.name, 'DMA-API: debugging out of memory - disabling', 'dma_debug');
      return;
    }
    this.#freeEntries -= m.entries;
    if (this.#freeEntries < this.#minFreeEntries) this.#minFreeEntries = this.#freeEntries;
    m.isTracked = true;
    m.prev = this.#last;
    if (this.#last === undefined) this.#first = m;
    else this.#last.next = m;
    this.#last = m;
    if (this.#hasLines && m.direction !== 'to-device' && m.kind !== 'coherent') this.#addLine(m);
  }

  /** A mapping is gone. @internal */
  removed(m: DmaMapping): void {
    if (!m.isTracked) return;
    m.isTracked = false;
    this.#freeEntries += m.entries;
    if (m.prev === undefined) this.#first = m.next;
    else m.prev.next = m.next;
    if (m.next === undefined) this.#last = m.prev;
    else m.next.prev = m.prev;
    m.prev = m.next = undefined;
    if (this.#hasLines && m.direction !== 'to-device' && m.kind !== 'coherent') this.#removeLine(m);
  }

  /**
   * An unmap is about to be made of what it was found to mean.
   * @param cpuAddress of the memory that is freed, of coherent memory
   * @see Linux 6.12 kernel/dma/debug.c check_unmap
   * @internal
   */
  checkUnmap(dev: Device, ref: UnmapRef, m: DmaMapping | undefined, cpuAddress?: number): void {
    if (this.#isDisabled) return;
    if (m === undefined) {
      if (ref.address === DMA_MAPPING_ERROR) {
        this.report('dma-unmap-error', dev, 'device driver tries to free an invalid DMA memory address');
      } else {
        this.report('dma-double-unmap', dev, notAllocated(ref.address, ref.sizeBytes));
      }
      return;
    }
    if (isAsMapped(m, ref, cpuAddress)) return;
    const at = `[device address=0x${hex(m.address, 16)}]`;
    const what = addressAndSize(m.address, m.sizeBytes);
    const isSameList = ref.kind !== 'scatter-gather' || ref.listLength === m.listLength;
    if (m.sizeBytes !== ref.sizeBytes) {
      const sizes = `[map size=${m.sizeBytes} bytes] [unmap size=${ref.sizeBytes} bytes]`;
      this.report('dma-size-mismatch', dev, `device driver frees DMA memory with different size ${at} ${sizes}`);
    }
    if (m.kind !== ref.kind) {
      const kinds = `[mapped as ${m.kind}] [unmapped as ${ref.kind}]`;
      this.report('dma-wrong-function', dev, `device driver frees DMA memory with wrong function ${what} ${kinds}`);
    } else if (m.kind === 'coherent' && cpuAddress !== m.cpuAddress) {
      const cpu = `[cpu alloc address=0x${hex(m.cpuAddress, 16)}] [cpu free address=0x${hex(cpuAddress ?? 0, 16)}]`;
      this.report('dma-cpu-address-mismatch', dev, `device driver frees DMA memory with different CPU address ${what} ${cpu}`);
    }
    if (!isSameList) this.#listError(dev, m, ref.listLength, 'frees', 'unmap');
    if (m.direction !== ref.direction) {
      const directions = `[mapped with ${directionName(m.direction)}] [unmapped with ${directionName(ref.direction)}]`;
      this.report('dma-direction-mismatch', dev, `device driver frees DMA memory with different direction ${what} ${directions}`);
    }
    if (!m.isChecked) {
      this.report('dma-unchecked-mapping', dev, `device driver failed to check map error ${what} [mapped as ${m.kind}]`);
    }
    if (m.attrs !== ref.attrs) {
      const attrs = `[mapped with 0x${hex(m.attrs)}] [unmapped with 0x${hex(ref.attrs)}]`;
      this.report('dma-attrs-mismatch', dev, `device driver frees DMA memory with different attributes ${what} ${attrs}`);
    }
  }

  /** @see Linux 6.12 kernel/dma/debug.c check_sync @internal */
  checkSync(
    dev: Device,
    m: DmaMapping | undefined,
    address: number,
    end: number,
    direction: DmaDirection,
    toCpu: boolean,
    listLength: number,
  ): void {
    if (this.#isDisabled) return;
    if (m === undefined) {
      const what = `device driver tries to sync DMA memory it has not allocated ${addressAndSize(address, end)}`;
      this.report('dma-sync-not-mapped', dev, what);
      return;
    }
    if (address - m.address + end > m.sizeBytes) this.report('dma-sync-range', dev, outsideRange(m, address - m.address + end));
    if (m.direction !== 'bidirectional') this.#checkSyncDirection(dev, m, direction, toCpu);
    if (listLength > 0 && m.listLength > 0 && listLength !== m.listLength) this.#listError(dev, m, listLength, 'syncs', 'sync');
  }

  #checkSyncDirection(dev: Device, m: DmaMapping, direction: DmaDirection, toCpu: boolean): void {
    if (direction === m.direction) return;
    const directions = `[mapped with ${directionName(m.direction)}] [synced with ${directionName(direction)}]`;
    const what = `${addressAndSize(m.address, m.sizeBytes)} ${directions}`;
    this.report('dma-sync-direction', dev, `device driver syncs DMA memory with different direction ${what}`);
    if (toCpu && m.direction === 'to-device') {
      this.report('dma-sync-read-only', dev, `device driver syncs device read-only DMA memory for cpu ${what}`);
    }
    if (!toCpu && m.direction === 'from-device') {
      this.report('dma-sync-write-only', dev, `device driver syncs device write-only DMA memory to device ${what}`);
    }
  }

  /** What the device is told of a list, against what it can take. @see Linux 6.12 kernel/dma/debug.c check_sg_segment @internal */
  checkSegment(device: DmaDevice, start: number, sizeBytes: number): void {
    if (this.#isDisabled) return;
    const { dev, maxSegmentBytes, boundaryMask } = device;
    if (sizeBytes > maxSegmentBytes) {
      const what = `[len=${sizeBytes}] [max=${maxSegmentBytes}]`;
      this.report('dma-sg-limits', dev, `mapping sg segment longer than device claims to support ${what}`);
    }
    const end = start + sizeBytes - 1;
    const span = boundaryMask + 1;
    if (Math.floor(start / span) !== Math.floor(end / span)) {
      const what = `[start=0x${hex(start, 16)}] [end=0x${hex(end, 16)}] [boundary=0x${hex(boundaryMask, 16)}]`;
      this.report('dma-sg-limits', dev, `mapping sg segment across boundary ${what}`);
    }
  }

  /** The binding of a device has ended, and these are left. @see Linux 6.12 kernel/dma/debug.c dma_debug_device_change @internal */
  leaked(dev: Device, left: readonly DmaMapping[]): void {
    const tracked = left.filter((m) => m.isTracked);
    const one = tracked.at(-1);
    if (this.#isDisabled || one === undefined) return;
    const count = tracked.reduce((sum, m) => sum + m.entries, 0);
    const how = `[mapped with ${directionName(one.direction)}] [mapped as ${one.kind}]`;
    this.report(
      'dma-leak-at-unbind',
      dev,
      `device driver has pending DMA allocations while released from device [count=${count}]\n` +
        `One of leaked entries details: ${addressAndSize(one.address, one.sizeBytes)} ${how}${by('mapped', one.mappedBy, one.mappedAt)}`,
    );
  }

  /** A device has reached for what was unmapped. @internal */
  usedAfterUnmap(m: EndedMapping, iova: number, isWrite: boolean): void {
    const who = `${by('mapped', m.mappedBy, m.mappedAt)}${by('unmapped', m.unmappedBy, m.unmappedAt)}`;
    const what = `${isWrite ? 'write to' : 'read of'} 0x${hex(iova)} ${addressAndSize(m.address, m.sizeBytes)}${who}`;
    this.#report('use-after-unmap', m.dev, `DMA-SIM: use after unmap: ${m.unmappedBy} ${m.dev.name}: ${what}`, m.unmappedBy);
  }

  /** Reports an error. @internal */
  report(rule: string, dev: Device, what: string): void {
    const driver = dev.driver?.name ?? dev.bus?.name ?? '';
    this.#report(rule, dev, `DMA-API: ${driver} ${dev.name}: ${what}`, driver);
  }

  /** Reports an error, and makes what to throw. @internal */
  violate(rule: string, dev: Device, what: string): Errno {
    if (!this.#isDisabled) this.report(rule, dev, what);
    return new Errno('EINVAL', `${dev.name}: ${what}`, { rule });
  }

  #report(rule: string, dev: Device, text: string, driver: string): void {
    this.#errors++;
    const isShown = this.driverFilter === undefined || this.driverFilter === driver;
    if (isShown && (this.allErrors || this.numErrors > 0)) this.#core.logFor('err', dev.name, text, 'dma_debug');
    if (!this.allErrors && this.numErrors > 0) this.numErrors--;
    this.#core.report(rule, dev, text);
  }

  #listError(dev: Device, m: DmaMapping, given: number, verb: string, call: string): void {
    const counts = `[map count=${m.listLength}] [${call} count=${given}]`;
    this.report('dma-sg-count-mismatch', dev, `device driver ${verb} DMA sg list with different entry count ${counts}`);
  }

  #addLine(m: DmaMapping): void {
    const line = Math.floor(m.cpuAddress / LINE_BYTES);
    const count = this.#lines.get(line) ?? 0;
    this.#lines.set(line, count + 1);
    if (count === 0 || (m.attrs & DmaAttr.SKIP_CPU_SYNC) !== 0) return;
    this.report('dma-overlap', m.dev, "cacheline tracking EEXIST, overlapping mappings aren't supported");
  }

  #removeLine(m: DmaMapping): void {
    const line = Math.floor(m.cpuAddress / LINE_BYTES);
    const count = this.#lines.get(line)!;
    if (count > 1) this.#lines.set(line, count - 1);
    else this.#lines.delete(line);
  }
}

/** Whether an unmap says what the mapping is. */
function isAsMapped(m: DmaMapping, ref: UnmapRef, cpuAddress: number | undefined): boolean {
  if (m.sizeBytes !== ref.sizeBytes || m.kind !== ref.kind || m.direction !== ref.direction) return false;
  if (m.listLength !== ref.listLength || m.attrs !== ref.attrs || !m.isChecked) return false;
  return m.kind !== 'coherent' || m.cpuAddress === cpuAddress;
}

/** Who did something, and where, as far as that was recorded. */
function by(what: string, driver: string, at: Error | undefined): string {
  const lines = at?.stack?.split('\n').slice(1) ?? [];
  return [` [${what} by ${driver}]`, ...lines].join('\n');
}
