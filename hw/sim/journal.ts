import {
  type IommuFault,
  type IommuFaultReason,
  type RemapFault,
  type RemapFaultReason,
  formatBdf,
} from '../../core/hal/index.js';
import { Log, describeError, hex } from '../../core/lib/index.js';

/** An exception that a model let out: a bug of the model. */
export interface ModelError {
  readonly timeUs: number;
  /** Name of the device. */
  readonly who: string;
  readonly error: unknown;
}

/** Something software did to a device that its datasheet forbids. */
export interface GuestError {
  readonly timeUs: number;
  readonly who: string;
  readonly text: string;
}

/**
 * Why an access of a device to memory went wrong: `address` has bits 63:53 set or is no address; `bus master` is off in the
 * function or a bridge above it; `pasid`: it has one, and the machine no IOMMU; `unmapped` is no memory; `unallocated` is memory
 * that nobody has allocated (the access is made); `gone`: the device was removed.
 */
export type DmaFaultReason = 'address' | 'bus master' | 'pasid' | 'unmapped' | 'unallocated' | 'gone';

/** An access of a device to memory that went wrong, though not by what an IOMMU says. */
export interface DmaFault {
  readonly timeUs: number;
  readonly who: string;
  readonly kind: 'read' | 'write' | 'message';
  /** As the device has sent it. Above 2^53 rounded. */
  readonly address: number;
  readonly sizeBytes: number;
  readonly reason: DmaFaultReason;
}

/** An access of a device that the IOMMU has refused. */
export interface SimIommuFault extends IommuFault {
  readonly who: string;
}

/** Entries kept of each kind; the oldest go first. */
const LIMIT = 1000;

/** What went wrong in a machine, for tests and for the log. */
export class Journal {
  readonly modelErrors: ModelError[] = [];
  readonly guestErrors: GuestError[] = [];
  readonly dmaFaults: DmaFault[] = [];
  readonly remapFaults: RemapFault[] = [];
  readonly iommuFaults: SimIommuFault[] = [];
  log: Log;
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
    this.log = new Log(now);
  }

  modelError(who: string, error: unknown): void {
    keep(this.modelErrors, { timeUs: this.#now(), who, error });
    this.log.write('err', who, `the device model threw: ${describeError(error)}`, 'model_error');
  }

  guestError(who: string, text: string): void {
    keep(this.guestErrors, { timeUs: this.#now(), who, text });
    this.log.write('warn', who, text, 'guest_error');
  }

  dmaFault(who: string, kind: DmaFault['kind'], address: number, sizeBytes: number, reason: DmaFaultReason): void {
    keep(this.dmaFaults, { timeUs: this.#now(), who, kind, address, sizeBytes, reason });
    const what = `dma ${kind} of ${sizeBytes} bytes at 0x${hex(address)}`;
    this.log.write('warn', who, `${what}: ${reason}`, 'dma_fault');
  }

  /** @returns what it has recorded */
  remapFault(
    requesterId: number,
    address: number,
    data: number,
    index: number | undefined,
    reason: RemapFaultReason,
  ): RemapFault {
    const fault = { timeUs: this.#now(), requesterId, address, data, index, reason };
    keep(this.remapFaults, fault);
    const what = `interrupt message 0x${hex(data)} to 0x${hex(address)}${index === undefined ? '' : `, entry ${index}`}`;
    // A requester id has no segment.
    this.log.write('warn', formatBdf(0, requesterId >>> 8, requesterId & 0xff), `${what}: ${reason}`, 'remap_fault');
    return fault;
  }

  /** @returns what it has recorded */
  iommuFault(
    who: string,
    requesterId: number,
    pasid: number | undefined,
    iova: number,
    isWrite: boolean,
    reason: IommuFaultReason,
  ): SimIommuFault {
    const fault = { timeUs: this.#now(), who, requesterId, pasid, iova, isWrite, reason };
    keep(this.iommuFaults, fault);
    const what = `dma ${isWrite ? 'write' : 'read'} at 0x${hex(iova)}${pasid === undefined ? '' : `, pasid ${pasid}`}`;
    this.log.write('warn', who, `${what}: ${reason}`, 'iommu_fault');
    return fault;
  }
}

function keep<T>(list: T[], entry: T): void {
  if (list.length === LIMIT) list.shift();
  list.push(entry);
}
