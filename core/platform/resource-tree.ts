import type { PlatformResource } from '../hal/host.js';
import { Errno, hex } from '../lib/index.js';

/** A range that is claimed, and those inside it. */
interface Claim {
  readonly start: number;
  /** First address behind it. */
  readonly end: number;
  readonly owner: string;
  /** In address order; none overlaps another. */
  inside: Claim[];
}

/** A claimed range; give it to {@link ResourceTree.release}. */
export type ResourceClaim = Pick<Claim, 'start' | 'end' | 'owner'>;

/**
 * Who has which addresses. Ranges may lie apart or inside one another, and never overlap in part or coincide.
 *
 * Linux also lets two ranges coincide, and finds out when the second driver maps it.
 * @see Linux 6.12 kernel/resource.c insert_resource, release_resource
 */
export class ResourceTree {
  readonly #root: Claim;

  /** @param kind named in messages: `mem` */
  constructor(readonly kind: string) {
    this.#root = { start: 0, end: Number.MAX_SAFE_INTEGER, owner: kind, inside: [] };
  }

  /** @throws {Errno} EINVAL for what is no range; EBUSY when it coincides with another or overlaps it in part */
  claim({ start, sizeBytes }: PlatformResource, owner: string): ResourceClaim {
    const claim: Claim = { start, end: start + sizeBytes, owner, inside: [] };
    if (!(Number.isSafeInteger(start) && Number.isSafeInteger(claim.end) && start >= 0 && sizeBytes > 0)) {
      throw new Errno('EINVAL', `${owner}: ${this.kind} of ${sizeBytes} bytes at ${start}: is no range below 2^53`);
    }
    let around = this.#root;
    for (;;) {
      const first = firstEndingAfter(around.inside, start);
      const next = around.inside[first];
      if (next === undefined || next.start >= claim.end) {
        around.inside.splice(first, 0, claim);
        return claim;
      }
      const same = next.start === start && next.end === claim.end;
      if (!same && next.start <= start && claim.end <= next.end) {
        around = next;
        continue;
      }
      let last = first;
      while (last < around.inside.length && around.inside[last]!.start < claim.end) last++;
      const covered = around.inside.slice(first, last);
      const clash = same ? next : covered.find((c) => c.start < start || c.end > claim.end);
      if (clash !== undefined) {
        throw new Errno('EBUSY', `${owner}: ${this.kind} ${range(claim)} overlaps ${range(clash)} of ${clash.owner}`);
      }
      claim.inside = around.inside.splice(first, last - first, claim);
      return claim;
    }
  }

  /** Gives a range back; those inside it stay. */
  release(claim: ResourceClaim): void {
    let around = this.#root;
    for (;;) {
      const at = firstEndingAfter(around.inside, claim.start);
      const found = around.inside[at];
      if (found === undefined) return;
      if (found === claim) {
        around.inside.splice(at, 1, ...found.inside);
        return;
      }
      around = found;
    }
  }

  /** Name of who has the innermost range around an address. */
  ownerAt(address: number): string | undefined {
    let around: Claim | undefined = this.#root;
    let owner: string | undefined;
    while (around !== undefined) {
      const next: Claim | undefined = around.inside[firstEndingAfter(around.inside, address)];
      around = next !== undefined && next.start <= address ? next : undefined;
      owner = around?.owner ?? owner;
    }
    return owner;
  }
}

/** Index of the first range whose end lies behind `address`. */
function firstEndingAfter(claims: readonly Claim[], address: number): number {
  let low = 0;
  let high = claims.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (claims[middle]!.end > address) high = middle;
    else low = middle + 1;
  }
  return low;
}

const range = ({ start, end }: ResourceClaim): string => `0x${hex(start)}..0x${hex(end - 1)}`;
