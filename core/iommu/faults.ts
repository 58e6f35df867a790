import type { DeviceCore } from '../device/index.js';
import { type IommuFault, type IommuPageRequest, formatBdf } from '../hal/index.js';
import { type ErrnoCode, hex } from '../lib/index.js';
import type { IommuGroup } from './group.js';

/** Older faults are forgotten. */
const KEPT = 256;
/** Lines of the log in so much time; what is more is counted. @see Linux 6.12 include/linux/ratelimit_types.h DEFAULT_RATELIMIT_BURST */
const BURST = 10;
const INTERVAL_US = 5_000_000;

/** A refused access of a device. */
export interface IommuFaultRecord extends IommuFault {
  /** The first device of its group, or its address when there is none. */
  readonly dev: string;
  /** What the owner of the domain said; ENOSYS when nobody was asked, undefined while he was not yet, or when that is settled. */
  readonly result: ErrnoCode | undefined;
}

interface Entry extends IommuFaultRecord {
  result: ErrnoCode | undefined;
}

/** Page requests that wait at most; more than devices may have under way. */
const MOST_REQUESTS = 1024;

/** What faults and page requests need of their surroundings. @internal */
export interface FaultParts {
  readonly core: DeviceCore;
  readonly groupOf: (requesterId: number) => IommuGroup | undefined;
  /** Runs it when interrupts are delivered. */
  later(fn: () => void): void;
}

/** Accesses that the unit has refused: each is kept and logged, and the owner of its domain is asked. */
export class IommuFaults {
  readonly #parts: FaultParts;
  readonly #ring: Entry[] = [];
  #count = 0;
  readonly #asked: { readonly entry: Entry; readonly group: IommuGroup }[] = [];
  #windowUs = -INTERVAL_US;
  #logged = 0;
  #suppressed = 0;

  constructor(parts: FaultParts) {
    this.#parts = parts;
  }

  /** The last 256, oldest first. */
  get list(): readonly IommuFaultRecord[] {
    const start = this.#count % KEPT;
    return this.#count <= KEPT ? [...this.#ring] : [...this.#ring.slice(start), ...this.#ring.slice(0, start)];
  }

  /** How many there were. */
  get count(): number {
    return this.#count;
  }

  /** @internal */
  add(fault: IommuFault): void {
    const group = this.#parts.groupOf(fault.requesterId);
    const isAsked = group?.domainAt(fault.pasid)?.hasFaultHandler === true;
    const dev = group?.members[0]?.dev.name ?? address(fault.requesterId);
    const entry: Entry = { ...fault, dev, result: isAsked ? undefined : 'ENOSYS' };
    this.#ring[this.#count++ % KEPT] = entry;
    this.#log(fault);
    // As the unit itself, which overflows: what comes too fast is recorded, and nobody is asked.
    if (!isAsked || this.#asked.length === KEPT) return;
    this.#asked.push({ entry, group });
    if (this.#asked.length === 1) this.#parts.later(this.#askAll);
  }

  readonly #askAll = (): void => {
    for (const { entry, group } of this.#asked.splice(0)) {
      const dev = group.members[0]?.dev;
      const domain = group.domainAt(entry.pasid);
      entry.result = dev && domain ? domain.reportFault(dev, entry.iova, entry.isWrite ? 1 : 0, entry.pasid) : 'ENODEV';
    }
  };

  #log(fault: IommuFault): void {
    const { core } = this.#parts;
    if (fault.timeUs - this.#windowUs >= INTERVAL_US) {
      if (this.#suppressed > 0) core.logFor('warn', 'DMAR', `${this.#suppressed} faults suppressed`, 'iommu_suppressed');
      this.#windowUs = fault.timeUs;
      this.#logged = this.#suppressed = 0;
    }
    if (this.#logged === BURST) {
      this.#suppressed++;
      return;
    }
    this.#logged++;
    const { isWrite, pasid, iova, reason, requesterId } = fault;
    const what = `[DMA ${isWrite ? 'Write' : 'Read'}] Request device [${address(requesterId).slice(5)}]`;
    const where = pasid === undefined ? '' : ` PASID 0x${hex(pasid)}`;
    core.logFor('err', 'DMAR', `${what}${where} fault addr 0x${hex(iova)} [fault reason: ${reason}]`, 'iommu_fault');
  }
}

/** Pages that devices ask for: the owner of the domain gets them, when interrupts are delivered. */
export class PageRequests {
  readonly #parts: FaultParts;
  #queue: IommuPageRequest[] = [];

  constructor(parts: FaultParts) {
    this.#parts = parts;
  }

  /** @internal */
  add(request: IommuPageRequest): void {
    if (this.#queue.length === MOST_REQUESTS) {
      request.done(false);
      return;
    }
    this.#queue.push(request);
    if (this.#queue.length === 1) this.#parts.later(this.#answerAll);
  }

  readonly #answerAll = (): void => {
    const all = this.#queue;
    this.#queue = [];
    for (const request of all) this.#answer(request);
  };

  #answer(request: IommuPageRequest): void {
    const { requesterId, pasid, iova, isWrite } = request;
    const { core, groupOf } = this.#parts;
    const group = groupOf(requesterId);
    const dev = group?.members[0]?.dev;
    const pageFault = group?.domainAt(pasid)?.pageFault;
    let isThere = false;
    core.guard(dev, 'a page fault handler', () => {
      isThere = pageFault?.(iova, isWrite) === true;
    });
    core.guard(dev, 'a device that was told of its page', () => request.done(isThere));
  }
}

const address = (requesterId: number): string => formatBdf(0, requesterId >>> 8, requesterId & 0xff);
