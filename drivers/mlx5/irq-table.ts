import { CpuMask, type Device } from '../../core/index.js';
import type { BalancedPool, IndexedPool, VectorLease, VectorTable } from '../lib/vectors/index.js';
import type { IrqSizes } from './irq-sizes.js';

/** References of an event queue on its vector: one by the request, one by its handler. */
const REFS_PER_EQ = 2;
/** Event queues that share a completion vector before there is a new one, and beyond which it is overloaded. */
const COMPLETION_EQS = { shareBelow: 1, overloadedAbove: 8 } as const;
/** Likewise for the control vectors of sub-functions. */
const CONTROL_EQS = { shareBelow: 4 } as const;

/**
 * The vectors of a function and of its sub-functions: what each of their event queues gets.
 *
 * ```
 *   0            control, of the function           asked for by number, shared by who asks for the same
 *   1 ...        completion, one for each CPU       likewise
 *   sf_ctrl      control, of sub-functions          shared by two of them, then by all
 *   sf_comp      completion, of sub-functions       a new one each on the CPU with the fewest, then the least loaded
 * ```
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/pci_irq.c struct mlx5_irq_table
 */
export class IrqTable {
  readonly vectors: VectorTable;
  readonly pcif: IndexedPool;
  readonly sfControl: BalancedPool | undefined;
  readonly sfCompletion: BalancedPool | undefined;

  constructor(vectors: VectorTable, { pcif, sf }: IrqSizes) {
    this.vectors = vectors;
    const uses = pcif.last > pcif.first ? [pcif.first + 1] : [];
    this.pcif = vectors.indexed({ name: 'mlx5_comp', ...pcif, uses, nameOf: (n) => pcifName(n, pcif.last) });
    if (sf === undefined) return;
    const refs = REFS_PER_EQ;
    const { shareBelow, overloadedAbove } = COMPLETION_EQS;
    this.sfControl = vectors.balanced({
      name: 'mlx5_sf_ctrl',
      ...sf.control,
      shareBelow: CONTROL_EQS.shareBelow * refs,
      showsIrqs: true,
    });
    this.sfCompletion = vectors.balanced({
      name: 'mlx5_sf_comp',
      ...sf.completion,
      shareBelow: shareBelow * refs,
      overloadedAbove: overloadedAbove * refs,
      isPerCpu: true,
      showsIrqs: true,
    });
  }

  /** Completion vectors of the function. @see Linux 7.2 pci_irq.c mlx5_irq_table_get_num_comp */
  get completionCount(): number {
    const { last } = this.pcif;
    return last === 0 ? 1 : last;
  }

  /** Completion vectors of a sub-function. @see Linux 7.2 pci_irq.c mlx5_irq_table_get_sfs_vec */
  get sfCompletionCount(): number {
    return this.sfCompletion === undefined ? this.completionCount : Math.min(this.#online.size, this.sfCompletion.capacity);
  }

  /** The control vector of the function. @see Linux 7.2 pci_irq.c mlx5_ctrl_irq_request */
  requestControl(dev: Device): VectorLease {
    return this.pcif.request(dev, 0, this.pcif.last === 0 ? CpuMask.of(this.#online.first) : this.#online);
  }

  /**
   * Completion vector `n` of the function, on the `n`-th CPU of those that are online.
   * @throws {Errno} EINVAL when there is none; EBUSY, ENOSPC when no vector is left
   * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/eq.c comp_irq_request_pci
   */
  requestCompletion(dev: Device, n: number): VectorLease {
    const cpus = [...this.#online];
    return this.pcif.request(dev, this.pcif.last === 0 ? n : n + 1, CpuMask.of(cpus[n % cpus.length]!));
  }

  /** The control vector of a sub-function. @throws {Errno} EBUSY when there is none to be had or shared */
  requestSfControl(dev: Device): VectorLease {
    return this.sfControl?.request(dev, this.#online) ?? this.requestControl(dev);
  }

  /**
   * Completion vector `n` of a sub-function: on a CPU where it has none.
   * @throws {Errno} as {@link requestCompletion}
   * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/eq.c comp_irq_request_sf
   */
  requestSfCompletion(dev: Device, n: number): VectorLease {
    const pool = this.sfCompletion;
    if (pool === undefined) return this.requestCompletion(dev, n);
    let mask = this.#online;
    for (const lease of this.vectors.leasesOf(dev)) {
      if (pool.has(lease) && lease.affinity !== undefined) mask = mask.without(lease.affinity);
    }
    return pool.request(dev, mask);
  }

  get #online(): CpuMask {
    return this.vectors.cpus.online;
  }
}

function pcifName(n: number, last: number): string {
  if (last === 0) return `mlx5_combined${n}`;
  return n === 0 ? 'mlx5_async0' : `mlx5_comp${n - 1}`;
}
