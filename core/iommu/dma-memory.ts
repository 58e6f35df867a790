import type { Device } from '../device/index.js';
import type { DmaMemory } from '../hal/index.js';
import { Errno } from '../lib/index.js';

/** What memory holds on to once its binding is gone: every use throws. */
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

/** Where memory of the host comes from, and who hears of its use after unbind. @internal */
export interface MemorySource {
  readonly memory: DmaMemory;
  reportDeadUse(dev: Device, text: string): void;
}

/**
 * Memory of the host as its driver sees it; freed when the binding ends, or when it is disposed of.
 *
 * Offsets are bytes from its start; multi-byte values are little-endian.
 */
export abstract class HostMemory implements Disposable {
  #memory: DmaMemory;
  #isLive = true;
  readonly #source: MemorySource;
  /** Where the host has it: what the CPU uses, and no device that is translated. */
  readonly physicalAddress: number;
  readonly sizeBytes: number;
  /** Whose driver has it. @internal */
  readonly dev: Device;

  /** @internal */
  constructor(source: MemorySource, physicalAddress: number, sizeBytes: number, dev: Device) {
    this.#source = source;
    this.#memory = source.memory;
    this.physicalAddress = physicalAddress;
    this.sizeBytes = sizeBytes;
    this.dev = dev;
  }

  /** What reports call it: `dma 0x1000`. */
  protected abstract get label(): string;

  /** Whether it has not been freed. */
  get isLive(): boolean {
    return this.#isLive;
  }

  /** @throws {Errno} ENODEV when it has been freed @internal */
  checkLive(): void {
    if (!this.#isLive) this.#memory.read32(this.physicalAddress);
  }

  /** @throws {Errno} ERANGE outside the buffer; EINVAL unless `offset` is a multiple of 4; ENODEV after unbind */
  read32(offset: number): number {
    this.#check32(offset);
    return this.#memory.read32(this.physicalAddress + offset);
  }

  /** @throws {Errno} ERANGE outside the buffer; EINVAL unless `offset` is a multiple of 4; ENODEV after unbind */
  write32(offset: number, value: number): void {
    this.#check32(offset);
    this.#memory.write32(this.physicalAddress + offset, value);
  }

  /**
   * All of it as the CPU has it, live, where the host can give that; for hot paths. It is not to be used once the memory was freed.
   * @throws {Errno} ENODEV after unbind
   */
  view(): Uint8Array | undefined {
    this.checkLive();
    return this.#memory.view?.(this.physicalAddress, this.sizeBytes);
  }

  /** Copies as many bytes as `out` has, from `offset` on. @throws {Errno} ERANGE outside the buffer; ENODEV after unbind */
  read(offset: number, out: Uint8Array): void {
    this.#check(offset, out.length);
    this.#memory.read(this.physicalAddress + offset, out, 0, out.length);
  }

  /** Copies all of `data` to `offset`. @throws {Errno} ERANGE outside the buffer; ENODEV after unbind */
  write(offset: number, data: Uint8Array): void {
    this.#check(offset, data.length);
    this.#memory.write(this.physicalAddress + offset, data, 0, data.length);
  }

  /** Sets `length` bytes from `offset` on; all of it by default. @throws {Errno} ERANGE outside the buffer; ENODEV after unbind */
  fill(value: number, offset = 0, length = this.sizeBytes - offset): void {
    this.#check(offset, length);
    const pattern = new Uint8Array(Math.min(length, FILL_BYTES)).fill(value);
    for (let done = 0; done < length; done += FILL_BYTES) {
      this.#memory.write(this.physicalAddress + offset + done, pattern, 0, Math.min(FILL_BYTES, length - done));
    }
  }

  /** Frees it now; harmless when it is gone. */
  abstract [Symbol.dispose](): void;

  /** The end of the allocation. @internal */
  end(): void {
    if (!this.#isLive) return;
    const memory = this.#memory;
    const text = `${this.dev.name}: ${this.label}, ${this.sizeBytes} bytes, used after unbind`;
    this.#memory = new DeadMemory(() => {
      this.#source.reportDeadUse(this.dev, text);
      throw new Errno('ENODEV', text);
    });
    this.#isLive = false;
    memory.free(this.physicalAddress);
  }

  #check(offset: number, length: number): void {
    if (Number.isInteger(offset) && offset >= 0 && length >= 0 && offset + length <= this.sizeBytes) return;
    throw new Errno(
      'ERANGE',
      `${this.dev.name}: dma: ${length} bytes at offset ${offset} of a buffer of ${this.sizeBytes} bytes`,
    );
  }

  #check32(offset: number): void {
    this.#check(offset, 4);
    if (offset % 4 !== 0) throw new Errno('EINVAL', `${this.dev.name}: dma: offset ${offset} of a word is no multiple of 4`);
  }
}
