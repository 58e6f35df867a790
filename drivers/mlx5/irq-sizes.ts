/** Numbers of vectors, from the first to the last. */
export interface IrqRange {
  readonly first: number;
  readonly last: number;
}

/** What the sizes depend on. */
export interface IrqNeeds {
  readonly ports: number;
  /** CPUs that are online. */
  readonly cpus: number;
  /** Event queues of a function at most. */
  readonly maxEqs: number;
  /** Sub-functions at most. */
  readonly maxSfs: number;
}

/** What the hardware has. */
export interface IrqHardware {
  /** Vectors that it can have in all. */
  readonly capacity: number;
  /** Of those, how many are there from the start, or can be had one by one. */
  readonly granted: number;
}

/** How the vectors of a function are divided. */
export interface IrqSizes {
  /** Of the function itself: 0 for control, then one for each completion vector. */
  readonly pcif: IrqRange;
  /** Of sub-functions: undefined where there are too few, and they share those of the function. */
  readonly sf: { readonly control: IrqRange; readonly completion: IrqRange } | undefined;
}

/** Sub-functions for each of their control vectors, when those are counted. */
const SFS_PER_CONTROL = 64;
const MOST_SF_CONTROLS = 8;
const VECTORS_PER_SF = 256;
/** Fewer are not worth a pool. */
const LEAST_SF_VECTORS = 2;

/** How many vectors a function can use, and how many of those are its own. */
export function wantedVectors({ ports, cpus, maxEqs, maxSfs }: IrqNeeds, capacity: number): { pcif: number; total: number } {
  const pcif = Math.min(ports * cpus + 1, maxEqs, capacity);
  return { pcif, total: Math.min(pcif + VECTORS_PER_SF * maxSfs, capacity) };
}

/**
 * Divides the vectors of a function among itself and its sub-functions. Linux, where vectors come one by one, does not see that there may
 * be too few for the control vectors of the sub-functions; here it is seen.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/pci_irq.c mlx5_irq_table_create, irq_pools_init
 */
export function irqSizes(needs: IrqNeeds, { capacity, granted }: IrqHardware): IrqSizes {
  const wanted = wantedVectors(needs, capacity);
  const own = Math.min(granted, wanted.pcif);
  const pcif = { first: 0, last: own - 1 };
  const ofSfs = Math.min(granted, wanted.total) - own;
  const controls = Math.min(MOST_SF_CONTROLS, Math.ceil(needs.maxSfs / SFS_PER_CONTROL));
  if (needs.maxSfs === 0 || ofSfs < LEAST_SF_VECTORS || controls + 1 > ofSfs) return { pcif, sf: undefined };
  const control = { first: own, last: own + controls - 1 };
  return { pcif, sf: { control, completion: { first: own + controls, last: own + ofSfs - 1 } } };
}
