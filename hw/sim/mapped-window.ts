import { DIRECT_STORE_BYTES, type Window, writeDirect } from '../../core/hal/index.js';
import { Errno, hex } from '../../core/lib/index.js';

/** What answers to a range of addresses, until its `live` goes false. */
export class Claim {
  live = true;
  /**
   * @param start first address; @param end the one after the last
   * @param owner told when `target` throws
   */
  constructor(
    readonly start: number,
    readonly end: number,
    readonly target: Window,
    readonly owner: { failed(error: unknown): void },
  ) {}
}

/** An address space: who answers where, and the writes on their way there. */
export interface AddressSpace {
  readonly posted: PostedQueue;
  /** Whether writes are posted here, or waited for. */
  readonly isPosting: boolean;
  /** Who answers to `address` now; undefined when nobody does. */
  resolve(address: number): Claim | undefined;
}

const BLOCK_WORDS = DIRECT_STORE_BYTES / 4;
/** Writes that a queue keeps; one more is delivered first. */
const CAPACITY = 256;

/**
 * Writes on their way to devices, in order. They arrive before the next read, before time moves, when the running synchronous
 * section has returned, or when the queue is full; where the device has gone meanwhile they vanish.
 * @see PCI Express Base Specification 5.0, 2.4.1 (a read pushes the posted writes before it)
 */
export class PostedQueue {
  readonly #windows: (MappedWindow | undefined)[] = Array.from({ length: CAPACITY }, () => undefined);
  readonly #offsets = new Float64Array(CAPACITY);
  readonly #lo = new Uint32Array(CAPACITY);
  readonly #hi = new Uint32Array(CAPACITY);
  readonly #bytes = new Uint8Array(CAPACITY);
  /** Of writes of 64 bytes; made for the first. */
  #blocks: Uint32Array | undefined = undefined;
  #spare: Uint32Array | undefined = undefined;
  #head = 0;
  /** Writes now in the queue. */
  length = 0;
  #isScheduled = false;
  readonly #onMicrotask = (): void => {
    this.#isScheduled = false;
    this.flush();
  };

  push(window: MappedWindow, bytes: number, offset: number, lo: number, hi: number): void {
    const i = this.#enter(window, bytes, offset);
    this.#lo[i] = lo;
    this.#hi[i] = hi;
  }

  /** A write of 64 bytes: 16 words from `words[at]` on. */
  pushBlock(window: MappedWindow, offset: number, words: Uint32Array, at: number): void {
    const start = this.#enter(window, DIRECT_STORE_BYTES, offset) * BLOCK_WORDS;
    const blocks = (this.#blocks ??= new Uint32Array(CAPACITY * BLOCK_WORDS));
    for (let n = 0; n < BLOCK_WORDS; n++) blocks[start + n] = words[at + n]!;
  }

  #enter(window: MappedWindow, bytes: number, offset: number): number {
    if (this.length === CAPACITY) this.flush();
    const i = (this.#head + this.length++) % CAPACITY;
    this.#windows[i] = window;
    this.#offsets[i] = offset;
    this.#bytes[i] = bytes;
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      queueMicrotask(this.#onMicrotask);
    }
    return i;
  }

  /** Delivers all, also what a device's reaction adds. @returns whether there was any */
  flush(): boolean {
    if (this.length === 0) return false;
    while (this.length > 0) {
      const i = this.#head;
      const window = this.#windows[i]!;
      this.#windows[i] = undefined;
      this.#head = (i + 1) % CAPACITY;
      this.length--;
      const bytes = this.#bytes[i]!;
      if (bytes === DIRECT_STORE_BYTES) this.#deliverBlock(window, this.#offsets[i]!, i * BLOCK_WORDS);
      else window.deliver(bytes, this.#offsets[i]!, this.#lo[i]!, this.#hi[i]!);
    }
    return true;
  }

  /** A copy is delivered: what the device does with it may fill the queue again. */
  #deliverBlock(window: MappedWindow, offset: number, start: number): void {
    const blocks = this.#blocks!;
    const block = this.#spare ?? new Uint32Array(BLOCK_WORDS);
    this.#spare = undefined;
    for (let n = 0; n < BLOCK_WORDS; n++) block[n] = blocks[start + n]!;
    window.deliverBlock(offset, block, 0);
    this.#spare = block;
  }
}

/** What nobody's claim looks like. */
const NOBODY = new Claim(0, 0, undefined as never, { failed() {} });
NOBODY.live = false;

/**
 * A window on an address space: finds who answers once, and again only when that claim has died.
 *
 * Accesses outside the window, to nobody, or across the end of a claim read all ones and write nothing.
 */
export class MappedWindow implements Window {
  readonly #space: AddressSpace;
  readonly #posted: PostedQueue;
  readonly #address: number;
  #claim = NOBODY;
  /** Offsets of this window that the claim answers to: [low, high); `delta` turns them into offsets of the claim. */
  #low = 0;
  #high = 0;
  #delta = 0;

