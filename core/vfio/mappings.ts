import { Errno, hex } from '../lib/index.js';

/** Memory of a user that devices can reach. */
export interface Mapping {
  readonly iova: number;
  readonly vaddr: number;
  readonly sizeBytes: number;
  readonly read: boolean;
  readonly write: boolean;
}

/** What is mapped in a container, by address. @see Linux 7.2 drivers/vfio/vfio_iommu_type1.c vfio_find_dma */
export class Mappings {
  /** In the order of their addresses; none overlap. */
  readonly #list: Mapping[] = [];

  get count(): number {
    return this.#list.length;
  }

  [Symbol.iterator](): IterableIterator<Mapping> {
    return this.#list[Symbol.iterator]();
  }

  /** The one that an address is in. */
  find(iova: number): Mapping | undefined {
    const at = this.#list[this.#after(iova) - 1];
    return at !== undefined && iova < at.iova + at.sizeBytes ? at : undefined;
  }

  /** Those that have something of a range. */
  in(iova: number, sizeBytes: number): Mapping[] {
    const end = this.#after(iova + sizeBytes - 1);
    let first = end;
    for (let at = this.#list[first - 1]; at !== undefined && at.iova + at.sizeBytes > iova; at = this.#list[first - 1]) first--;
    return this.#list.slice(first, end);
  }

  add(mapping: Mapping): void {
    this.#list.splice(this.#after(mapping.iova), 0, mapping);
  }

  delete(mapping: Mapping): void {
    const at = this.#after(mapping.iova) - 1;
    if (this.#list[at] === mapping) this.#list.splice(at, 1);
  }

  /** How many begin at or below an address. */
  #after(iova: number): number {
    let low = 0;
    let high = this.#list.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#list[middle]!.iova <= iova) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** @throws {Errno} EPERM when a mapping forbids the access */
export function checkAccess(mapping: Mapping, isWrite: boolean): void {
  if (isWrite ? mapping.write : mapping.read) return;
  throw new Errno('EPERM', `iova 0x${hex(mapping.iova)}: is mapped without ${isWrite ? 'write' : 'read'}`);
}
