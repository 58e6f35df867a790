import { AuxiliaryDevice, type CpuMask, type Device, Errno, type Irqs } from '../../../core/index.js';
import type { MessagePlace } from './message-memory.js';
import { Vector, type VectorOwner } from './vector.js';
import { type LeaseOwner, VectorLease, endLease } from './vector-lease.js';
import { BalancedPool, type BalancedPoolOptions, IndexedPool, type IndexedPoolOptions, type VectorPool } from './vector-pool.js';
import type { SlotRequest, SourceSlot, VectorSource } from './vector-source.js';

/** What a pool asks of its table. @internal */
export interface PoolOwner {
  readonly cpus: Irqs['core']['cpus'];
  make(pool: VectorOwner, index: number, name: string, affinity: CpuMask | undefined): Vector;
  lease(dev: Device, vector: Vector, label: string, showsIrqs: boolean): VectorLease;
}

/** What is wanted of a dedicated vector. */
export interface DedicatedOptions {
  /** In tables of interrupts, with `@` and the device; default `dedicated` and a number. */
  readonly name?: string;
  /** Where it may be delivered while the host has it; default anywhere. */
  readonly cpus?: CpuMask;
  /** Where its message is to be, if it comes to be one in memory; default memory of the table. */
  readonly memory?: MessagePlace;
}

/** Of a dedicated vector: it is nobody's but its user's. */
const ALONE: VectorOwner = { loadOf: (refs) => refs, loadChanged: () => {}, forget: () => {} };

/**
 * The vectors of one device, from whatever sources it has, for all who use them: its own queues, its sub-devices, guests. Who shares what
 * with whom is for its pools to say; that a vector is MSI-X or a message in memory, nobody sees.
 *
 * @example One queue for each CPU, and a vector for each queue as long as there are some
 * ```ts
 * const table = new VectorTable(dev, irqs, [new MsixSource(dev, 1 + cpus.count)]);
 * const admin = table.indexed({ name: 'admin', first: 0, last: 0 }).request(dev, 0);
 * const pool = table.balanced({ name: 'queue', first: 1, last: cpus.count, shareBelow: 0, isPerCpu: true });
 * for (const cpu of cpus.online) pool.request(dev, CpuMask.of(cpu)).attach(() => queues[cpu].work());
 * ```
 */
export class VectorTable implements PoolOwner, LeaseOwner {
  readonly #dev: Device;
  readonly #irqs: Irqs;
  readonly #sources: readonly VectorSource[];
  readonly #pools: VectorPool[] = [];
  readonly #leases = new Map<Device, Set<VectorLease>>();
  /** How often each auxiliary device has each interrupt. */
  readonly #shown = new Map<Device, Map<number, number>>();

  /**
   * @param dev what interrupts: its driver must be bound as long as there are vectors
   * @param sources are asked in this order
   * @throws {Errno} EINVAL without a source
   */
  constructor(dev: Device, irqs: Irqs, sources: readonly VectorSource[]) {
    if (sources.length === 0) throw new Errno('EINVAL', `${dev.name}: a vector table without a source: give it MSI-X or IMS`);
    this.#dev = dev;
    this.#irqs = irqs;
    this.#sources = sources;
  }

  get cpus(): Irqs['core']['cpus'] {
    return this.#irqs.core.cpus;
  }

  /** How many vectors the hardware can have. */
  get capacity(): number {
    return this.#sources.reduce((sum, { capacity }) => sum + capacity, 0);
  }

  /** How many more it can have. */
  get available(): number {
    return this.#sources.reduce((sum, { available }) => sum + available, 0);
  }

  /** How many of those are for uses that have no vector yet: dedicated ones leave one to each. */
  get reserve(): number {
    return this.#pools.flatMap((pool) => pool.unserved).filter((index) => this.#fixedFor(index) === undefined).length;
  }

