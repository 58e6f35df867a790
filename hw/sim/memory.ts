import type { DmaConstraint, DmaMemory } from '../../core/hal/index.js';
import { Errno, hex, isPowerOfTwo } from '../../core/lib/index.js';
import { PageAllocator } from './page-allocator.js';
import { type Stretch, Transfer } from './transfer.js';

export const PAGE_BYTES = 4096;
/** Memory comes into being in pieces of this size, when it is first touched. */
const CHUNK_BYTES = 4 * 2 ** 20;
const CHUNK_PAGES = CHUNK_BYTES / PAGE_BYTES;
/** The first MiB is the firmware's and is never handed out. */
const FIRST_FREE = 2 ** 20;
/** Below 4 GiB, memory ends here: above are the devices. */
const LOW_END = 0xc000_0000;
const HIGH_START = 2 ** 32;

/** A run of memory in one flat buffer. */
export interface Segment extends Stretch {
  readonly base: number;
  readonly view: DataView;
}

/** Memory that was handed out. */
export interface Allocation {
  readonly address: number;
  readonly sizeBytes: number;
  readonly order: number;
}

/** Addresses [start, end). */
interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * The machine's memory: from 0 to 3 GiB, the rest from 4 GiB on. An allocation is one flat buffer, whatever its size.
 *
 * The operating system's accesses outside memory throw; devices go through `contains` first.
 */
export class PhysicalMemory implements DmaMemory {
  readonly ranges: readonly Range[];
  readonly #chunks: (Segment | undefined)[] = [];
  /** What copies between segments and buffers. */
  readonly transfer = new Transfer();
  /** Changes whenever something is freed: what is known of an allocation holds as long as it does not. */
  epoch = 0;
  readonly #pages: PageAllocator;
  readonly #allocations = new Map<number, Allocation>();
  /** By chunk, then by page of the chunk: the allocation that has the page. */
  readonly #owners: (Allocation | undefined)[][] = [];
  #allocatedBytes = 0;
  readonly #lowEnd: number;
  readonly #highEnd: number;

