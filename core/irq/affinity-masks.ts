import { checkRange } from '../lib/bits.js';
import { Errno } from '../lib/errno.js';
import type { CpuMask } from './cpu-mask.js';
import { type CpuTopology, groupCpusEvenly } from './group-cpus.js';
import type { IrqAffinityDesc } from './types.js';

/** The most vectors that one device can have. */
const MAX_VECTORS = 65_536;
/** The most sets a driver may divide its vectors into. @see Linux 7.2 include/linux/interrupt.h IRQ_AFFINITY_MAX_SETS */
export const MAX_AFFINITY_SETS = 4;

/** Which of a device's vectors are spread over the CPUs. @see Linux 7.2 include/linux/interrupt.h struct irq_affinity */
export interface IrqAffinity {
  /** Vectors at the beginning that are not spread; default 0. */
  readonly preVectors?: number;
  /** Vectors at the end that are not spread; default 0. */
  readonly postVectors?: number;
  /**
   * Divides the vectors that are spread into sets, each of which is spread over all CPUs; default: one set. Called whenever the number of
   * vectors is tried, with 0 too when none is left to spread.
   * @returns the sizes of 1 to 4 sets, `count` together
   */
  readonly calcSets?: (count: number) => readonly number[];
}

/** What happens when the sets of a driver cannot be: `text` says why. */
export type AffinityViolation = (text: string) => void;

/**
 * Where each of a device's vectors goes: the first and the last ones to the default CPUs, those between are spread and managed.
 * @param count vectors of the device
 * @param violate called when `calcSets` gives more than 4 sets, or more vectors than there are
 * @returns a mask per vector; undefined when nothing is to be spread, a set is empty, or after a violation
 * @throws {Errno} ERANGE when a number is not an integer of 0 or more, or `count` is above 65,536; EINVAL when `calcSets` gives no sizes
 * @see Linux 7.2 kernel/irq/affinity.c irq_create_affinity_masks
 */
export function createAffinityMasks(
  count: number,
  affinity: IrqAffinity,
  topology: CpuTopology,
  violate: AffinityViolation,
): IrqAffinityDesc[] | undefined {
  checkRange('affinity', 'the number of vectors', count, 0, MAX_VECTORS);
  const { preVectors: pre = 0, calcSets } = affinity;
  const spread = Math.max(0, count - unspread(affinity));
  if (calcSets !== undefined && typeof calcSets !== 'function') throw new Errno('EINVAL', 'affinity: calcSets is no function');
  const given: unknown = calcSets?.(spread) ?? [spread];
  if (!Array.isArray(given)) throw new Errno('EINVAL', `affinity: calcSets gave ${typeof given}, not the sizes of sets`);
  const sets: readonly number[] = given;
  if (sets.length > MAX_AFFINITY_SETS) {
    violate(`affinity: ${sets.length} sets of vectors, there can be ${MAX_AFFINITY_SETS}`);
    return undefined;
  }
  if (spread === 0) return undefined;
  let wanted = 0;
  for (const size of sets) {
    checkCount('the size of a set', size);
    wanted += size;
  }
  if (wanted > spread) {
    violate(`affinity: the sets have ${wanted} vectors together, there are ${spread} to spread`);
    return undefined;
  }
  const groups: CpuMask[] = [];
  for (const size of sets) {
    if (size === 0) return undefined;
    groups.push(...groupCpusEvenly(size, topology));
  }
  return Array.from({ length: count }, (_, i) => ({
    mask: groups[i - pre] ?? topology.defaultAffinity,
    managed: i >= pre && i < pre + spread,
  }));
}

/**
 * How many vectors it makes sense to ask for.
 * @param min fewest the driver can live with
 * @param max most the device has
 * @returns at most `max`; 0 when `min` does not cover the vectors that are not spread, which callers turn into ENOSPC
 * @throws {Errno} ERANGE when a number is not an integer of 0 or more
 * @see Linux 7.2 kernel/irq/affinity.c irq_calc_affinity_vectors
 */
export function calcAffinityVectors(min: number, max: number, affinity: IrqAffinity, topology: CpuTopology): number {
  checkCount('the smallest number of vectors', min);
  checkCount('the largest number of vectors', max);
  const kept = unspread(affinity);
  if (kept > min) return 0;
  if (affinity.calcSets !== undefined) return max;
  return Math.min(max, kept + topology.possible.size);
}

function unspread({ preVectors = 0, postVectors = 0 }: IrqAffinity): number {
  checkCount('the number of vectors before', preVectors);
  checkCount('the number of vectors after', postVectors);
  return preVectors + postVectors;
}

function checkCount(what: string, value: number): void {
  checkRange('affinity', what, value, 0, Number.MAX_SAFE_INTEGER);
}
