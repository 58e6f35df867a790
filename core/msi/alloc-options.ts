import { CpuMask, type CpuSet, type IrqAffinityDesc, toMask } from '../irq/index.js';
import { Errno } from '../lib/errno.js';

/** What may be said of an interrupt when it is allocated. */
export interface MsiAllocOptions<Cookie = unknown> {
  /** What the store is to know of it: an address space, a queue. Nobody else looks inside; a plain object is copied. */
  readonly cookie?: Cookie | undefined;
  /** Where it may be delivered; default anywhere. */
  readonly affinity?: CpuSet | IrqAffinityDesc | undefined;
}

/** @internal */
export const NO_OPTIONS: MsiAllocOptions<never> = {};

/** @internal */
export function affinityOf(affinity: CpuSet | IrqAffinityDesc | undefined): readonly IrqAffinityDesc[] | undefined {
  if (affinity === undefined) return undefined;
  if (typeof affinity !== 'object' || affinity === null || !('mask' in affinity)) return [{ mask: toMask(affinity) }];
  if (affinity.mask instanceof CpuMask) return [affinity];
  throw new Errno('EINVAL', `affinity: ${String(affinity.mask)} is no cpu mask: make one with CpuMask.from`);
}