  /** @param sizeBytes 2 MiB to 1 TiB, a multiple of 4096 */
  constructor(readonly sizeBytes: number) {
    if (!(sizeBytes % PAGE_BYTES === 0 && sizeBytes >= 2 * 2 ** 20 && sizeBytes <= 2 ** 40)) {
      throw new Errno('EINVAL', `sim: memory of ${sizeBytes} bytes: must be a multiple of ${PAGE_BYTES} from 2 MiB to 1 TiB`);
    }
    const low = { start: 0, end: Math.min(sizeBytes, LOW_END) };
    const high = { start: HIGH_START, end: HIGH_START + sizeBytes - low.end };
    this.#lowEnd = low.end;
    this.#highEnd = high.end;
    this.ranges = high.end > high.start ? [low, high] : [low];
    this.#pages = new PageAllocator(
      this.ranges.map(({ start, end }) => ({ start: Math.max(start, FIRST_FREE) / PAGE_BYTES, end: end / PAGE_BYTES })),
    );
  }

  get allocatedBytes(): number {
    return this.#allocatedBytes;
  }

  alloc(sizeBytes: number, constraint: DmaConstraint): number {
    const { mask, alignBytes = PAGE_BYTES } = constraint;
    if (!(Number.isSafeInteger(sizeBytes) && sizeBytes > 0)) {
      throw new Errno('EINVAL', `sim: allocation of ${sizeBytes} bytes: must be a positive integer`);
    }
    if (!isPowerOfTwo(alignBytes)) {
      throw new Errno('EINVAL', `sim: alignment of ${alignBytes} bytes is not a power of two`);
    }
    const pages = Math.ceil(sizeBytes / PAGE_BYTES);
    const order = Math.ceil(Math.log2(Math.max(pages, alignBytes / PAGE_BYTES)));
    // The last page may reach beyond the mask as long as the allocation does not.
    const end = Math.floor((mask + 1 - sizeBytes) / PAGE_BYTES) + pages;
    const page = this.#pages.alloc(order, pages, end);
    if (page < 0) {
      const used = `${this.#allocatedBytes} of ${this.sizeBytes} in use`;
      throw new Errno('ENOMEM', `sim: no ${sizeBytes} bytes of memory below mask 0x${hex(mask)}, ${used}`);
    }
    const allocation = { address: page * PAGE_BYTES, sizeBytes, order };
    this.#allocations.set(allocation.address, allocation);
    this.#own(page, pages, allocation);
    this.#allocatedBytes += sizeBytes;
    this.#provide(allocation);
    return allocation.address;
  }

  free(address: number): void {
    const allocation = this.#allocations.get(address);
    if (allocation === undefined) throw new Errno('EINVAL', `sim: 0x${hex(address)} is not the start of an allocation`);
    this.#allocations.delete(address);
    this.epoch++;
    const first = address / PAGE_BYTES;
    const pages = Math.ceil(allocation.sizeBytes / PAGE_BYTES);
    this.#own(first, pages, undefined);
    this.#allocatedBytes -= allocation.sizeBytes;
    this.#pages.free(first, allocation.order);
  }

  /** Whether all of a range is memory. */
  contains(address: number, length: number): boolean {
    const end = address + length;
    return (address >= 0 && end <= this.#lowEnd) || (address >= HIGH_START && end <= this.#highEnd);
  }

  /** How many bytes from `address` on are memory, up to `length`. */
  reach(address: number, length: number): number {
    if (address >= 0 && address < this.#lowEnd) return Math.min(length, this.#lowEnd - address);
    return address >= HIGH_START && address < this.#highEnd ? Math.min(length, this.#highEnd - address) : 0;
  }

  /** Whether all of a range is allocated. */
  isAllocated(address: number, length: number): boolean {
    for (let at = address; at < address + length;) {
      const owner = this.#owner(at);
      if (owner === undefined || at >= owner.address + owner.sizeBytes) return false;
      at = owner.address + owner.sizeBytes;
    }
    return true;
  }

  read(address: number, buffer: Uint8Array, offset: number, length: number): void {
    this.#check(address, buffer, offset, length);
    for (let done = 0; done < length;) {
      const segment = this.segment(address + done);
      const from = address + done - segment.base;
      const step = Math.min(length - done, segment.bytes.length - from);
      this.transfer.read(segment, from, buffer, offset + done, step);
      done += step;
    }
  }

  write(address: number, buffer: Uint8Array, offset: number, length: number): void {
    this.#check(address, buffer, offset, length);
    for (let done = 0; done < length;) {
      const segment = this.segment(address + done);
      const to = address + done - segment.base;
      const step = Math.min(length - done, segment.bytes.length - to);
      this.transfer.write(segment, to, buffer, offset + done, step);
      done += step;
    }
  }

  copy(source: number, destination: number, length: number): void {
    this.#checkRange(source, length);
    this.#checkRange(destination, length);
    const from = this.segment(source);
    const to = this.segment(destination);
    const start = source - from.base;
    const isFlat = start + length <= from.bytes.length && destination - to.base + length <= to.bytes.length;
    if (isFlat && from === to) {
      from.bytes.copyWithin(destination - from.base, start, start + length);
    } else if (isFlat) {
      to.bytes.set(from.bytes.subarray(start, start + length), destination - to.base);
    } else {
      // The ranges may overlap, so the bytes are taken out first.
      const buffer = new Uint8Array(length);
      this.read(source, buffer, 0, length);
      this.write(destination, buffer, 0, length);
    }
  }

  read32(address: number): number {
    this.#checkWord(address);
    const { base, view } = this.segment(address);
    return view.getUint32(address - base, true);
  }

  write32(address: number, value: number): void {
    this.#checkWord(address);
    const { base, view } = this.segment(address);
    view.setUint32(address - base, value, true);
  }

  /**
   * A live view, for as long as the memory is allocated.
   * @throws {Errno} EFAULT unless all of it lies in one allocation
   */
  view(address: number, sizeBytes: number): Uint8Array {
    const owner = this.#owner(address);
    if (owner === undefined || address + sizeBytes > owner.address + owner.sizeBytes) {
      throw new Errno('EFAULT', `sim: ${sizeBytes} bytes at 0x${hex(address)} are not in one allocation`);
    }
    const { base, bytes } = this.segment(address);
    return bytes.subarray(address - base, address - base + sizeBytes);
  }

  #checkRange(address: number, length: number): void {
    if (!this.contains(address, length)) {
      throw new Errno('EFAULT', `sim: ${length} bytes at 0x${hex(address)} are not memory`);
    }
  }

  #checkWord(address: number): void {
    this.#checkRange(address, 4);
    if ((address & 3) !== 0) throw new Errno('EINVAL', `sim: 0x${hex(address)} is not a multiple of 4`);
  }

  #check(address: number, buffer: Uint8Array, offset: number, length: number): void {
    if (!(offset >= 0 && length >= 0 && offset + length <= buffer.length)) {
      throw new Errno('ERANGE', `sim: ${length} bytes from ${offset} on are outside a buffer of ${buffer.length} bytes`);
    }
    this.#checkRange(address, length);
  }

  /** The allocation that an address is in. */
  allocation(address: number): Allocation | undefined {
    const owner = this.#owner(address);
    return owner === undefined || address >= owner.address + owner.sizeBytes ? undefined : owner;
  }

  /** The run of memory that an address is in. */
  segment(address: number): Segment {
    const index = Math.floor(address / CHUNK_BYTES);
    return this.#chunks[index] ?? this.#fill(index, index + 1);
  }

  #owner(address: number): Allocation | undefined {
    const page = Math.floor(address / PAGE_BYTES);
    return this.#owners[Math.floor(address / CHUNK_BYTES)]?.[page & (CHUNK_PAGES - 1)];
  }

  #own(first: number, pages: number, owner: Allocation | undefined): void {
    for (let page = first; page < first + pages;) {
      const chunk = Math.floor(page / CHUNK_PAGES);
      const from = page % CHUNK_PAGES;
      const to = Math.min(CHUNK_PAGES, from + first + pages - page);
      const owners = (this.#owners[chunk] ??= new Array<Allocation | undefined>(CHUNK_PAGES).fill(undefined));
      owners.fill(owner, from, to);
      page += to - from;
    }
  }

  /** Zeroes a new allocation, and makes its memory one flat buffer when it is larger than a chunk. */
  #provide({ address, sizeBytes, order }: Allocation): void {
    const first = Math.floor(address / CHUNK_BYTES);
    const blockBytes = 2 ** order * PAGE_BYTES;
    const present = this.#chunks[first];
    if (blockBytes > CHUNK_BYTES && !(present !== undefined && address + blockBytes <= present.base + present.bytes.length)) {
      // A block larger than a chunk consists of whole ones: nothing else lives here.
      this.#fill(first, first + blockBytes / CHUNK_BYTES);
    } else {
      present?.bytes.fill(0, address - present.base, address - present.base + sizeBytes);
    }
  }

  #fill(first: number, end: number): Segment {
    const memory = this.transfer.stretch((end - first) * CHUNK_BYTES);
    const { buffer, length } = memory.bytes;
    const segment = { ...memory, base: first * CHUNK_BYTES, view: new DataView(buffer, 0, length) };
    for (let i = first; i < end; i++) this.#chunks[i] = segment;
    return segment;
  }
}
