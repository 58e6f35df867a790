import {
  type IommuContext,
  type IommuFault,
  type IommuFaultReason,
  type IommuHardware,
  type IommuPageRequest,
  type IommuTable,
  NOT_ALLOWED,
} from '../../core/hal/index.js';
import { Signal, type Subscription, checkRange } from '../../core/lib/index.js';
import { BLOCKED, IDENTITY, IommuContexts } from './iommu-contexts.js';
import { Iotlb } from './iotlb.js';
import type { Journal } from './journal.js';

/** What the IOMMU of a machine can do. */
export interface IommuOptions {
  /** Bits of a PASID, 0 (it knows none) to 20; default 20. */
  readonly pasidBits?: number;
  /** Bits of an address that it translates, 32 to 53; default 48. */
  readonly addressBits?: number;
}

/** Why an access goes nowhere; `interrupt`: what is there takes messages, and is no memory. */
export type Refusal = IommuFaultReason | 'interrupt';

/** What is written there is an interrupt, whatever a table says. */
const INTERRUPT_START = 0xfee0_0000;
const INTERRUPT_END = 0xfef0_0000;

const SMALLEST_PAGE = 4096;
/** Lengths of pages, ascending, and how many translations are kept of each. */
const PAGES = [
  { pageBytes: SMALLEST_PAGE, slots: 2048 },
  { pageBytes: 2 ** 21, slots: 256 },
  { pageBytes: 2 ** 30, slots: 64 },
] as const;

/** How often an access begins anew because something was forgotten during its own walks; then it is refused. */
const TRIES = 8;

/**
 * The IOMMU of the simulated machine: what a device's access meets, and where it leads.
 *
 * It keeps what it has found until it is told to forget, or the last device has left the table; what is not mapped it does not
 * keep, so new mappings are seen at once. A table may call back while it is walked: what is set or forgotten then, holds for
 * the access that has it walked, too. Nothing is allocated for an access that is let through.
 * @see Intel VT-d Architecture Specification 4.1, 3.15 (interrupt addresses), 6.2 (caching), 6.5 (invalidation)
 */
export class SimIommu implements IommuHardware {
  readonly addressBits: number;
  readonly pasidBits: number;
  readonly pageBytes: readonly number[] = PAGES.map(({ pageBytes }) => pageBytes);
  /** What `find` has found: the physical address, and for how many bytes it holds. */
  readonly run = new Float64Array(2);
  /** Changes whenever something is set or forgotten: what `find` has found, holds as long as it does not. */
  epoch = 0;
  readonly #journal: Journal;
  readonly #limit: number;
  readonly #contexts: IommuContexts;
  readonly #faults = new Signal<[IommuFault]>();
  /** By length of page; each is made when a table first has such a page. */
  readonly #caches: (Iotlb | undefined)[] = PAGES.map(() => undefined);
  /** Those that are. */
  #made: Iotlb[] = [];
  /** The pages found last: what to add to an address in them, and the first address behind them. */
  readonly #page = new Float64Array(2);
  #answer: ((request: IommuPageRequest) => void) | undefined = undefined;

  /** @throws {Errno} ERANGE for a number of bits that cannot be */
  constructor(options: IommuOptions, journal: Journal) {
    const { pasidBits = 20, addressBits = 48 } = options;
    checkRange('sim', 'pasidBits', pasidBits, 0, 20);
    checkRange('sim', 'addressBits', addressBits, 32, 53);
    this.pasidBits = pasidBits;
    this.addressBits = addressBits;
    this.#limit = 2 ** addressBits;
    this.#journal = journal;
    this.#contexts = new IommuContexts(pasidBits);
  }

  /** @throws {Errno} ERANGE for a requester id that cannot be */
  setContext(requesterId: number, context: IommuContext | undefined): void {
    this.#contexts.set(requesterId, context);
    this.epoch++;
  }

  /** @throws {Errno} ERANGE for a requester id or PASID that cannot be; EOPNOTSUPP when it knows no PASIDs */
  setPasidContext(requesterId: number, pasid: number, context: IommuContext | undefined): void {
    this.#contexts.setPasid(requesterId, pasid, context);
    this.epoch++;
  }

