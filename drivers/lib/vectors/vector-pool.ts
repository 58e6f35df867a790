import { CpuMask, type Device, Errno, IdAllocator } from '../../../core/index.js';
import { LoadHeap } from './load-heap.js';
import type { Vector } from './vector.js';
import type { VectorLease } from './vector-lease.js';
import type { PoolOwner } from './vector-table.js';

/** How vectors of a pool are named and shared. */
export interface VectorPoolOptions {
  /** In messages and ledgers. */
  readonly name: string;
  /** The first and the last number that its vectors may have; the same for both: there is one. */
  readonly first: number;
  readonly last: number;
  /** In tables of interrupts; default its name and the number: `mlx5_comp3`. */
  readonly nameOf?: (index: number) => string;
  /** Shows the interrupts that an auxiliary device uses as its files `irqs/<irq>`; default false. */
  readonly showsIrqs?: boolean;
}

/** How the vectors of an {@link IndexedPool} are numbered. */
export interface IndexedPoolOptions extends VectorPoolOptions {
  /** Where numbers of another use begin, ascending: dedicated vectors leave one to each use that has none yet. Default: there is one use. */
  readonly uses?: readonly number[];
}

/** How the vectors of a {@link BalancedPool} are shared. */
export interface BalancedPoolOptions extends VectorPoolOptions {
  /** A vector with fewer references is shared before there is a new one; 0 to prefer new ones. */
  readonly shareBelow: number;
  /** Beyond so many references a vector is called overloaded; it is shared all the same. */
  readonly overloadedAbove?: number;
  /** Each new vector goes to the CPU with the fewest of this pool; default false: it may go to any CPU of its mask. */
  readonly isPerCpu?: boolean;
}

/** What a pool has of vectors. */
export interface VectorView {
  readonly index: number;
  readonly virq: number;
  readonly name: string;
  readonly refs: number;
  readonly source: 'msix' | 'memory';
  readonly cpus: string;
}

const MOST = 2 ** 32 - 1;

/** Vectors that users share. */
export abstract class VectorPool {
  readonly name: string;
  readonly first: number;
  readonly last: number;
  protected readonly table: PoolOwner;
  protected readonly vectors: (Vector | undefined)[] = [];
  #count = 0;
  /** Where each use begins, and how many vectors it has. */
  readonly #uses: readonly { readonly first: number; count: number }[];
  readonly #nameOf: (index: number) => string;
  readonly #showsIrqs: boolean;

  /** @internal */
  constructor(table: PoolOwner, options: IndexedPoolOptions) {
    const { name, first, last, uses = [] } = options;
    if (!(Number.isInteger(first) && Number.isInteger(last) && first >= 0 && first <= last && last <= MOST)) {
      throw new Errno('ERANGE', `vector pool ${name}: from ${first} to ${last}: must be integers, and not empty`);
    }
    if (uses.some((use, n) => !(Number.isInteger(use) && use > (uses[n - 1] ?? first) && use <= last))) {
      throw new Errno(
        'ERANGE',
        `vector pool ${name}: uses from ${uses.join(', ')}: must ascend, after ${first} and up to ${last}`,
      );
    }
    this.table = table;
    this.name = name;
    this.#uses = [first, ...uses].map((use) => ({ first: use, count: 0 }));
    this.first = first;
    this.last = last;
    this.#nameOf = options.nameOf ?? ((index) => `${name}${index}`);
    this.#showsIrqs = options.showsIrqs ?? false;
  }

  /** How many vectors it can have. */
  get capacity(): number {
    return this.last - this.first + 1;
  }

  /** How many it has. */
  get count(): number {
    return this.#count;
  }

  /** The first number of each use that has no vector. @internal */
  get unserved(): readonly number[] {
    return this.#uses.filter(({ count }) => count === 0).map(({ first }) => first);
  }

  /** Whether a lease is of a vector of this pool. */
  has({ vector }: VectorLease): boolean {
    return this.vectors[vector.index - this.first] === vector;
  }

  /** Its vectors, by their numbers. */
  list(): VectorView[] {
    return this.vectors
      .filter((vector) => vector !== undefined)
      .map(({ index, slot, name, refs, effective }) => {
        return { index, virq: slot.virq, name, refs, source: slot.target.kind, cpus: String(effective ?? '') };
      });
  }

  /** @internal */
  loadOf(refs: number): number {
    return refs;
  }

  /** @internal */
  loadChanged(_vector: Vector): void {}

  /** @internal */
  forget(vector: Vector): void {
    this.vectors[vector.index - this.first] = undefined;
    this.#changed(vector.index, -1);
  }

