import type { Window } from '../../../core/index.js';
import { PAGE_BYTES } from '../../../hw/regs/nic.js';
import type { UarPage } from './queue-owner.js';

/** A page whose registers have 4 and 8 bytes. */
export interface WholePage extends UarPage {
  write32(offset: number, value: number): void;
}

/**
 * A page of doorbells in the hands of a user: that page, and nothing beyond it. The device takes no doorbell by it for queues that name
 * another. Reads give 0.
 */
export class UserPage implements Window {
  readonly sizeBytes = PAGE_BYTES;
  readonly #page: WholePage;

  constructor(page: WholePage) {
    this.#page = page;
  }

  read8(): number {
    return 0;
  }
  read16(): number {
    return 0;
  }
  read32(): number {
    return 0;
  }
  read64(_offset: number, out: Uint32Array): void {
    out[0] = out[1] = 0;
  }
  write8(): void {}
  write16(): void {}
  write32(offset: number, value: number): void {
    if (has(offset, 4)) this.#page.write32(offset, value);
  }
  write64(offset: number, lo: number, hi: number): void {
    if (has(offset, 8)) this.#page.write64(offset, lo, hi);
  }
}

const has = (offset: number, bytes: number): boolean => offset >= 0 && offset + bytes <= PAGE_BYTES && offset % bytes === 0;
