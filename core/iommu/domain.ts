import type { Device, DeviceCore } from '../device/index.js';
import { type IommuContext, type IommuHardware, NOT_MAPPED } from '../hal/index.js';
import type { DevresEntry } from '../devres/index.js';
import { Errno, type ErrnoCode, hex } from '../lib/index.js';
import { type MappedRange, PROT, type PageTable } from './page-table.js';

/**
 * Kinds of domains: `blocked` nothing can be reached; `identity` addresses are physical; `unmanaged` what its owner maps;
 * `dma` what the DMA API maps; `sva` the memory of a process.
 */
export type IommuDomainKind = 'blocked' | 'identity' | 'unmanaged' | 'dma' | 'sva';

/** Addresses that a domain can have, both included. */
export interface IommuGeometry {
  readonly start: number;
  readonly end: number;
}

/** An access that a domain refused, for its owner. */
export interface IommuFaultReport {
  readonly domain: IommuDomain;
  readonly dev: Device;
  readonly pasid: number | undefined;
  readonly iova: number;
  /** 0 for a read, 1 for a write. */
  readonly flags: 0 | 1;
}

/** What the owner of a domain does about a fault. @returns an error code; nothing when that is settled */
export type IommuFaultHandler = (fault: IommuFaultReport) => ErrnoCode | undefined;

/** What a domain is made of. @internal */
export interface DomainParts {
  readonly core: DeviceCore;
  readonly hardware: IommuHardware;
  /** Who made it, as messages call it. */
  readonly owner: string;
  /** Of the kinds that have one. */
  readonly table: PageTable | undefined;
}

/**
 * An address space for devices: what they can reach, and under which addresses. The same one can serve several devices, and several
 * PASIDs of one.
 *
 * Addresses and sizes are in bytes, and multiples of the smallest page. A change is in force when the call returns.
 * @see Linux 7.2 include/linux/iommu.h struct iommu_domain, drivers/iommu/iommu.c
 */
export class IommuDomain implements Disposable {
  /** Of the kinds that have mappings: the whole range of their table. */
  readonly geometry: IommuGeometry;
  /** Lengths of its pages, in bytes, ascending; none for a domain without mappings. */
  readonly pageSizes: readonly number[];
  /** Places it is attached to. @internal */
  users = 0;
  /** In the ledger of who allocated it. @internal */
  entry: DevresEntry | undefined = undefined;
  /** Gets a page that a device asks for. @internal */
  pageFault: ((iova: number, isWrite: boolean) => boolean) | undefined = undefined;
  readonly #parts: DomainParts;
  #isFreed = false;
  #handler: IommuFaultHandler | undefined = undefined;
  /** What was unmapped and the hardware was not told yet. */
  #staleStart = Number.MAX_SAFE_INTEGER;
  #staleEnd = 0;

  /** @internal */
  constructor(
    readonly kind: IommuDomainKind,
    parts: DomainParts,
  ) {
    this.#parts = parts;
    this.pageSizes = parts.table?.sizes ?? [];
    this.geometry = { start: 0, end: (parts.table?.limit ?? 2 ** Math.min(parts.hardware.addressBits, 53)) - 1 };
  }

  /** Who made it: the name of a device, or of the process whose memory it is. */
  get owner(): string {
    return this.#parts.owner;
  }

  /** The smallest page, in bytes; 1 for a domain without mappings. */
  get pageBytes(): number {
    return this.pageSizes[0] ?? 1;
  }

  /** Whether somebody can map into it. */
  get isPaging(): boolean {
    return this.kind === 'unmanaged' || this.kind === 'dma';
  }

  /** Bytes that are mapped in it. */
  get mappedBytes(): number {
    return this.#parts.table?.mappedBytes ?? 0;
  }

  /** What the hardware is told. @internal */
  get context(): IommuContext {
    const { table } = this.#parts;
    if (table !== undefined) return table;
    return this.kind === 'identity' ? 'identity' : 'blocked';
  }

  /** Whether it is of this unit. @internal */
  isOf(hardware: IommuHardware): boolean {
    return this.#parts.hardware === hardware;
  }

