import type { Device, DmaBuffer } from '../../../core/index.js';
import { setAddress } from '../../../hw/regs/nic-words.js';
import type { DoorbellRecords } from './doorbell-records.js';
import type { QueueOwner } from './queue-owner.js';
import { Words } from './words.js';

/** What the device takes as one page of a queue. */
const PAGE_BYTES = 4096;

/** Memory of a queue: its entries, and its doorbell record. */
export class QueueMemory {
  readonly memory: DmaBuffer;
  readonly words: Words;
  readonly #records: DoorbellRecords;
  readonly #record: number;
  readonly #pages: number;

  /** Managed: in the ledger of `dev` it is `dma 65536 bytes`. @throws {Errno} ENOSPC when there is no record left */
  constructor(owner: QueueOwner, dev: Device, sizeBytes: number, records: DoorbellRecords) {
    this.memory = owner.dma.alloc(dev, sizeBytes, { alignBytes: PAGE_BYTES });
    this.words = new Words(this.memory);
    this.#records = records;
    this.#record = records.take();
    this.#pages = Math.ceil(sizeBytes / PAGE_BYTES);
  }

  /** Writes a word of the record. */
  setRecord(word: number, value: number): void {
    this.#records.words.set(this.#record + word, value);
  }

  get recordAddress(): number {
    return this.#records.addressOf(this.#record);
  }

  /** A command that carries the pages of the queue behind `headerBytes`. */
  command(headerBytes: number): Uint32Array {
    const input = new Uint32Array(headerBytes / 4 + 2 * this.#pages);
    for (let n = 0; n < this.#pages; n++) setAddress(input, headerBytes + 8 * n, this.memory.address + n * PAGE_BYTES);
    return input;
  }
}
