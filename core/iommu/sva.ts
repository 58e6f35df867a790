import type { Device, DeviceCore } from '../device/index.js';
import type { DevresEntry } from '../devres/index.js';
import type { IommuHardware } from '../hal/index.js';
import { Errno, Signal, type Subscription, hex } from '../lib/index.js';
import { IommuDomain } from './domain.js';
import type { IommuGroup } from './group.js';
import { type MappedRange, PROT, PageTable } from './page-table.js';
import { PasidAttachment, type PasidNumbers } from './pasid.js';

/** Gets a page that is not there, or may not be accessed so: maps it and says true. Called when interrupts are, with the address asked for. */
export type PageFaultHandler = (space: AddressSpace, address: number, isWrite: boolean) => boolean;

/** How an address space is. */
export interface AddressSpaceOptions {
  /** Bits of its addresses; default 47. */
  readonly addressBits?: number;
  /** Lengths of pages, in bytes; default 4 KiB, 2 MiB and 1 GiB. */
  readonly pageSizes?: readonly number[];
  /** Gets pages that devices ask for; default: they stay away. */
  readonly onPageFault?: PageFaultHandler;
}

/**
 * The memory of a process, or of anybody else who is no device: addresses, and where they lead. A device bound to it by
 * `Iommu.bindSva` sees exactly what is mapped here, and no more from the moment it is unmapped.
 * @see Linux 7.2 include/linux/mm_types.h struct mm_struct
 */
export class AddressSpace {
  /** @internal */
  readonly table: PageTable;
  readonly #onPageFault: PageFaultHandler | undefined;
  readonly #changed = new Signal<[address: number, sizeBytes: number]>();

  constructor(
    readonly name: string,
    options: AddressSpaceOptions = {},
  ) {
    const { addressBits = 47, pageSizes = [2 ** 12, 2 ** 21, 2 ** 30], onPageFault } = options;
    this.table = new PageTable(addressBits, pageSizes);
    this.#onPageFault = onPageFault;
  }

  /**
   * Shows physical memory at an address.
   * @param prot bits of {@link PROT}; default READ and WRITE
   * @throws {Errno} EINVAL for what is no multiple of 4096; ERANGE outside its addresses; EADDRINUSE over what is there
   */
  map(address: number, paddr: number, sizeBytes: number, prot: number = PROT.READ | PROT.WRITE): void {
    const isAligned = [address, paddr, sizeBytes].every((n) => Number.isSafeInteger(n) && n >= 0 && n % 4096 === 0);
    const isProt = prot > 0 && prot < 64 && (prot & (PROT.READ | PROT.WRITE)) !== 0;
    const what = `${this.name}: 0x${hex(sizeBytes)} bytes at 0x${hex(address)}`;
    if (!isAligned || !isProt || sizeBytes === 0) {
      throw new Errno('EINVAL', `${what} for physical 0x${hex(paddr)}, protection 0x${hex(prot)}: no whole pages, or no access`);
    }
    if (address + sizeBytes > this.table.limit) throw new Errno('ERANGE', `${what}: end at 0x${hex(this.table.limit - 1)}`);
    if (!this.table.map(address, paddr, sizeBytes, prot)) throw new Errno('EADDRINUSE', `${what}: some of it is there already`);
  }

  /**
   * Takes pages away, up to the first that is not there, and from devices, too.
   * @returns how many bytes
   * @throws {Errno} EINVAL for what is no multiple of 4096
   */
  unmap(address: number, sizeBytes: number): number {
    if (!(Number.isSafeInteger(address) && address >= 0 && address % 4096 === 0 && sizeBytes % 4096 === 0)) {
      throw new Errno('EINVAL', `${this.name}: unmap of 0x${hex(sizeBytes)} bytes at 0x${hex(address)}: no whole pages`);
    }
    const done = this.table.unmap(address, sizeBytes);
    if (done > 0) this.#changed.emit(address, done);
    return done;
  }

  /** Where an access leads; undefined when it cannot be made. */
  physicalOf(address: number, isWrite = false): number | undefined {
    const paddr = this.table.walk(address, isWrite);
    return paddr < 0 ? undefined : paddr;
  }

  /** What is mapped, by address. */
  mappings(): MappedRange[] {
    return [...this.table.ranges()];
  }

