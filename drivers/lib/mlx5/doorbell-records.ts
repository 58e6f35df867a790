import { type Device, Errno } from '../../../core/index.js';
import type { QueueOwner } from './queue-owner.js';
import { Words } from './words.js';

const PAGE_BYTES = 4096;
/** Each has a line of the cache for itself. */
const RECORD_BYTES = 64;

/**
 * A page of doorbell records: through them queues tell the device how far they are.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/alloc.c mlx5_db_alloc
 */
export class DoorbellRecords {
  readonly words: Words;
  readonly #dev: Device;
  readonly #address: number;
  #used = 0;

  /** Managed: in the ledger of `dev` it is `dma 4096 bytes`. */
  constructor(owner: QueueOwner, dev: Device) {
    const memory = owner.dma.alloc(dev, PAGE_BYTES);
    this.#dev = dev;
    this.#address = memory.address;
    this.words = new Words(memory);
  }

  /** Takes one. @returns the index of its first word. @throws {Errno} ENOSPC when the page is full */
  take(): number {
    if (this.#used === PAGE_BYTES) throw new Errno('ENOSPC', `${this.#dev.name}: all doorbell records of a page are in use`);
    const at = this.#used;
    this.#used += RECORD_BYTES;
    return at / 4;
  }

  /** What the device is told. @param index what {@link take} gave */
  addressOf(index: number): number {
    return this.#address + 4 * index;
  }
}