  /** @throws {Errno} EINVAL for a range that cannot be */
  constructor(
    space: AddressSpace,
    address: number,
    readonly sizeBytes: number,
  ) {
    if (!(Number.isSafeInteger(address) && address >= 0 && Number.isSafeInteger(address + sizeBytes) && sizeBytes > 0)) {
      throw new Errno('EINVAL', `sim: map of ${sizeBytes} bytes at 0x${hex(address)}`);
    }
    this.#space = space;
    this.#posted = space.posted;
    this.#address = address;
  }

  read8(offset: number): number {
    if (this.#posted.length !== 0) this.#posted.flush();
    if (!this.#aims(offset, 1)) return 0xff;
    const { target } = this.#claim;
    try {
      return target.read8(offset + this.#delta) & 0xff;
    } catch (error) {
      this.#claim.owner.failed(error);
      return 0xff;
    }
  }

  read16(offset: number): number {
    if (this.#posted.length !== 0) this.#posted.flush();
    if (!this.#aims(offset, 2)) return 0xffff;
    const { target } = this.#claim;
    try {
      return target.read16(offset + this.#delta) & 0xffff;
    } catch (error) {
      this.#claim.owner.failed(error);
      return 0xffff;
    }
  }

  read32(offset: number): number {
    if (this.#posted.length !== 0) this.#posted.flush();
    if (!this.#aims(offset, 4)) return 0xffff_ffff;
    const { target } = this.#claim;
    try {
      return target.read32(offset + this.#delta) >>> 0;
    } catch (error) {
      this.#claim.owner.failed(error);
      return 0xffff_ffff;
    }
  }

  read64(offset: number, out: Uint32Array): void {
    if (this.#posted.length !== 0) this.#posted.flush();
    out[0] = out[1] = 0xffff_ffff;
    if (!this.#aims(offset, 8)) return;
    const { target, owner } = this.#claim;
    try {
      target.read64(offset + this.#delta, out);
    } catch (error) {
      out[0] = out[1] = 0xffff_ffff;
      owner.failed(error);
    }
  }

  write8(offset: number, value: number): void {
    this.#write(1, offset, value & 0xff, 0);
  }
  write16(offset: number, value: number): void {
    this.#write(2, offset, value & 0xffff, 0);
  }
  write32(offset: number, value: number): void {
    this.#write(4, offset, value >>> 0, 0);
  }
  write64(offset: number, lo: number, hi: number): void {
    this.#write(8, offset, lo >>> 0, hi >>> 0);
  }

  movdir64b(offset: number, words: Uint32Array, at: number): void {
    if (this.#space.isPosting) {
      this.#posted.pushBlock(this, offset, words, at);
      return;
    }
    this.#posted.flush();
    this.deliverBlock(offset, words, at);
  }

  enqcmd(offset: number, words: Uint32Array, at: number): boolean {
    if (this.#posted.length !== 0) this.#posted.flush();
    if (!this.#aims(offset, DIRECT_STORE_BYTES)) return true;
    const { target, owner } = this.#claim;
    try {
      return target.enqcmd?.(offset + this.#delta, words, at) !== false;
    } catch (error) {
      owner.failed(error);
      return true;
    }
  }

  /** A write of 64 bytes arrives. @internal */
  deliverBlock(offset: number, words: Uint32Array, at: number): void {
    if (!this.#aims(offset, DIRECT_STORE_BYTES)) return;
    const { target, owner } = this.#claim;
    try {
      writeDirect(target, offset + this.#delta, words, at);
    } catch (error) {
      owner.failed(error);
    }
  }

  /** A write arrives. @internal */
  deliver(bytes: number, offset: number, lo: number, hi: number): void {
    if (!this.#aims(offset, bytes)) return;
    const { target, owner } = this.#claim;
    const at = offset + this.#delta;
    try {
      if (bytes === 4) target.write32(at, lo);
      else if (bytes === 8) target.write64(at, lo, hi);
      else if (bytes === 2) target.write16(at, lo);
      else target.write8(at, lo);
    } catch (error) {
      owner.failed(error);
    }
  }

  #write(bytes: number, offset: number, lo: number, hi: number): void {
    if (this.#space.isPosting) {
      this.#posted.push(this, bytes, offset, lo, hi);
      return;
    }
    this.#posted.flush();
    this.deliver(bytes, offset, lo, hi);
  }

  #aims(offset: number, bytes: number): boolean {
    if (this.#claim.live && offset >= this.#low && offset + bytes <= this.#high) return true;
    return this.#aim(offset, bytes);
  }

  #aim(offset: number, bytes: number): boolean {
    if (!(Number.isInteger(offset) && offset >= 0 && offset + bytes <= this.sizeBytes)) return false;
    const claim = this.#space.resolve(this.#address + offset);
    if (claim === undefined) return false;
    this.#claim = claim;
    this.#delta = this.#address - claim.start;
    this.#low = Math.max(0, -this.#delta);
    this.#high = Math.min(this.sizeBytes, claim.end - this.#address);
    return offset + bytes <= this.#high;
  }
}