  /** The source where a number has a place, from the start. */
  #fixedFor(index: number | undefined): VectorSource | undefined {
    return index === undefined ? undefined : this.#sources.find(({ fixed = 0 }) => index < fixed);
  }

  /** In the order they were made. */
  get pools(): readonly VectorPool[] {
    return this.#pools;
  }

  /** Makes a pool of vectors that are asked for by number. @throws {Errno} ERANGE for numbers that cannot be; EINVAL for those of another pool */
  indexed(options: IndexedPoolOptions): IndexedPool {
    return this.#add(new IndexedPool(this, options));
  }

  /** Makes a pool of vectors that are asked for by their CPUs. @throws {Errno} ERANGE for numbers that cannot be; EINVAL for those of another pool */
  balanced(options: BalancedPoolOptions): BalancedPool {
    return this.#add(new BalancedPool(this, options));
  }

  #add<P extends VectorPool>(pool: P): P {
    const other = this.#pools.find(({ first, last }) => first <= pool.last && pool.first <= last);
    if (other !== undefined) {
      const text = `pool ${pool.name} has vectors ${pool.first} to ${pool.last}, of which ${other.name} has ${other.first} to ${other.last}`;
      throw new Errno('EINVAL', `${this.#dev.name}: ${text}`);
    }
    this.#pools.push(pool);
    return pool;
  }

  /**
   * A vector that nobody shares, for `dev`: for a guest, whose interrupts go to it directly. It is requested by who attaches a handler, or
   * by its user himself, by `virq`. Managed: in the ledger it is `dedicated vector`.
   * @throws {Errno} ENOSPC when there is none, or what is left is for uses that have none yet: share one; EINVAL for memory that cannot be
   */
  requestDedicated(dev: Device, options: DedicatedOptions = {}): VectorLease {
    dev.devres.faultPoint('dedicated vector');
    const { available, reserve } = this;
    if (available <= reserve) {
      throw new Errno(
        'ENOSPC',
        `${dev.name}: no dedicated vector: ${available} are left, ${reserve} of them for others: share one`,
      );
    }
    let slot: SourceSlot;
    try {
      slot = this.#slot({ affinity: options.cpus, memory: options.memory });
    } catch (error) {
      if (!Errno.is(error) || error.code === 'EINVAL') throw error;
      throw new Errno('ENOSPC', `${dev.name}: no dedicated vector: ${error.text}`, { cause: error });
    }
    const name = this.#nameOf(options.name ?? `dedicated${slot.virq}`);
    return this.#lease(dev, new Vector(ALONE, slot.index, slot, name), 'dedicated vector', true);
  }

  /**
   * Gives back all vectors that `dev` has, last first, with its handlers; those of others stay. Harmless when it has none.
   * @throws {Errno} EBUSY when its user himself has requested a dedicated one of them, EINVAL in an interrupt handler: it stays then, with
   *   what was requested before it
   */
  freeAll(dev: Device): void {
    for (const lease of [...(this.#leases.get(dev) ?? [])].toReversed()) lease[Symbol.dispose]();
  }

  /** What `dev` has, in the order it was requested. */
  leasesOf(dev: Device): VectorLease[] {
    return [...(this.#leases.get(dev) ?? [])];
  }

  // For pools and leases

  /** @throws what the first source threw, when all of them did; what the request threw @internal */
  make(pool: VectorOwner, index: number, name: string, affinity: CpuMask | undefined): Vector {
    const slot = this.#slot({ index, affinity });
    const vector = new Vector(pool, index, slot, this.#nameOf(name));
    try {
      this.install(vector);
      if (affinity !== undefined) vector.irq!.setAffinityHint(affinity);
      return vector;
    } catch (error) {
      vector.end();
      throw error;
    }
  }

  /** @internal */
  install(vector: Vector): void {
    const { run, name, slot } = vector;
    vector.irq = this.#irqs.request(this.#dev, slot.virq, { hard: run, name });
  }

  /** @throws {Errno} EBUSY when `dev` shows the interrupt as another's, and the vector is given back @internal */
  lease(dev: Device, vector: Vector, label: string, showsIrqs: boolean): VectorLease {
    try {
      if (showsIrqs && dev instanceof AuxiliaryDevice) this.#show(dev, vector.slot.virq);
    } catch (error) {
      vector.put();
      throw error;
    }
    return this.#lease(dev, vector, label, false);
  }

  #lease(dev: Device, vector: Vector, label: string, isDedicated: boolean): VectorLease {
    const lease = new VectorLease(this, vector, dev, isDedicated);
    lease.entry = dev.devres.adopt(label, lease, endLease);
    let all = this.#leases.get(dev);
    if (all === undefined) this.#leases.set(dev, (all = new Set()));
    all.add(lease);
    return lease;
  }

  /** @throws {Errno} see `VectorLease[Symbol.dispose]` @internal */
  checkRelease({ dev, name, virq, vector }: VectorLease): void {
    const irqs = this.#irqs;
    void irqs.synchronize(virq);
    if (vector.irq === undefined && irqs.desc(virq).isRequested) {
      throw new Errno('EBUSY', `${dev.name}: ${name}: irq ${virq} is requested by its user: free that first`);
    }
  }

  /** @internal */
  released(lease: VectorLease): void {
    const { dev, virq } = lease;
    const all = this.#leases.get(dev);
    all?.delete(lease);
    if (all?.size === 0) this.#leases.delete(dev);
    this.#hide(dev, virq);
  }

  #show(dev: AuxiliaryDevice, virq: number): void {
    const shown = this.#shown.get(dev) ?? new Map<number, number>();
    const times = shown.get(virq) ?? 0;
    if (times === 0) dev.addIrq(virq);
    shown.set(virq, times + 1);
    this.#shown.set(dev, shown);
  }

  #hide(dev: Device, virq: number): void {
    const shown = this.#shown.get(dev);
    const times = shown?.get(virq);
    if (shown === undefined || times === undefined) return;
    if (times > 1) {
      shown.set(virq, times - 1);
      return;
    }
    shown.delete(virq);
    if (shown.size === 0) this.#shown.delete(dev);
    if (dev instanceof AuxiliaryDevice) dev.removeIrq(virq);
  }

  /** @throws {Errno} what the first source has thrown, when all refuse: EBUSY when it is empty */
  #slot(request: SlotRequest): SourceSlot {
    const place = this.#fixedFor(request.index);
    let first: Errno | 'empty' | undefined;
    for (const source of place === undefined ? this.#sources : [place]) {
      try {
        const slot = source.alloc(request);
        if (slot !== undefined) return slot;
        first ??= 'empty';
      } catch (error) {
        if (!Errno.is(error)) throw error;
        first ??= error;
      }
    }
    if (first !== undefined && first !== 'empty') throw first;
    const names = this.#sources.map(({ name }) => name).join(', ');
    throw new Errno('EBUSY', `${this.#dev.name}: all ${this.capacity} of its vectors are in use (${names})`);
  }

  #nameOf(short: string): string {
    const { bus, name } = this.#dev;
    return `${short}@${bus === undefined ? '' : `${bus.name}:`}${name}`;
  }
}
