import { type DmaPort, type DmaView, NO_ADDRESS } from '../endpoint/index.js';
import type { SimIommu } from './iommu.js';
import type { DmaFault, DmaFaultReason, Journal } from './journal.js';
import type { PhysicalMemory } from './memory.js';
import { ReachedPages } from './reached-pages.js';
import type { Transfer } from './transfer.js';

/** What accesses of devices go through. */
export interface DmaFabric {
  readonly memory: PhysicalMemory;
  readonly journal: Journal;
  readonly iommu: SimIommu | undefined;
}

/** What a device is to the machine, by where it is plugged in. */
export interface Requester {
  /** The wire of its interrupt pin; undefined when it has none. */
  readonly line: number | undefined;
  /** Whether it may write and read memory now. */
  isMaster(): boolean;
  /** What its accesses carry: bus, device and function as 16 bits. */
  requesterId(): number;
}

/**
 * One device's way to memory. Judged in this order: is the device there and bus master, is it an address, what does the IOMMU say,
 * is there memory.
 *
 * Where addresses are physical, an access is made whole or not at all. A translated one goes from page to page: what lies before
 * the first byte that is refused has been done, and from there on a read leaves all ones and a write changes nothing. A copy has
 * then copied what lies before the first byte that either side refuses. Each access is refused once.
 */
export class DmaPath implements DmaPort {
  readonly #name: string;
  readonly #memory: PhysicalMemory;
  readonly #journal: Journal;
  readonly #iommu: SimIommu | undefined;
  readonly #requester: Requester;
  #alive = true;
  /** What its accesses carry while it may make them; -1 until it has been asked, and while it may not. */
  #requesterId = -1;
  /** Times that this has changed. */
  #changes = 0;
  readonly #pages = new ReachedPages();
  readonly #bytes: Transfer;

  constructor(name: string, { memory, journal, iommu }: DmaFabric, requester: Requester) {
    this.#name = name;
    this.#memory = memory;
    this.#bytes = memory.transfer;
    this.#journal = journal;
    this.#iommu = iommu;
    this.#requester = requester;
  }

  /** The device is gone. */
  cut(): void {
    this.#alive = false;
    this.requesterChanged();
  }

  /** What the requester tells may have changed. */
  requesterChanged(): void {
    this.#requesterId = -1;
    this.#changes++;
  }