  /** Gets a page for an access, as one of a device does: asks for it where it is not there. @returns whether it is there now */
  fault(address: number, isWrite: boolean): boolean {
    if (this.table.walk(address, isWrite) >= 0) return true;
    // Whatever it says: who asks would ask for ever.
    return this.#onPageFault?.(this, address, isWrite) === true && this.table.walk(address, isWrite) >= 0;
  }

  /** Told of what is no longer mapped, before `unmap` returns. @internal */
  onUnmap(listener: (address: number, sizeBytes: number) => void): Subscription {
    return this.#changed.on(listener);
  }
}

/** A device is bound to an address space, until unbind or its disposal. */
export class SvaBond implements Disposable {
  /** In the ledger. @internal */
  entry: DevresEntry | undefined = undefined;

  /** @internal */
  constructor(
    readonly dev: Device,
    readonly space: AddressSpace,
    /** The number that stands for the address space in all devices. */
    readonly pasid: number,
  ) {}

  /** Ends it now; harmless when it has ended. */
  [Symbol.dispose](): void {
    const { entry } = this;
    if (entry?.ledger !== undefined) void entry.ledger.releaseEntry(entry);
  }
}

/** What a system knows of an address space that devices are bound to. */
interface BoundSpace {
  readonly pasid: number;
  readonly domain: IommuDomain;
  readonly listening: Subscription;
  /** Groups that it is bound to. */
  groups: number;
}

/** The address spaces of one system that devices are bound to: each has one number, from its first bond to its last. @internal */
export class SvaBindings {
  readonly #core: DeviceCore;
  readonly #numbers: PasidNumbers;
  readonly #spaces = new Map<AddressSpace, BoundSpace>();

  constructor(core: DeviceCore, numbers: PasidNumbers) {
    this.#core = core;
    this.#numbers = numbers;
  }

  /** @throws {Errno} as `Iommu.bindSva` */
  bind(hardware: IommuHardware, group: IommuGroup, dev: Device, space: AddressSpace): SvaBond {
    const known = this.#spaces.get(space);
    const { maxPasids } = group;
    if (known !== undefined && known.pasid >= maxPasids) {
      throw new Errno('EOVERFLOW', `${dev.name}: ${space.name} has PASID ${known.pasid}, its own are 1 to ${maxPasids - 1}`);
    }
    const pasid = known?.pasid ?? this.#numbers.next(dev.name, maxPasids);
    const bond = new SvaBond(dev, space, pasid);
    const label = `sva pasid ${pasid}`;
    dev.devres.faultPoint(label);
    const attachment = this.#attach(group, dev, known ?? this.#begin(hardware, space, pasid), space);
    bond.entry = dev.devres.enter(label, attachment, () => this.#unbind(group, space, attachment));
    return bond;
  }

  #attach(group: IommuGroup, dev: Device, bound: BoundSpace, space: AddressSpace): PasidAttachment {
    try {
      return attach(group, dev, bound);
    } finally {
      if (bound.groups === 0) this.#end(space, bound);
    }
  }

  #begin(hardware: IommuHardware, space: AddressSpace, pasid: number): BoundSpace {
    const { table } = space;
    const domain = new IommuDomain('sva', { core: this.#core, hardware, owner: space.name, table });
    domain.pageFault = (address, isWrite) => space.fault(address, isWrite);
    const listening = space.onUnmap((address, sizeBytes) => hardware.invalidate(table, address, sizeBytes));
    const bound: BoundSpace = { pasid, domain, listening, groups: 0 };
    this.#numbers.take(pasid);
    this.#spaces.set(space, bound);
    return bound;
  }

  #unbind(group: IommuGroup, space: AddressSpace, attachment: PasidAttachment): void {
    if (--attachment.users > 0) return;
    group.clearPasid(attachment);
    const bound = this.#spaces.get(space);
    if (bound !== undefined && --bound.groups === 0) this.#end(space, bound);
  }

  #end(space: AddressSpace, { pasid, domain, listening }: BoundSpace): void {
    listening.dispose();
    domain.free();
    this.#spaces.delete(space);
    this.#numbers.free(pasid);
  }
}

function attach(group: IommuGroup, dev: Device, bound: BoundSpace): PasidAttachment {
  const { pasid, domain } = bound;
  const there = group.at(pasid);
  if (there !== undefined) {
    if (there.domain !== domain) throw new Errno('EBUSY', `${dev.name}: PASID ${pasid} has another domain`);
    there.users++;
    return there;
  }
  const attachment = new PasidAttachment(pasid, domain, undefined, dev);
  group.setPasid(attachment);
  bound.groups++;
  return attachment;
}
