import type { DoorbellMemory } from '../../../hw/remote/qtest-doorbells.js';

export const BASE = 0x10_0000;

/** Guest memory of one allocation, at {@link BASE}. */
export class FakeMemory implements DoorbellMemory {
  readonly words = new Uint32Array(0x1_0000);
  /** Length of each read, in bytes. */
  readonly reads: number[] = [];
  /** Runs when a read is over. */
  afterRead: () => void = () => {};

  alloc(): number {
    return BASE;
  }
  read(address: number, buffer: Uint8Array, offset: number, length: number): void {
    this.reads.push(length);
    buffer.set(new Uint8Array(this.words.buffer, address - BASE, length), offset);
    this.afterRead();
  }
  write32(address: number, value: number): void {
    this.words[(address - BASE) / 4] = value;
  }
}