  #changed(index: number, by: number): void {
    this.#count += by;
    this.#uses.findLast(({ first }) => first <= index)!.count += by;
  }

  /** @throws what the sources threw */
  protected make(index: number, affinity: CpuMask | undefined): Vector {
    const vector = this.table.make(this, index, this.#nameOf(index), affinity);
    this.vectors[index - this.first] = vector;
    this.#changed(index, 1);
    return vector;
  }

  protected lease(dev: Device, vector: Vector): VectorLease {
    return this.table.lease(dev, vector, this.label, this.#showsIrqs);
  }

  protected get label(): string {
    return `vector of ${this.name}`;
  }
}

/** Vectors that are asked for by number: one for each queue, or CPU. Who asks for one that is there, shares it. */
export class IndexedPool extends VectorPool {
  /**
   * The vector of a number, for `dev`. Managed: in the ledger it is `vector of <name>`.
   * @param affinity of a vector that is not there yet; default anywhere
   * @throws {Errno} EINVAL outside the pool; EBUSY, ENOSPC when there is no vector left
   * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/pci_irq.c irq_pool_request_vector
   */
  request(dev: Device, index: number, affinity?: CpuMask): VectorLease {
    const { first, last, name } = this;
    if (!(Number.isInteger(index) && index >= first && index <= last)) {
      throw new Errno('EINVAL', `${dev.name}: ${name} has no vector ${index}: it has ${first} to ${last}`);
    }
    dev.devres.faultPoint(this.label);
    const vector = this.vectors[index - first];
    vector?.get();
    return this.lease(dev, vector ?? this.make(index, affinity));
  }
}

/** Vectors of equal delivery. */
interface Bucket {
  readonly cpus: CpuMask;
  readonly vectors: LoadHeap<Vector>;
}

/**
 * Vectors that are asked for by where they are to be delivered: a new one as long as there are some, then the one that has least to do.
 *
 * ```
 *   request, for CPUs 6 and 7             vectors of CPU 6: 16 (4)  24 (2)  <- the least: 24
 *       a number is free? a new vector    vectors of CPU 7: 17 (4)
 *       none, or no hardware: share  -->  (references)
 * ```
 * A request costs the logarithm of how many vectors there are, and the CPUs; it does not matter how many users they have.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/irq_affinity.c mlx5_irq_affinity_request
 */
export class BalancedPool extends VectorPool {
  readonly #shareBelow: number;
  readonly #overloadedAbove: number;
  readonly #ids: IdAllocator;
  /** Of each CPU, how many vectors were made for it. */
  readonly #accounts: Uint32Array | undefined;
  readonly #buckets = new Map<string, Bucket>();
  readonly #bucketOf = new Map<Vector, Bucket>();
  /** Vectors that are to move, and have not yet: where to. */
  readonly #moving = new Map<Vector, CpuMask>();
  /** The CPUs that were online when the buckets were looked at. */
  #online: CpuMask;

  /** @internal */
  constructor(table: PoolOwner, options: BalancedPoolOptions) {
    super(table, options);
    this.#shareBelow = options.shareBelow;
    this.#overloadedAbove = options.overloadedAbove ?? Infinity;
    this.#ids = new IdAllocator(`vector pool ${options.name}`, options.first, options.last);
    this.#accounts = options.isPerCpu === true ? new Uint32Array(table.cpus.count) : undefined;
    this.#online = table.cpus.online;
  }

  /** Of each CPU, how many vectors of this pool were made for it; undefined where that is not told apart. */
  get accounts(): readonly number[] | undefined {
    return this.#accounts === undefined ? undefined : [...this.#accounts];
  }

  /**
   * A vector that is delivered to no other CPUs than those of `mask`, for `dev`. Managed: in the ledger it is `vector of <name>`.
   * @param mask default the CPUs that are online
   * @throws {Errno} EBUSY when all its numbers, or those of the device, are taken and none of them is delivered so; ENOSPC likewise, when
   *   the system has no interrupt left
   */
  request(dev: Device, mask: CpuMask = this.table.cpus.online): VectorLease {
    dev.devres.faultPoint(this.label);
    const best = this.#least(mask);
    const isFull = this.#ids.size === this.capacity;
    if (best !== undefined && (isFull || best.refs < this.#shareBelow)) return this.#share(dev, best);
    const made = this.#tryMake(dev, mask);
    if (!Errno.is(made)) return this.lease(dev, made);
    if (best !== undefined) return this.#share(dev, best);
    dev.log('err', `Didn't find a matching IRQ. err = ${made.code}`, 'vector_none');
    throw made;
  }

  #share(dev: Device, vector: Vector): VectorLease {
    vector.get();
    if (vector.refs > this.#overloadedAbove) {
      dev.log('debug', `irq ${vector.slot.virq} overloaded, pool ${this.name}, ${vector.refs} references`, 'vector_overloaded');
    }
    return this.lease(dev, vector);
  }

  #tryMake(dev: Device, mask: CpuMask): Vector | Errno {
    const { name, capacity, first } = this;
    if (this.#ids.size === capacity) {
      return new Errno(
        'EBUSY',
        `vector pool ${name}: all ${capacity} from ${first} are in use, none of them for CPUs ${String(mask)}`,
      );
    }
    const index = this.#ids.alloc();
    const cpu = this.#accounts === undefined ? undefined : this.#leastLoadedCpu(dev, mask);
    try {
      const vector = this.make(index, cpu === undefined ? mask : CpuMask.of(cpu));
      if (cpu !== undefined) this.#accounts![cpu]!++;
      vector.accountedCpu = cpu;
      this.#enter(vector);
      return vector;
    } catch (error) {
      this.#ids.free(index);
      if (Errno.is(error)) return error;
      throw error;
    }
  }

  /** @see Linux 7.2 irq_affinity.c cpu_get_least_loaded */
  #leastLoadedCpu(dev: Device, mask: CpuMask): number {
    if (mask.size === 1) return mask.first;
    const accounts = this.#accounts!;
    const { online } = this.table.cpus;
    let best = -1;
    for (const cpu of mask) {
      if (!online.has(cpu)) continue;
      if (best < 0 || accounts[cpu]! < accounts[best]!) best = cpu;
      if (accounts[best] === 0) break;
    }
    if (best >= 0) return best;
    dev.log('err', `NO online CPUs in req_mask (${String(mask)})`, 'vector_no_cpu');
    return online.first;
  }

  // Who is least loaded

  /** @internal */
  override loadOf(refs: number): number {
    // Below the threshold none is better than another: the lowest number wins.
    return refs < this.#shareBelow ? 0 : refs;
  }

  /** @internal */
  override loadChanged(vector: Vector): void {
    this.#bucketOf.get(vector)?.vectors.changed(vector);
  }

  /** @internal */
  override forget(vector: Vector): void {
    super.forget(vector);
    this.#leave(vector);
    this.#moving.delete(vector);
    this.#ids.free(vector.index);
    if (vector.accountedCpu !== undefined) this.#accounts![vector.accountedCpu]!--;
  }

  /** @see Linux 7.2 irq_affinity.c irq_pool_find_least_loaded */
  #least(mask: CpuMask): Vector | undefined {
    if (this.#online !== this.table.cpus.online) this.#lookAgain();
    for (const [vector, wanted] of this.#moving) this.#moved(vector, wanted);
    let best: Vector | undefined;
    for (const { cpus, vectors } of this.#buckets.values()) {
      const { least } = vectors;
      if (least === undefined || !cpus.isSubsetOf(mask)) continue;
      if (best === undefined || least.load < best.load || (least.load === best.load && least.index < best.index)) best = least;
    }
    return best;
  }

  /** CPUs have come or gone, and vectors with them. */
  #lookAgain(): void {
    this.#online = this.table.cpus.online;
    for (const vector of Array.from(this.#bucketOf.keys())) this.#moved(vector);
  }

  /** @param wanted where it is to be; it may get there with its next interrupt alone */
  #moved(vector: Vector, wanted?: CpuMask): void {
    const { effective } = vector;
    if (wanted !== undefined) {
      if (effective?.isSubsetOf(wanted) === true) this.#moving.delete(vector);
      else this.#moving.set(vector, wanted);
    }
    if (effective !== undefined && this.#bucketOf.get(vector)?.cpus.equals(effective) === true) return;
    this.#leave(vector);
    this.#enter(vector);
  }

  #enter(vector: Vector): void {
    const { effective } = vector;
    if (effective === undefined || effective.isEmpty) return;
    vector.irq?.setAffinityNotifier((wanted) => this.#moved(vector, wanted));
    const key = String(effective);
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) this.#buckets.set(key, (bucket = { cpus: effective, vectors: new LoadHeap() }));
    bucket.vectors.add(vector);
    this.#bucketOf.set(vector, bucket);
  }

  #leave(vector: Vector): void {
    const bucket = this.#bucketOf.get(vector);
    if (bucket === undefined) return;
    this.#bucketOf.delete(vector);
    bucket.vectors.delete(vector);
    if (bucket.vectors.size === 0) this.#buckets.delete(String(bucket.cpus));
  }
}
