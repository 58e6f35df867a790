import type { Clock, ClockEvent } from '../hal/index.js';
import type { IommuDomain } from './domain.js';
import type { IovaSpace } from './iova.js';

/** Ranges that wait at most. @see Linux 6.12 drivers/iommu/dma-iommu.c IOVA_DEFAULT_FQ_SIZE */
const LIMIT = 256;
/** How long one waits at most. @see Linux 6.12 drivers/iommu/dma-iommu.c IOVA_DEFAULT_FQ_TIMEOUT */
const TIMEOUT_US = 10_000;

interface Waiting {
  readonly domain: IommuDomain;
  readonly space: IovaSpace;
  readonly iova: number;
  readonly sizeBytes: number;
}

/**
 * Addresses that were unmapped and that hardware may still know: they are not used again before it was told to forget them, which
 * happens for many at a time.
 */
export class FlushQueue {
  readonly #clock: Clock;
  #waiting: Waiting[] = [];
  #timer: ClockEvent | undefined = undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(domain: IommuDomain, space: IovaSpace, iova: number, sizeBytes: number): void {
    this.#waiting.push({ domain, space, iova, sizeBytes });
    if (this.#waiting.length === LIMIT) this.flush();
    else this.#timer ??= this.#clock.deadline(TIMEOUT_US, () => this.flush());
  }

  /** @returns whether anything waited */
  flush(): boolean {
    this.#timer?.cancel();
    this.#timer = undefined;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { domain, space, iova, sizeBytes } of waiting) {
      domain.sync();
      space.free(iova, sizeBytes);
    }
    return waiting.length > 0;
  }
}
