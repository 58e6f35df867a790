import { Errno, hex } from '../lib/index.js';
import type { AddressSpace } from '../iommu/index.js';
import { type Mappings, checkAccess } from './mappings.js';

const PAGE = 4096;
/** @see Linux 7.2 include/linux/vfio.h VFIO_PIN_PAGES_MAX_ENTRIES */
const MOST = 512;

/** Pages of a user that the driver of an emulated device holds. @see Linux 7.2 drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_pin_pages */
export class Pins {
  /** How often each page is held, by its address. */
  readonly #pages = new Map<number, number>();

  constructor(
    readonly who: string,
    readonly mappings: Mappings,
    readonly memory: AddressSpace,
  ) {}

  /** See `VfioDevice.pinPages`. */
  pin(iova: number, count: number, isWrite: boolean): number[] {
    this.#check(iova, count);
    const pages: number[] = [];
    for (let page = iova; page < iova + count * PAGE; page += PAGE) {
      const mapping = this.mappings.find(page);
      if (mapping === undefined) throw new Errno('EINVAL', `${this.who}: iova 0x${hex(page)} is not mapped`);
      checkAccess(mapping, isWrite);
      const paddr = this.memory.physicalOf(mapping.vaddr + (page - mapping.iova), isWrite);
      if (paddr === undefined)
        throw new Errno('EFAULT', `${this.who}: iova 0x${hex(page)}: its user has no memory there any more`);
      pages.push(paddr);
    }
    for (let n = 0; n < count; n++) this.#pages.set(iova + n * PAGE, (this.#pages.get(iova + n * PAGE) ?? 0) + 1);
    return pages;
  }

  /** See `VfioDevice.unpinPages`. */
  unpin(iova: number, count: number): void {
    this.#check(iova, count);
    for (let page = iova; page < iova + count * PAGE; page += PAGE) {
      if (!this.#pages.has(page)) throw new Errno('EINVAL', `${this.who}: iova 0x${hex(page)} is not pinned`);
    }
    for (let page = iova; page < iova + count * PAGE; page += PAGE) {
      const held = this.#pages.get(page)! - 1;
      if (held > 0) this.#pages.set(page, held);
      else this.#pages.delete(page);
    }
  }

  /** Whether something of a range is held. */
  has(iova: number, sizeBytes: number): boolean {
    for (const page of this.#pages.keys()) if (page >= iova && page < iova + sizeBytes) return true;
    return false;
  }

  #check(iova: number, count: number): void {
    if (count > MOST) throw new Errno('E2BIG', `${this.who}: ${count} pages at once: at most ${MOST}`);
    if (Number.isSafeInteger(iova) && iova >= 0 && iova % PAGE === 0 && Number.isInteger(count) && count > 0) return;
    throw new Errno('EINVAL', `${this.who}: ${count} pages at 0x${hex(iova)}: no whole pages`);
  }
}
