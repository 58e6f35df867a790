import type {
  IommuContext,
  IommuFault,
  IommuFaultReason,
  IommuHardware,
  IommuPageRequest,
  IommuTable,
} from '../../core/hal/index.js';
import { NOT_ALLOWED } from '../../core/hal/index.js';
import { Signal, type Subscription } from '../../core/lib/index.js';

/** What a fake unit can do. */
export interface FakeIommuOptions {
  readonly pasidBits?: number;
  readonly addressBits?: number;
  readonly pageBytes?: readonly number[];
}

/** An IOMMU that keeps every translation until it is told to forget it, so that a missing invalidation shows. */
export class FakeIommu implements IommuHardware {
  readonly addressBits: number;
  readonly pasidBits: number;
  readonly pageBytes: readonly number[];
  /** By `requester` and `requester/pasid`. */
  readonly contexts = new Map<string, IommuContext>();
  readonly invalidated: (readonly [iova: number, sizeBytes: number])[] = [];
  /** Thrown by the next context that is set. */
  failure: Error | undefined = undefined;
  timeUs = 0;
  readonly #kept = new Map<IommuTable, Map<string, number>>();
  readonly #faults = new Signal<[IommuFault]>();
  #handler: ((request: IommuPageRequest) => void) | undefined = undefined;

  constructor(options: FakeIommuOptions = {}) {
    this.addressBits = options.addressBits ?? 48;
    this.pasidBits = options.pasidBits ?? 20;
    this.pageBytes = options.pageBytes ?? [2 ** 12, 2 ** 21, 2 ** 30];
  }

  setContext(requesterId: number, context: IommuContext | undefined): void {
    this.#set(`${requesterId}`, context);
  }

  setPasidContext(requesterId: number, pasid: number, context: IommuContext | undefined): void {
    this.#set(`${requesterId}/${pasid}`, context);
  }

  invalidate(table: IommuTable, iova: number, sizeBytes: number): void {
    this.invalidated.push([iova, sizeBytes]);
    const kept = this.#kept.get(table);
    for (const key of kept?.keys() ?? []) {
      const page = Number.parseInt(key, 16);
      if (page + 4096 > iova && page < iova + sizeBytes) kept?.delete(key);
    }
  }

  onFault(listener: (fault: IommuFault) => void): Subscription {
    return this.#faults.on(listener);
  }

  setPageRequestHandler(handler: ((request: IommuPageRequest) => void) | undefined): void {
    this.#handler = handler;
  }

  /** An access of a device: the physical address that it reaches, or why not, which is a fault. */
  access(requesterId: number, iova: number, options: { pasid?: number; write?: boolean } = {}): number | IommuFaultReason {
    const { pasid, write: isWrite = false } = options;
    const found = this.#translate(requesterId, pasid, iova, isWrite);
    if (typeof found === 'number') return found;
    this.#faults.emit({ timeUs: this.timeUs, requesterId, pasid, iova, isWrite, reason: found });
    return found;
  }

  /** A device asks for a page; what it is told, or undefined as long as it is not. */
  requestPage(requesterId: number, pasid: number, iova: number, isWrite = false): { answer: boolean | undefined } {
    const result: { answer: boolean | undefined } = { answer: undefined };
    const done = (isThere: boolean): void => {
      result.answer = isThere;
    };
    if (this.#handler === undefined) done(false);
    else this.#handler({ requesterId, pasid, iova, isWrite, done });
    return result;
  }

  #translate(requesterId: number, pasid: number | undefined, iova: number, isWrite: boolean): number | IommuFaultReason {
    const context = this.contexts.get(pasid === undefined ? `${requesterId}` : `${requesterId}/${pasid}`);
    if (context === undefined) return pasid === undefined ? iova : 'blocked';
    if (context === 'identity') return iova;
    if (context === 'blocked') return 'blocked';
    const kept = this.#kept.get(context) ?? new Map<string, number>();
    this.#kept.set(context, kept);
    const key = `${(iova - (iova % 4096)).toString(16)}${isWrite ? ' w' : ' r'}`;
    const known = kept.get(key);
    if (known !== undefined) return known + (iova % 4096);
    const paddr = context.walk(iova, isWrite);
    if (paddr < 0) return paddr === NOT_ALLOWED ? 'permission' : 'no-entry';
    kept.set(key, paddr - (iova % 4096));
    return paddr;
  }

  #set(key: string, context: IommuContext | undefined): void {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
    if (context === undefined) this.contexts.delete(key);
    else this.contexts.set(key, context);
  }
}
