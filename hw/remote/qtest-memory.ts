import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { Errno, hex, isPowerOfTwo } from '../../core/lib/index.js';
import type { DmaConstraint, DmaMemory } from '../../core/hal/dma.js';

/** Below 1 MiB lie the holes and shadows of a PC, and page 0, which is more useful as an error. */
const FIRST = 0x10_0000;
const ZEROS = Buffer.alloc(0x1_0000);

/** A free range; `end` is not included. */
interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * Guest memory as a file that QEMU maps shared: offset in the file is bus address, and a DMA is seen at once on both sides.
 * @internal
 */
export class FileMemory implements DmaMemory {
  #fd = -1;
  /** Sorted, never adjacent. */
  readonly #free: Range[];
  readonly #allocations = new Map<number, number>();
  readonly #word = new Uint32Array(1);
  readonly #wordBytes = new Uint8Array(this.#word.buffer);
  #allocatedBytes = 0;

  constructor(readonly sizeBytes: number) {
    this.#free = [{ start: FIRST, end: sizeBytes }];
  }

  open(path: string): void {
    this.#fd = openSync(path, 'r+');
  }

  /** Every later access throws EIO. Idempotent. */
  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  get allocatedBytes(): number {
    return this.#allocatedBytes;
  }

  alloc(sizeBytes: number, constraint: DmaConstraint): number {
    const { mask, alignBytes = 4096 } = constraint;
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || !isPowerOfTwo(alignBytes)) {
      throw new Errno('EINVAL', `qtest: no DMA memory has ${sizeBytes} bytes aligned to ${alignBytes}`);
    }
    for (const [index, range] of this.#free.entries()) {
      const start = Math.ceil(range.start / alignBytes) * alignBytes;
      const end = start + sizeBytes;
      if (end - 1 > mask) break;
      if (end > range.end) continue;
      this.#fill(start, sizeBytes);
      this.#free.splice(
        index,
        1,
        ...[
          { start: range.start, end: start },
          { start: end, end: range.end },
        ].filter(isRange),
      );
      this.#allocations.set(start, sizeBytes);
      this.#allocatedBytes += sizeBytes;
      return start;
    }
    throw new Errno(
      'ENOMEM',
      `qtest: no ${sizeBytes} bytes of DMA memory free below 0x${hex(mask)}: ` +
        `${this.#allocatedBytes} of ${this.sizeBytes} are in use`,
    );
  }

  free(address: number): void {
    const sizeBytes = this.#allocations.get(address);
    if (sizeBytes === undefined) throw new Errno('EINVAL', `qtest: 0x${hex(address)} starts no DMA allocation`);
    this.#allocations.delete(address);
    this.#allocatedBytes -= sizeBytes;
    let start = address;
    let end = address + sizeBytes;
    const at = this.#free.findIndex((range) => range.start > address);
    const index = at < 0 ? this.#free.length : at;
    const below = this.#free[index - 1];
    const above = this.#free[index];
    if (below?.end === start) start = below.start;
    if (above?.start === end) end = above.end;
    const first = start === address ? index : index - 1;
    this.#free.splice(first, index - first + (end === address + sizeBytes ? 0 : 1), { start, end });
  }

  read(address: number, buffer: Uint8Array, offset: number, length: number): void {
    this.#check(address, length);
    for (let done = 0; done < length;) done += readSync(this.#fd, buffer, offset + done, length - done, address + done);
  }

  write(address: number, buffer: Uint8Array, offset: number, length: number): void {
    this.#check(address, length);
    for (let done = 0; done < length;) done += writeSync(this.#fd, buffer, offset + done, length - done, address + done);
  }

  copy(source: number, destination: number, length: number): void {
    const bytes = Buffer.allocUnsafe(length);
    this.read(source, bytes, 0, length);
    this.write(destination, bytes, 0, length);
  }

  read32(address: number): number {
    this.read(address, this.#wordBytes, 0, 4);
    return this.#word[0]!;
  }

  write32(address: number, value: number): void {
    this.#word[0] = value;
    this.write(address, this.#wordBytes, 0, 4);
  }

  #fill(address: number, length: number): void {
    for (let done = 0; done < length; done += ZEROS.length) {
      this.write(address + done, ZEROS, 0, Math.min(ZEROS.length, length - done));
    }
  }

  #check(address: number, length: number): void {
    if (this.#fd < 0) throw new Errno('EIO', 'qtest: memory of a host that is not running: start it first');
    if (!(Number.isInteger(address) && address >= 0 && address + length <= this.sizeBytes)) {
      throw new Errno('EINVAL', `qtest: ${length} bytes at 0x${hex(address)} are outside memory of ${this.sizeBytes} bytes`);
    }
  }
}

function isRange(range: Range): boolean {
  return range.end > range.start;
}
