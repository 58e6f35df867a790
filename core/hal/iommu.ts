import type { Subscription } from '../lib/signal.js';

/** What {@link IommuTable.walk} gives where nothing is mapped. */
export const NOT_MAPPED = -1;
/** What {@link IommuTable.walk} gives where that access is not allowed. */
export const NOT_ALLOWED = -2;

/**
 * A translation table as hardware walks it; software owns it. What hardware has found it may keep until it is told to forget.
 */
export interface IommuTable {
  /**
   * Translates one address.
   * @returns the physical address; {@link NOT_MAPPED} or {@link NOT_ALLOWED} where there is none
   */
  walk(iova: number, isWrite: boolean): number;
  /** Length of the page that an address is in, in bytes: how far a translation holds. A power of two. */
  pageBytes(iova: number): number;
}

/** What accesses meet: `blocked` every one is refused; `identity` addresses are physical; or a table translates them. */
export type IommuContext = 'blocked' | 'identity' | IommuTable;

/**
 * Why an access was refused: `no-entry` not mapped; `permission`; `blocked`, also by a PASID that has nothing; `no-context` by a PASID of a
 * device that nobody has set anything for.
 */
export type IommuFaultReason = 'no-entry' | 'permission' | 'blocked' | 'no-context';

/** An access of a device that was refused. */
export interface IommuFault {
  readonly timeUs: number;
  /** Bus, device and function of the device: 16 bits. */
  readonly requesterId: number;
  /** Undefined for an access without one. */
  readonly pasid: number | undefined;
  readonly iova: number;
  readonly isWrite: boolean;
  readonly reason: IommuFaultReason;
}

/** A device asks for a page that is not there (PRI); `done` says whether it is now. */
export interface IommuPageRequest {
  readonly requesterId: number;
  readonly pasid: number | undefined;
  readonly iova: number;
  readonly isWrite: boolean;
  /** Answers it, once. */
  done(isThere: boolean): void;
}

/**
 * The unit between devices and memory, which gives each device, and each address space (PASID) of it, memory of its own.
 *
 * A device that nobody has set a context for reaches memory as it is. Messages to interrupt addresses are not translated.
 * @see Intel VT-d Architecture Specification 4.1, chapter 3
 */
export interface IommuHardware {
  /** Bits of an address that it translates. */
  readonly addressBits: number;
  /** Bits of a PASID; 0 when it knows none. */
  readonly pasidBits: number;
  /** Lengths of the pages it can map, in bytes, ascending; powers of two. */
  readonly pageBytes: readonly number[];
  /** What accesses of a device without PASID meet; undefined as if nobody had set any. */
  setContext(requesterId: number, context: IommuContext | undefined): void;
  /** What those with a PASID meet; 1 to 2^`pasidBits` - 1. Undefined: they are refused. */
  setPasidContext(requesterId: number, pasid: number, context: IommuContext | undefined): void;
  /** Makes it forget what it has found in a table, of `sizeBytes` from `iova` on; nothing that is under way uses it after that. */
  invalidate(table: IommuTable, iova: number, sizeBytes: number): void;
  onFault(listener: (fault: IommuFault) => void): Subscription;
  /** Sets who answers page requests; undefined when nobody does: they fail. */
  setPageRequestHandler(handler: ((request: IommuPageRequest) => void) | undefined): void;
}