  /** Pages that reach into the range are forgotten whole. @throws {Errno} ERANGE for a range that is none */
  invalidate(table: IommuTable, iova: number, sizeBytes: number): void {
    checkRange('iommu', 'iova', iova, 0, Number.MAX_SAFE_INTEGER);
    checkRange('iommu', 'sizeBytes', sizeBytes, 0, 2 ** 53 - iova);
    this.epoch++;
    const context = this.#contexts.of(table);
    if (context === undefined || sizeBytes === 0) return;
    for (const cache of this.#made) cache.forget(context.tag, iova, sizeBytes);
  }

  onFault(listener: (fault: IommuFault) => void): Subscription {
    return this.#faults.on(listener);
  }

  setPageRequestHandler(handler: ((request: IommuPageRequest) => void) | undefined): void {
    this.#answer = handler;
  }

  /** Whether addresses of those accesses are physical. `pasid` 0 is none, here and below. */
  isDirect(requesterId: number, pasid: number): boolean {
    return this.#contexts.get(requesterId, pasid) === IDENTITY;
  }

  /**
   * Finds where an access leads, as far as that is contiguous in memory; the result is in `run`.
   * @param length at least 1
   * @returns why it goes nowhere; undefined when it does not
   */
  find(requesterId: number, pasid: number, iova: number, length: number, isWrite: boolean): Refusal | undefined {
    for (let tries = 0; tries < TRIES; tries++) {
      const { epoch } = this;
      const refusal = this.#find(requesterId, pasid, iova, iova + length, isWrite);
      if (epoch === this.epoch) return refusal;
    }
    return 'no-entry';
  }

  /** Records that an access was refused, and tells it. */
  fault(who: string, requesterId: number, pasid: number, iova: number, isWrite: boolean, reason: IommuFaultReason): void {
    this.#faults.emit(this.#journal.iommuFault(who, requesterId, pasid === 0 ? undefined : pasid, iova, isWrite, reason));
  }

  /** Passes on that a device asks for a page; see `DmaPort.requestPage`. */
  request(requesterId: number, pasid: number, address: number, isWrite: boolean, answered: (isThere: boolean) => void): void {
    const answer = this.#answer;
    if (answer === undefined) {
      answered(false);
      return;
    }
    let isDone = false;
    answer({
      requesterId,
      pasid: pasid === 0 ? undefined : pasid,
      iova: Math.floor(address / SMALLEST_PAGE) * SMALLEST_PAGE,
      isWrite,
      done(isThere) {
        if (isDone) return;
        isDone = true;
        answered(isThere);
      },
    });
  }

  #find(requesterId: number, pasid: number, iova: number, accessEnd: number, isWrite: boolean): Refusal | undefined {
    if (iova >= INTERRUPT_START && iova < INTERRUPT_END) return 'interrupt';
    const end = iova < INTERRUPT_START && accessEnd > INTERRUPT_START ? INTERRUPT_START : accessEnd;
    const context = this.#contexts.get(requesterId, pasid);
    if (context === undefined) return 'no-context';
    if (context === BLOCKED) return 'blocked';
    const { table } = context;
    if (table === undefined) {
      this.run[0] = iova;
      this.run[1] = end - iova;
      return undefined;
    }
    const who = isWrite ? context.tag * 2 + 1 : context.tag * 2;
    const page = this.#page;
    const refusal = this.#translate(table, who, iova, end, isWrite);
    if (refusal !== undefined) return refusal;
    const delta = page[0]!;
    let at = page[1]!;
    while (at < end && this.#translate(table, who, at, end, isWrite) === undefined && page[0] === delta) at = page[1]!;
    this.run[0] = iova + delta;
    this.run[1] = Math.min(at, end) - iova;
    return undefined;
  }

  /** Finds the page that an address is in, and those that go on from it, as far as they are known. */
  #translate(table: IommuTable, who: number, iova: number, end: number, isWrite: boolean): IommuFaultReason | undefined {
    const caches = this.#made;
    for (let n = 0; n < caches.length; n++) {
      const cache = caches[n]!;
      const found = cache.find(who, iova);
      if (found < 0) continue;
      this.#page[0] = cache.delta(found);
      this.#page[1] = cache.reach(found, end);
      return undefined;
    }
    return this.#walk(table, who, iova, isWrite);
  }

  #walk(table: IommuTable, who: number, iova: number, isWrite: boolean): IommuFaultReason | undefined {
    if (iova >= this.#limit) return 'no-entry';
    const { epoch } = this;
    const physical = table.walk(iova, isWrite);
    if (physical < 0) return physical === NOT_ALLOWED ? 'permission' : 'no-entry';
    const cache = this.#cache(table.pageBytes(iova));
    this.#page[0] = physical - iova;
    this.#page[1] = cache.end(iova);
    // What was found before something was forgotten must not be known afterwards.
    if (epoch === this.epoch) cache.add(who, iova, physical - iova);
    return undefined;
  }

  /** Where pages of that length are kept; a length in between counts as the smaller one. */
  #cache(pageBytes: number): Iotlb {
    let n = PAGES.length - 1;
    while (n > 0 && PAGES[n]!.pageBytes > pageBytes) n--;
    const present = this.#caches[n];
    if (present !== undefined) return present;
    const cache = new Iotlb(PAGES[n]!.pageBytes, PAGES[n]!.slots);
    this.#caches[n] = cache;
    this.#made = this.#caches.filter((one) => one !== undefined);
    return cache;
  }
}
