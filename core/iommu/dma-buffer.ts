import type { Device } from '../device/index.js';
import type { DmaMemory } from '../hal/index.js';
import { Errno, hex } from '../lib/index.js';

/** What a buffer holds on to once its binding is gone: every use throws. */
class DeadMemory implements DmaMemory {
  readonly allocatedBytes = 0;
  constructor(readonly dead: () => never) {}

  alloc(): number {
    return this.dead();
  }
  free(): void {
    this.dead();
  }
  read(): void {
    this.dead();
  }
  write(): void {
    this.dead();
  }
  copy(): void {
    this.dead();
  }
  read32(): number {
    return this.dead();
  }
  write32(): void {
    this.dead();
  }
}

/** How much of a pattern is written at a time. */
const FILL_BYTES = 4096;

/**
 * Memory that a device and its driver share; freed when the binding ends, or when it is disposed of.
 *
 * Offsets are bytes from its start; multi-byte values are little-endian.
 */
export class DmaBuffer implements Disposable {
  #memory: DmaMemory;
  /** What the device is to be told. */
  readonly address: number;
  readonly sizeBytes: number;
  readonly #dev: Device;
  readonly #onDeadUse: (what: string) => void;

  /** @internal */
  constructor(memory: DmaMemory, address: number, sizeBytes: number, dev: Device, onDeadUse: (what: string) => void) {
    this.#memory = memory;
    this.address = address;
    this.sizeBytes = sizeBytes;
    this.#dev = dev;
    this.#onDeadUse = onDeadUse;
  }

  /** @throws {Errno} ERANGE outside the buffer; EINVAL unless `offset` is a multiple of 4; ENODEV after unbind */
  read32(offset: number): number {
    this.#check32(offset);
    return this.#memory.read32(this.address + offset);
  }

  /** @throws {Errno} ERANGE outside the buffer; EINVAL unless `offset` is a multiple of 4; ENODEV after unbind */
  write32(offset: number, value: number): void {
    this.#check32(offset);
    this.#memory.write32(this.address + offset, value);
  }

  /** Copies as many bytes as `out` has, from `offset` on. @throws {Errno} ERANGE outside the buffer; ENODEV after unbind */
  read(offset: number, out: Uint8Array): void {
    this.#check(offset, out.length);
    this.#memory.read(this.address + offset, out, 0, out.length);
  }

  /** Copies all of `data` to `offset`. @throws {Errno} ERANGE outside the buffer; ENODEV after unbind */
  write(offset: number, data: Uint8Array): void {
    this.#check(offset, data.length);
    this.#memory.write(this.address + offset, data, 0, data.length);
  }

  /** Sets `length` bytes from `offset` on; all of it by default. @throws {Errno} ERANGE outside the buffer; ENODEV after unbind */
  fill(value: number, offset = 0, length = this.sizeBytes - offset): void {
    this.#check(offset, length);
    const pattern = new Uint8Array(Math.min(length, FILL_BYTES)).fill(value);
    for (let done = 0; done < length; done += FILL_BYTES) {
      this.#memory.write(this.address + offset + done, pattern, 0, Math.min(FILL_BYTES, length - done));
    }
  }

  /** Frees it now; harmless when it is gone. */
  [Symbol.dispose](): void {
    const entry = this.#dev.devres.find(freeBuffer, (buffer) => buffer === this);
    if (entry !== undefined) void this.#dev.devres.releaseEntry(entry);
  }

  /** The end of the allocation. @internal */
  end(): void {
    const memory = this.#memory;
    const what = `${this.#dev.name}: dma 0x${hex(this.address)}, ${this.sizeBytes} bytes,`;
    this.#memory = new DeadMemory(() => {
      this.#onDeadUse(what);
      throw new Errno('ENODEV', `${what} used after unbind`);
    });
    memory.free(this.address);
  }

  #check(offset: number, length: number): void {
    if (Number.isInteger(offset) && offset >= 0 && length >= 0 && offset + length <= this.sizeBytes) return;
    throw new Errno(
      'ERANGE',
      `${this.#dev.name}: dma: ${length} bytes at offset ${offset} of a buffer of ${this.sizeBytes} bytes`,
    );
  }

  #check32(offset: number): void {
    this.#check(offset, 4);
    if (offset % 4 !== 0) throw new Errno('EINVAL', `${this.#dev.name}: dma: offset ${offset} of a word is no multiple of 4`);
  }
}

/** The release of a buffer. @internal */
export const freeBuffer = (buffer: DmaBuffer): void => buffer.end();
