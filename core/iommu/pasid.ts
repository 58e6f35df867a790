import type { Device } from '../device/index.js';
import type { DevresEntry } from '../devres/index.js';
import { Errno } from '../lib/errno.js';
import { IndexMap } from '../lib/index-map.js';
import { NumberTable } from '../lib/number-table.js';
import type { IommuDomain } from './domain.js';

/** The number of accesses that carry none. @see Linux 7.2 include/linux/iommu.h IOMMU_NO_PASID */
export const NO_PASID = 0;
/** The first number that is handed out. @see Linux 7.2 include/linux/iommu.h IOMMU_FIRST_GLOBAL_PASID */
const FIRST_PASID = 1;
/** Bits of a PASID on PCI Express. */
const PASID_BITS = 20;

/** The part of a device by which it sends PASIDs. */
export interface PasidControl {
  /** Bits of a PASID that it can send, 1 to 20. */
  readonly bits: number;
  /** Lets it send them, and ask for translations and pages where it can. */
  enable(): void;
  disable(): void;
}

/** A domain at a PASID of a group. */
export class PasidAttachment {
  /** In the ledger of who attached it. */
  entry: DevresEntry | undefined = undefined;
  /** Binds that share it; of an address space. */
  users = 1;

  constructor(
    readonly pasid: number,
    /** Another one after a replacement. */
    public domain: IommuDomain,
    /** What who attached it wants to find there. */
    public handle: object | undefined,
    /** Whose acquisition it is. */
    readonly owner: Device,
  ) {}
}

/** The numbers of one system: those that all its devices agree on. */
export class PasidNumbers {
  readonly #taken = new IndexMap(2 ** PASID_BITS);
  readonly #entries = new NumberTable<DevresEntry>();

  constructor() {
    this.#taken.take(NO_PASID);
  }

  /** How many are handed out. */
  get count(): number {
    return this.#taken.count - 1;
  }

  /** The number that comes next. @param max PASIDs of the device: numbers are 1 to `max` - 1. @throws {Errno} ENOSPC when all are taken */
  next(who: string, max: number): number {
    const pasid = max > FIRST_PASID ? this.#taken.findFree(FIRST_PASID, max - 1) : -1;
    if (pasid < 0)
      throw new Errno('ENOSPC', `${who}: no PASID is free: ${this.count} are in use, its numbers are 1 to ${max - 1}`);
    return pasid;
  }

  take(pasid: number): void {
    this.#taken.take(pasid);
  }

  free(pasid: number): void {
    this.#taken.free(pasid);
    this.#entries.delete(pasid);
  }

  /** Where a number is in a ledger. */
  entryOf(pasid: number): DevresEntry | undefined {
    return this.#entries.get(pasid);
  }

  enter(pasid: number, entry: DevresEntry): void {
    this.#entries.add(pasid, entry);
  }
}
