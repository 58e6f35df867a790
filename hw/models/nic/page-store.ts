import { EQE, EVENTS, PAGE_BYTES } from '../../regs/nic.js';
import type { NicFunction } from './function.js';

/** What the firmware writes into a page that it gets, and so sees that it is there. */
const MARK = 0x4d4c_5835;

/** Memory that software has given to the firmware of a function. */
export class PageStore {
  readonly #fn: NicFunction;
  readonly #pages = new Set<number>();
  /** Changes when they are forgotten. */
  #epoch = 0;
  /** Pages that it has asked for by an event and not got yet; below 0: that it gives back. */
  requested = 0;

  constructor(fn: NicFunction) {
    this.#fn = fn;
  }

  get count(): number {
    return this.#pages.size;
  }

  /** They are software's again. */
  reset(): void {
    this.#epoch++;
    this.#pages.clear();
    this.requested = 0;
  }

  /** Asks for pages by an event, or offers as many when `count` is below 0. */
  request(count: number): void {
    if (!this.#fn.device.settings.pageRequests) return;
    this.requested = count;
    const { id } = this.#fn;
    this.#fn.event(EVENTS.pageRequest, 0, (eqe) => {
      eqe.setUint16(EQE.pageFunction, id, true);
      eqe.setInt32(EQE.pageCount, count, true);
    });
  }

  /**
   * Takes pages on.
   * @returns false where one is no page of memory, or is here already, and after a reset: then none has been taken on
   */
  give(addresses: readonly number[]): boolean {
    const given = new Set(addresses);
    if (given.size !== addresses.length) return false;
    for (const address of given) {
      if (address < 0 || address % PAGE_BYTES !== 0 || this.#pages.has(address)) return false;
    }
    const epoch = this.#epoch;
    for (const address of given) {
      if (!this.#fn.dma.write32(address, MARK) || epoch !== this.#epoch) return false;
    }
    for (const address of given) this.#pages.add(address);
    if (this.requested > 0) this.requested = Math.max(0, this.requested - addresses.length);
    return true;
  }

  /** Gives pages back, those that came first: never more than there are, nor those that it needs. */
  take(count: number, needed: number): number[] {
    const taken: number[] = [];
    for (const address of this.#pages) {
      if (taken.length >= count || this.#pages.size <= needed) break;
      this.#pages.delete(address);
      taken.push(address);
    }
    if (this.requested < 0) this.requested = Math.min(0, this.requested + taken.length);
    return taken;
  }
}
