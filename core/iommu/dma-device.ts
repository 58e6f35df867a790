import type { Device } from '../device/index.js';
import { NumberTable } from '../lib/number-table.js';
import type { DmaMapping } from './dma-map.js';
import type { DmaMapper } from './dma-mapper.js';
import type { DmaDirection, DmaKind } from './dma-types.js';
import type { IommuDomain } from './domain.js';
import { GRANULE, type IovaSpace } from './iova.js';

/** What every device can address unless its driver says otherwise. @see Linux 6.12 drivers/pci/probe.c pci_setup_device */
export const DEFAULT_MASK = 0xffff_ffff;
/** @see Linux 6.12 include/linux/dma-mapping.h dma_get_max_seg_size, dma_get_seg_boundary */
const DEFAULT_SEGMENT_BYTES = 65_536;
const DEFAULT_BOUNDARY = 0xffff_ffff;

/** What an unmap says of the mapping that it means. @internal */
export interface UnmapRef {
  readonly address: number;
  readonly sizeBytes: number;
  readonly kind: DmaKind;
  readonly direction: DmaDirection;
  readonly attrs: number;
  /** Length of the list; 0 for a single buffer. */
  readonly listLength: number;
}

/** What the DMA API knows of one device: what it can address, and what it has mapped. @internal */
export class DmaDevice {
  /** Highest address that it can send, as a mask of ones. */
  mask = DEFAULT_MASK;
  maxSegmentBytes: number = DEFAULT_SEGMENT_BYTES;
  /** A segment does not cross a multiple of this plus 1. */
  boundaryMask: number = DEFAULT_BOUNDARY;
  /** Whether addresses below 4 GiB are tried first. */
  isLowFirst = true;
  /** The domain of the last mapping, and its addresses. */
  domain: IommuDomain | undefined = undefined;
  space: IovaSpace | undefined = undefined;
  /** Mappings that are in no ledger: its driver must unmap them. */
  loose = 0;
  /** What looks after those at unbind is in the ledger. */
  isWatched = false;
  /** By page of the device's addresses, chained, oldest first. */
  readonly #byPage = new NumberTable<DmaMapping>();
  /** Bytes of the longest that there was. */
  #longest = 0;

  constructor(
    readonly dev: Device,
    readonly mapper: DmaMapper,
  ) {}

  /** As reports call its driver. @see Linux 6.12 drivers/base/core.c dev_driver_string */
  get driverName(): string {
    return this.dev.driver?.name ?? this.dev.bus?.name ?? '';
  }

  add(mapping: DmaMapping): void {
    const key = pageOf(mapping.address);
    if (mapping.sizeBytes > this.#longest) this.#longest = mapping.sizeBytes;
    if (this.#byPage.add(key, mapping)) return;
    let last = this.#byPage.get(key)!;
    while (last.chain !== undefined) last = last.chain;
    last.chain = mapping;
  }

  delete(mapping: DmaMapping): void {
    const key = pageOf(mapping.address);
    const first = this.#byPage.get(key);
    if (first === mapping) {
      this.#byPage.delete(key);
      if (mapping.chain !== undefined) this.#byPage.add(key, mapping.chain);
    } else {
      let before = first;
      while (before !== undefined && before.chain !== mapping) before = before.chain;
      if (before !== undefined) before.chain = mapping.chain;
    }
    mapping.chain = undefined;
  }

  /**
   * The mapping that an unmap means: the one that agrees with it in everything, else the only one of that address, as far as it
   * agrees in anything.
   * @see Linux 6.12 kernel/dma/debug.c __hash_bucket_find
   */
  bestFit(ref: UnmapRef): DmaMapping | undefined {
    let only: DmaMapping | undefined;
    let found = 0;
    for (let m = this.#byPage.get(pageOf(ref.address)); m !== undefined; m = m.chain) {
      if (m.address !== ref.address) continue;
      const fit = fitOf(m, ref);
      if (fit === 4) return m;
      if (fit > 0) only = m;
      found++;
    }
    return found === 1 ? only : undefined;
  }

  /** The oldest mapping at an address that was not checked. */
  unchecked(address: number): DmaMapping | undefined {
    let m = this.#byPage.get(pageOf(address));
    while (m !== undefined && (m.address !== address || m.isChecked)) m = m.chain;
    return m;
  }

  /** A mapping that an address is in; one that begins there comes first. */
  containing(address: number): DmaMapping | undefined {
    const last = pageOf(address);
    for (let m = this.#byPage.get(last); m !== undefined; m = m.chain) if (m.address === address) return m;
    const first = Math.max(0, last - Math.ceil(this.#longest / GRANULE));
    for (let page = last; page >= first; page--) {
      for (let m = this.#byPage.get(page); m !== undefined; m = m.chain) {
        if (m.address <= address && address < m.address + m.sizeBytes) return m;
      }
    }
    return undefined;
  }

  /** Those that its driver must unmap, oldest first of each page. */
  looseMappings(): DmaMapping[] {
    const all: DmaMapping[] = [];
    for (const [, first] of this.#byPage.entries()) {
      for (let m: DmaMapping | undefined = first; m !== undefined; m = m.chain) if (m.entry === undefined) all.push(m);
    }
    return all;
  }
}

/** In how many of size, kind, direction and length of the list they agree. */
function fitOf(m: DmaMapping, ref: UnmapRef): number {
  let fit = 0;
  if (m.sizeBytes === ref.sizeBytes) fit++;
  if (m.kind === ref.kind) fit++;
  if (m.direction === ref.direction) fit++;
  if (m.listLength === ref.listLength) fit++;
  return fit;
}

const pageOf = (address: number): number => Math.floor(address / GRANULE);
