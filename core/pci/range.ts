import { Errno, alignUp, hex } from '../lib/index.js';

/** A range of bus addresses, both ends included. */
export interface Range {
  readonly base: number;
  readonly limit: number;
}

/** What is asked of a {@link RangeSet}. */
export interface RangeRequest {
  readonly sizeBytes: number;
  /** Power of two. */
  readonly align: number;
}

/** Hands out parts of some address ranges, lowest first. */
export class RangeSet {
  /** In the order of addresses. */
  readonly #taken: Range[] = [];

  constructor(readonly ranges: readonly Range[]) {}

  /** The base of a free part; undefined when there is none of this size. */
  alloc({ sizeBytes, align }: RangeRequest): number | undefined {
    for (const range of this.ranges) {
      let base = alignUp(range.base, align);
      let index = this.#taken.findIndex((t) => t.limit >= range.base);
      if (index < 0) index = this.#taken.length;
      for (; index < this.#taken.length; index++) {
        const next = this.#taken[index]!;
        if (base + sizeBytes <= next.base) break;
        base = Math.max(base, alignUp(next.limit + 1, align));
      }
      if (base + sizeBytes - 1 > range.limit) continue;
      this.#taken.splice(index, 0, { base, limit: base + sizeBytes - 1 });
      return base;
    }
    return undefined;
  }

  /** Serves all requests, in their order, or none. */
  allocAll(requests: readonly RangeRequest[]): number[] | undefined {
    const done: number[] = [];
    for (const request of requests) {
      const base = this.alloc(request);
      if (base === undefined) {
        for (const one of done) this.free(one);
        return undefined;
      }
      done.push(base);
    }
    return done;
  }

  /** Takes back the part that begins at `base`. @throws {Errno} EINVAL when none does */
  free(base: number): void {
    const index = this.#taken.findIndex((t) => t.base === base);
    if (index < 0) throw new Errno('EINVAL', `pci: no address range begins at 0x${hex(base)}`);
    this.#taken.splice(index, 1);
  }
}
