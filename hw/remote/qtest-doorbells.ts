import { IdAllocator } from '../../core/lib/id-allocator.js';
import type { DmaMemory } from '../../core/hal/dma.js';
import type { DoorbellMessages } from '../../core/hal/interrupts.js';
import type { MsiMsg } from '../../core/hal/msi.js';

/** How many there are: one word of guest memory each. */
export const DOORBELLS = 4096;

/** Where the words are. @internal */
export type DoorbellMemory = Pick<DmaMemory, 'alloc' | 'read' | 'write32'>;

/**
 * Messages to words of ordinary guest memory: a device that sends one leaves a number that is not 0, for us to find.
 *
 * Looking costs one read of the words up to the last one in use. @internal
 */
export class Doorbells implements DoorbellMessages {
  readonly kind = 'doorbell';
  readonly #memory: DoorbellMemory;
  readonly #rung: Uint32Array;
  readonly #onUse: () => void;
  readonly #ids = new IdAllocator('qtest: doorbells', 0, DOORBELLS - 1);
  readonly #taken = new Uint8Array(DOORBELLS);
  readonly #words = new Uint32Array(DOORBELLS);
  readonly #silence = Buffer.alloc(4 * DOORBELLS);
  /** Bytes of `#words`, and as many zeros, up to the last doorbell in use. */
  #seen = this.#silence.subarray(0, 0);
  #silent = this.#seen;
  #base = 0;

  /**
   * @param rung the set of those that were found rung, 32 to a word; whoever takes one out of it answers it
   * @param onUse told when the first is taken or the last given back
   */
  constructor(memory: DoorbellMemory, rung: Uint32Array, onUse: () => void) {
    this.#memory = memory;
    this.#rung = rung;
    this.#onUse = onUse;
  }

  /** Reserves the words; once the memory is there. */
  start(): void {
    this.#base = this.#memory.alloc(4 * DOORBELLS, { mask: 0xffff_ffff });
  }

  get inUse(): boolean {
    return this.#ids.size > 0;
  }

  alloc(): number {
    if (this.#ids.size === DOORBELLS) return -1;
    const n = this.#ids.alloc();
    // A message to its former owner may have come late.
    this.#memory.write32(this.#base + 4 * n, 0);
    this.#taken[n] = 1;
    if (4 * n >= this.#seen.length) this.#watch(n + 1);
    if (this.#ids.size === 1) this.#onUse();
    return n;
  }

  free(doorbell: number): void {
    this.#ids.free(doorbell);
    this.#taken[doorbell] = 0;
    this.#rung[doorbell >>> 5]! &= ~(1 << (doorbell & 31));
    this.#watch(this.#taken.lastIndexOf(1) + 1);
    if (this.#ids.size === 0) this.#onUse();
  }

  message(doorbell: number): MsiMsg {
    return { addressLo: this.#base + 4 * doorbell, addressHi: 0, data: doorbell + 1 };
  }

  /** The doorbell that a message rings, -1 when it rings none. */
  rungBy(msg: MsiMsg): number {
    const n = (msg.addressLo - this.#base) / 4;
    return msg.addressHi === 0 && this.#taken[n] === 1 ? n : -1;
  }

  /**
   * Looks at the words, silences those that are rung and puts them into the set. Silencing comes first: who rings after it is found
   * by the next look, who rang before it is heard now.
   * @returns whether there were any
   */
  collect(): boolean {
    const seen = this.#seen;
    this.#memory.read(this.#base, seen, 0, seen.length);
    if (seen.equals(this.#silent)) return false;
    const words = this.#words;
    let any = false;
    for (let n = 0; 4 * n < seen.length; n++) {
      if (words[n] === 0) continue;
      this.#memory.write32(this.#base + 4 * n, 0);
      if (this.#taken[n] === 0) continue;
      this.#rung[n >>> 5]! |= 1 << (n & 31);
      any = true;
    }
    return any;
  }

  #watch(count: number): void {
    this.#seen = Buffer.from(this.#words.buffer, 0, 4 * count);
    this.#silent = this.#silence.subarray(0, 4 * count);
  }
}
