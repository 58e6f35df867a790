/** Where a DMA allocation may lie. */
export interface DmaConstraint {
  /** Highest address the device can send, as a mask of ones: 0x0fff_ffff for 28 bits. Below 2^53. */
  readonly mask: number;
  /** Power of two; default 4096. */
  readonly alignBytes?: number;
}

/**
 * Memory that devices reach by DMA. All of it is synchronous; addresses are bus addresses, safe integers.
 *
 * A caller's buffer is any `Uint8Array`; a host does not keep it.
 */
export interface DmaMemory {
  /**
   * Reserves zeroed memory that is contiguous for the device.
   * @returns its bus address
   * @throws {Errno} ENOMEM when nothing of that size is free below the mask
   */
  alloc(sizeBytes: number, constraint: DmaConstraint): number;
  /** @throws {Errno} EINVAL when `address` is not the start of an allocation */
  free(address: number): void;
  /** Copies `length` bytes at `address` into `buffer` from `offset` on. */
  read(address: number, buffer: Uint8Array, offset: number, length: number): void;
  /** Copies `length` bytes of `buffer` from `offset` on to `address`. */
  write(address: number, buffer: Uint8Array, offset: number, length: number): void;
  copy(source: number, destination: number, length: number): void;
  read32(address: number): number;
  write32(address: number, value: number): void;
  /** A live view of memory, where the host can give one. */
  view?(address: number, sizeBytes: number): Uint8Array;
  /** Bytes now reserved by `alloc`, for leak checks. */
  readonly allocatedBytes: number;
}
