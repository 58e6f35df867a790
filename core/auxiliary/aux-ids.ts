import { IdAllocator } from '../lib/id-allocator.js';

/** The ids of one name. */
interface Ids {
  readonly allocator: IdAllocator;
  /** Taken out of the allocator because a device was added with that id by hand. */
  readonly byHand: Set<number>;
}

/** Finds the lowest free id of each name, beside those that were chosen by hand. */
export class AuxIds {
  readonly #byKey = new Map<string, Ids>();

  /**
   * @param taken whether a device has this id
   * @throws {Errno} ENOSPC when all 2^32 are in use
   */
  alloc(key: string, taken: (id: number) => boolean): number {
    let ids = this.#byKey.get(key);
    if (ids === undefined) {
      ids = { allocator: new IdAllocator(key, 0, 0xffff_ffff), byHand: new Set() };
      this.#byKey.set(key, ids);
    }
    for (;;) {
      const id = ids.allocator.alloc();
      if (!taken(id)) return id;
      ids.byHand.add(id);
    }
  }

  /** @param automatic whether it came from `alloc` */
  free(key: string, id: number, automatic: boolean): void {
    const ids = this.#byKey.get(key);
    if (ids === undefined) return;
    if (automatic || ids.byHand.delete(id)) ids.allocator.free(id);
    if (ids.allocator.size === 0) this.#byKey.delete(key);
  }
}