  /** What its accesses carry; -1 while it may make none. */
  get requesterId(): number {
    if (this.#requesterId < 0 && this.#alive && this.#requester.isMaster()) this.#requesterId = this.#requester.requesterId();
    return this.#requesterId;
  }

  address(lo: number, hi: number): number {
    const address = (hi >>> 0) * 2 ** 32 + (lo >>> 0);
    if (hi >>> 0 < 2 ** 21) return address;
    this.#record('read', address, 0, 'address');
    return NO_ADDRESS;
  }

  read(address: number, buffer: Uint8Array, offset: number, length: number, pasid = 0): boolean {
    const end = offset + length;
    if (this.#isKnown(address, length, 2 * pasid) && offset >= 0 && end <= buffer.length) {
      this.#bytes.read(this.#pages.home, this.#pages.offset, buffer, offset, length);
      return true;
    }
    if (!this.#isAllowed('read', address, length, pasid)) return lose(buffer, offset, end);
    const iommu = this.#translator(pasid);
    if (iommu !== undefined) {
      const done = this.#transfer(iommu, false, address, buffer, offset, length, pasid);
      return done === length || lose(buffer, offset + done, end);
    }
    if (!this.#isMemory('read', address, length)) return lose(buffer, offset, end);
    this.#memory.read(address, buffer, offset, length);
    this.#keep(address, address, 2 * pasid, true);
    return true;
  }

  write(address: number, buffer: Uint8Array, offset: number, length: number, pasid = 0): boolean {
    if (this.#isKnown(address, length, 2 * pasid + 1) && offset >= 0 && offset + length <= buffer.length) {
      this.#bytes.write(this.#pages.home, this.#pages.offset, buffer, offset, length);
      return true;
    }
    if (!this.#isAllowed('write', address, length, pasid)) return false;
    const iommu = this.#translator(pasid);
    if (iommu !== undefined) return this.#transfer(iommu, true, address, buffer, offset, length, pasid) === length;
    if (!this.#isMemory('write', address, length)) return false;
    this.#memory.write(address, buffer, offset, length);
    this.#keep(address, address, 2 * pasid + 1, true);
    return true;
  }

  copy(source: number, destination: number, length: number, pasid = 0): boolean {
    if (!this.#isAllowed('read', source, length, pasid) || !this.#isAllowed('write', destination, length, pasid)) return false;
    const iommu = this.#translator(pasid);
    if (iommu !== undefined) return this.#copy(iommu, source, destination, length, pasid);
    if (!this.#isMemory('read', source, length) || !this.#isMemory('write', destination, length)) return false;
    this.#memory.copy(source, destination, length);
    return true;
  }

  read32(address: number, pasid = 0): number {
    if (this.#isKnown(address, 4, 2 * pasid)) {
      const { home, offset } = this.#pages;
      if ((offset & 3) === 0) return home.view.getUint32(offset, true);
    }
    if (!this.#isAllowed('read', address, 4, pasid)) return 0xffff_ffff;
    const iommu = this.#translator(pasid);
    let physical = address;
    if (iommu !== undefined) {
      if (this.#find(iommu, false, address, 4, pasid) === 0) return 0xffff_ffff;
      physical = iommu.run[0]!;
    } else if (!this.#isMemory('read', address, 4)) {
      return 0xffff_ffff;
    }
    const value = this.#memory.read32(physical);
    this.#keep(address, physical, 2 * pasid, iommu === undefined);
    return value;
  }

  write32(address: number, value: number, pasid = 0): boolean {
    if (this.#isKnown(address, 4, 2 * pasid + 1)) {
      const { home, offset } = this.#pages;
      if ((offset & 3) === 0) {
        home.view.setUint32(offset, value, true);
        return true;
      }
    }
    if (!this.#isAllowed('write', address, 4, pasid)) return false;
    const iommu = this.#translator(pasid);
    let physical = address;
    if (iommu !== undefined) {
      if (this.#find(iommu, true, address, 4, pasid) === 0) return false;
      physical = iommu.run[0]!;
    } else if (!this.#isMemory('write', address, 4)) {
      return false;
    }
    this.#memory.write32(physical, value);
    this.#keep(address, physical, 2 * pasid + 1, iommu === undefined);
    return true;
  }

  peek(address: number, length: number, isWrite: boolean, pasid = 0): DmaView | undefined {
    return this.#isKnown(address, length, isWrite ? 2 * pasid + 1 : 2 * pasid) ? this.#pages.found : undefined;
  }

  reach(address: number, length: number, isWrite: boolean, pasid = 0): number {
    const isPossible = this.requesterId >= 0 && isRange(address, length) && (pasid === 0 || this.#iommu !== undefined);
    if (!isPossible) return 0;
    const iommu = this.#translator(pasid);
    if (iommu === undefined) return this.#memory.reach(address, length);
    let done = 0;
    while (done < length) {
      if (iommu.find(this.#requesterId, pasid, address + done, length - done, isWrite) !== undefined) break;
      const bytes = iommu.run[1]!;
      const present = this.#memory.reach(iommu.run[0]!, bytes);
      done += present;
      if (present < bytes) break;
    }
    return done;
  }

  requestPage(address: number, isWrite: boolean, pasid: number | undefined, done: (isThere: boolean) => void): void {
    const answered = (isThere: boolean): void => {
      if (!this.#alive) return;
      try {
        done(isThere);
      } catch (error) {
        this.#journal.modelError(this.#name, error);
      }
    };
    const { requesterId } = this;
    if (this.#iommu === undefined || requesterId < 0 || !isRange(address, 0)) answered(false);
    else this.#iommu.request(requesterId, pasid ?? 0, address, isWrite, answered);
  }

  /** Records that an access was not the device's to make. */
  refuse(kind: DmaFault['kind'], address: number, length: number): void {
    this.#record(kind, address, length, this.#alive ? 'bus master' : 'gone');
  }

  /** Whether such an access was let through lately: else it has to be judged. @param who see {@link ReachedPages.find} */
  #isKnown(address: number, length: number, who: number): boolean {
    return this.#requesterId >= 0 && this.#pages.find(address, length, who, this.#stamp);
  }

  /** An access was let through. */
  #keep(address: number, physical: number, who: number, isDirect: boolean): void {
    if (!this.#pages.isMissed(address, who)) return;
    const memory = this.#memory;
    const owner = memory.allocation(physical);
    if (owner !== undefined) this.#pages.add(address, who, this.#stamp, memory.segment(physical), physical, owner, isDirect);
  }

  /** What has been found holds as long as this is the same: each part of it only grows. */
  get #stamp(): number {
    return this.#changes + this.#memory.epoch + (this.#iommu === undefined ? 0 : this.#iommu.epoch);
  }

  /** The IOMMU, where it has a say in accesses that are allowed. */
  #translator(pasid: number): SimIommu | undefined {
    const iommu = this.#iommu;
    return iommu === undefined || iommu.isDirect(this.#requesterId, pasid) ? undefined : iommu;
  }

  /** @returns how much was done until the first refusal */
  #transfer(
    iommu: SimIommu,
    isWrite: boolean,
    iova: number,
    buffer: Uint8Array,
    offset: number,
    length: number,
    pasid: number,
  ): number {
    for (let done = 0; done < length;) {
      const bytes = this.#find(iommu, isWrite, iova + done, length - done, pasid);
      if (bytes === 0) return done;
      const physical = iommu.run[0]!;
      if (isWrite) this.#memory.write(physical, buffer, offset + done, bytes);
      else this.#memory.read(physical, buffer, offset + done, bytes);
      this.#keep(iova + done, physical, isWrite ? 2 * pasid + 1 : 2 * pasid, false);
      done += bytes;
    }
    return length;
  }

  #copy(iommu: SimIommu, source: number, destination: number, length: number, pasid: number): boolean {
    const isOverlapping = source < destination + length && destination < source + length;
    for (let done = 0; done < length;) {
      const { epoch } = iommu;
      const from = this.#find(iommu, false, source + done, length - done, pasid);
      if (from === 0) return false;
      const physical = iommu.run[0]!;
      let bytes = this.#find(iommu, true, destination + done, from, pasid);
      if (bytes === 0) return false;
      // The second search may have had forgotten what the first one found.
      if (epoch === iommu.epoch && !(isOverlapping && bytes < length - done)) {
        this.#memory.copy(physical, iommu.run[0]!, bytes);
      } else {
        bytes = this.#copyByBuffer(iommu, source + done, destination + done, length - done, pasid);
        if (bytes === 0) return false;
      }
      done += bytes;
    }
    return true;
  }

  /** Copies as much as both sides let, all of it read first. @returns how much */
  #copyByBuffer(iommu: SimIommu, source: number, destination: number, length: number, pasid: number): number {
    const readable = this.reach(source, length, false, pasid);
    const buffer = new Uint8Array(this.reach(destination, readable, true, pasid));
    const got = this.#transfer(iommu, false, source, buffer, 0, buffer.length, pasid);
    return this.#transfer(iommu, true, destination, buffer, 0, got, pasid);
  }

  /** Translates one run of an access, as far as it is contiguous memory. @returns its length; 0, recorded, when it is refused */
  #find(iommu: SimIommu, isWrite: boolean, iova: number, length: number, pasid: number): number {
    const { requesterId } = this;
    const kind = isWrite ? 'write' : 'read';
    // It may have been pulled out, or switched off, since the access began.
    if (requesterId < 0) {
      this.refuse(kind, iova, length);
      return 0;
    }
    const refusal = iommu.find(requesterId, pasid, iova, length, isWrite);
    if (refusal === undefined) {
      const physical = iommu.run[0]!;
      const bytes = this.#memory.reach(physical, iommu.run[1]!);
      if (bytes > 0) {
        if (!this.#memory.isAllocated(physical, bytes)) this.#record(kind, iova, bytes, 'unallocated');
        return bytes;
      }
    } else if (refusal !== 'interrupt') {
      iommu.fault(this.#name, requesterId, pasid, iova, isWrite, refusal);
      return 0;
    }
    this.#record(kind, iova, length, 'unmapped');
    return 0;
  }

  #isAllowed(kind: 'read' | 'write', address: number, length: number, pasid: number): boolean {
    // `address` has recorded it.
    if (address === NO_ADDRESS) return false;
    if (this.requesterId < 0) {
      this.refuse(kind, address, length);
      return false;
    }
    if (!isRange(address, length)) {
      this.#record(kind, address, length, 'address');
      return false;
    }
    if (pasid !== 0 && this.#iommu === undefined) {
      this.#record(kind, address, length, 'pasid');
      return false;
    }
    return true;
  }

  /** Whether a physical range is memory. */
  #isMemory(kind: 'read' | 'write', address: number, length: number): boolean {
    if (!this.#memory.contains(address, length)) {
      this.#record(kind, address, length, 'unmapped');
      return false;
    }
    if (!this.#memory.isAllocated(address, length)) this.#record(kind, address, length, 'unallocated');
    return true;
  }

  #record(kind: DmaFault['kind'], address: number, length: number, reason: DmaFaultReason): void {
    this.#journal.dmaFault(this.#name, kind, address, length, reason);
  }
}

function isRange(address: number, length: number): boolean {
  return Number.isSafeInteger(address) && address >= 0 && Number.isSafeInteger(address + length) && length >= 0;
}

/** What a refused read leaves. */
function lose(buffer: Uint8Array, from: number, end: number): false {
  buffer.fill(0xff, from, end);
  return false;
}