  /**
   * Maps a range of addresses to physical memory, by the largest pages that fit; all of it, or nothing.
   * @param prot bits of {@link PROT}, READ or WRITE among them
   * @throws {Errno} EINVAL for a domain without mappings (rule `iommu-not-paging`), for what is no multiple of the smallest page, or
   *   without READ and WRITE; ERANGE outside its geometry; EADDRINUSE over what is mapped; ENODEV when it was freed
   * @see Linux 7.2 drivers/iommu/iommu.c iommu_map
   */
  map(iova: number, paddr: number, sizeBytes: number, prot: number): void {
    const { core, table, owner } = this.#parts;
    this.checkAlive('map');
    if (!this.isPaging || table === undefined) throw core.violate('iommu-not-paging', undefined, this.#notPaging('map'));
    if (!(isMultiple(iova, this.pageBytes) && isMultiple(paddr, this.pageBytes) && isMultiple(sizeBytes, this.pageBytes))) {
      const what = `iova 0x${hex(iova)}, physical 0x${hex(paddr)}, size 0x${hex(sizeBytes)}`;
      throw new Errno('EINVAL', `${owner}: ${what}: must be multiples of the smallest page, 0x${hex(this.pageBytes)}`);
    }
    if (sizeBytes === 0) return;
    if ((prot & (PROT.READ | PROT.WRITE)) === 0 || !(prot >= 0 && prot < 64)) {
      throw new Errno('EINVAL', `${owner}: protection 0x${hex(prot)}: must be bits of PROT, with READ or WRITE`);
    }
    const { end } = this.geometry;
    if (iova + sizeBytes - 1 > end || !Number.isSafeInteger(paddr + sizeBytes - 1)) {
      const what = `0x${hex(sizeBytes)} bytes at 0x${hex(iova)} for physical 0x${hex(paddr)}`;
      throw new Errno('ERANGE', `${owner}: ${what}: addresses end at 0x${hex(end)}`);
    }
    if (!table.map(iova, paddr, sizeBytes, prot)) {
      throw new Errno('EADDRINUSE', `${owner}: some of 0x${hex(sizeBytes)} bytes at 0x${hex(iova)} is mapped already`);
    }
  }

  /**
   * Takes mappings away, and makes the hardware forget them, from `iova` on to the first hole or to a larger page that ends behind
   * the range: never more than asked.
   * @returns how many bytes; 0 for a domain without mappings (rule `iommu-not-paging`), and for what is no multiple of a page
   * @throws {Errno} ENODEV when it was freed
   * @see Linux 7.2 drivers/iommu/iommu.c iommu_unmap
   */
  unmap(iova: number, sizeBytes: number): number {
    const done = this.#unmap(iova, sizeBytes);
    if (done > 0) this.#invalidate(iova, done);
    return done;
  }

  /**
   * As {@link unmap}, but devices may reach what was mapped until {@link sync}: for who unmaps much at a time.
   * @see Linux 7.2 drivers/iommu/iommu.c iommu_unmap_fast
   */
  unmapFast(iova: number, sizeBytes: number): number {
    const done = this.#unmap(iova, sizeBytes);
    if (done === 0) return 0;
    this.#staleStart = Math.min(this.#staleStart, iova);
    this.#staleEnd = Math.max(this.#staleEnd, iova + done);
    return done;
  }

  /** Makes the hardware forget what {@link unmapFast} took away. */
  sync(): void {
    if (this.#staleEnd === 0) return;
    this.#invalidate(this.#staleStart, this.#staleEnd - this.#staleStart);
    this.#staleStart = Number.MAX_SAFE_INTEGER;
    this.#staleEnd = 0;
  }

  /** Where an address leads; 0 when it is not mapped, or nothing can be reached. */
  iovaToPhys(iova: number): number {
    this.checkAlive('iovaToPhys');
    if (this.kind === 'identity') return iova;
    const paddr = this.#parts.table?.lookup(iova) ?? NOT_MAPPED;
    return paddr === NOT_MAPPED ? 0 : paddr;
  }

  /** What is mapped, by address. */
  *mappings(): Generator<MappedRange> {
    if (this.#parts.table !== undefined) yield* this.#parts.table.ranges();
  }

  /**
   * Says who is asked about faults, once; it is called when interrupts are.
   * @throws {Errno} EINVAL when it has one, or belongs to the DMA API or to a process (rule `iommu-fault-handler`)
   * @see Linux 7.2 drivers/iommu/iommu.c iommu_set_fault_handler
   */
  setFaultHandler(handler: IommuFaultHandler): void {
    this.checkAlive('setFaultHandler');
    const { core, owner } = this.#parts;
    if (this.#handler === undefined && this.kind === 'unmanaged') {
      this.#handler = handler;
      return;
    }
    const why = this.#handler === undefined ? `of kind ${this.kind}` : 'that has one';
    throw core.violate('iommu-fault-handler', undefined, `${owner}: a fault handler for a domain ${why}`);
  }

  /** Whether somebody is asked about faults. @internal */
  get hasFaultHandler(): boolean {
    return this.#handler !== undefined;
  }

  /**
   * Tells the owner of the domain of a fault.
   * @returns what the fault handler gave; ENOSYS without one
   * @see Linux 7.2 drivers/iommu/iommu.c report_iommu_fault
   */
  reportFault(dev: Device, iova: number, flags: 0 | 1, pasid?: number): ErrnoCode | undefined {
    const handler = this.#handler;
    if (handler === undefined) return 'ENOSYS';
    let result: ErrnoCode | undefined = 'EIO';
    this.#parts.core.guard(dev, 'a fault handler', () => {
      result = handler({ domain: this, dev, pasid, iova, flags });
    });
    return result;
  }

  /**
   * Frees it now, with all that is mapped in it; harmless when that was done.
   * @throws {Errno} EINVAL while it is attached (rule `iommu-domain-in-use`)
   */
  [Symbol.dispose](): void {
    const { entry } = this;
    if (this.#isFreed || entry?.ledger === undefined) return;
    if (this.users > 0) throw this.#parts.core.violate('iommu-domain-in-use', undefined, this.#inUse());
    void entry.ledger.releaseEntry(entry);
  }

  /** The end of it; where it is attached still, nothing is reached any more. @internal */
  free(): void {
    const { core, table } = this.#parts;
    if (this.users > 0) core.report('iommu-domain-in-use', undefined, this.#inUse());
    this.#isFreed = true;
    if (table === undefined || this.kind === 'sva') return;
    table.clear();
    this.#invalidate(0, table.limit);
  }

  /** @throws {Errno} ENODEV when it was freed (rule `use-after-unbind`) @internal */
  checkAlive(what: string): void {
    if (!this.#isFreed) return;
    const { core, owner } = this.#parts;
    core.report('use-after-unbind', undefined, `${owner}: iommu domain used (${what}) after it was freed`);
    throw new Errno('ENODEV', `${owner}: iommu domain used (${what}) after it was freed`);
  }

  #invalidate(iova: number, sizeBytes: number): void {
    const { hardware, table } = this.#parts;
    if (table !== undefined) hardware.invalidate(table, iova, sizeBytes);
  }

  #unmap(iova: number, sizeBytes: number): number {
    const { core, table, owner } = this.#parts;
    this.checkAlive('unmap');
    if (!this.isPaging || table === undefined) {
      core.report('iommu-not-paging', undefined, this.#notPaging('unmap'));
      return 0;
    }
    if (isMultiple(iova, this.pageBytes) && isMultiple(sizeBytes, this.pageBytes)) return table.unmap(iova, sizeBytes);
    const what = `unmap of 0x${hex(sizeBytes)} bytes at 0x${hex(iova)}`;
    core.logFor('err', owner, `${what}: must be multiples of the smallest page, 0x${hex(this.pageBytes)}`, 'iommu_unaligned');
    return 0;
  }

  #notPaging(what: string): string {
    return `${this.#parts.owner}: ${what} in a domain of kind ${this.kind}, which has no mappings of its own`;
  }

  #inUse(): string {
    return `${this.#parts.owner}: iommu domain freed while it is attached to ${this.users}: detach it first`;
  }
}

const isMultiple = (value: number, of: number): boolean => Number.isSafeInteger(value) && value >= 0 && value % of === 0;
