import { type CpuMask, type Device, type DevresHandle, Errno } from '../../../core/index.js';
import type { Attached, Vector, VectorHandler } from './vector.js';
import type { VectorTarget } from './vector-source.js';

/** What a lease asks of who gave it. @internal */
export interface LeaseOwner {
  /** Requests the interrupt of a vector that nobody has requested. */
  install(vector: Vector): void;
  /** @throws {Errno} EINVAL, EBUSY when it cannot be given back now, and nothing has changed */
  checkRelease(lease: VectorLease): void;
  /** It is given back; its reference is not yet. */
  released(lease: VectorLease): void;
}

/** @internal */
export const endLease = (lease: VectorLease): void => lease.end();
const endHandler = (handle: HandlerHandle): void => handle.end();

/**
 * A vector as one user has it, perhaps with others: until it is given back, or the device that it was requested for is unbound. Whether
 * it is MSI-X or a message in memory, only {@link target} says, for who tells the device.
 */
export class VectorLease implements AsyncDisposable, Disposable {
  /** In the ledger. @internal */
  entry: DevresHandle | undefined = undefined;
  readonly #vector: Vector;
  readonly #owner: LeaseOwner;
  readonly #handlers = new Set<HandlerHandle>();
  #isHeld = true;

  /** @internal */
  constructor(
    owner: LeaseOwner,
    vector: Vector,
    /** For whom. */
    readonly dev: Device,
    /** Nobody else can have it. */
    readonly isDedicated: boolean,
  ) {
    this.#owner = owner;
    this.#vector = vector;
  }

  /** @internal */
  get vector(): Vector {
    return this.#vector;
  }

  get held(): boolean {
    return this.#isHeld;
  }

  get virq(): number {
    return this.#vector.slot.virq;
  }

  /** `mlx5_comp0@pci:0000:06:00.0`. */
  get name(): string {
    return this.#vector.name;
  }

  /** What the device is told. */
  get target(): VectorTarget {
    return this.#vector.slot.target;
  }

  /** Where it is delivered now; undefined for a dedicated one that nobody handles. */
  get affinity(): CpuMask | undefined {
    return this.#vector.effective;
  }

  /** References of all its users: one for each lease, one for each handler. */
  get refs(): number {
    return this.#vector.refs;
  }

  /**
   * Has `handler` called whenever the vector comes, with those of others, until that is given back. Managed: in the ledger it is
   * `vector handler`.
   * @throws {Errno} ENODEV when the lease was given back, ENOENT when the vector has no other user either; EBUSY for a second handler of
   *   a dedicated vector
   * @see Linux 7.2 pci_irq.c mlx5_irq_attach_nb
   */
  attach(handler: VectorHandler): HandlerHandle {
    const vector = this.#vector;
    vector.checkAlive();
    this.#check();
    const { devres } = this.dev;
    devres.faultPoint('vector handler');
    if (this.isDedicated) this.#install(vector);
    const handle = new HandlerHandle(vector, vector.attach(handler), this.#handlers);
    handle.entry = devres.adopt('vector handler', handle, endHandler);
    return handle;
  }

  #install(vector: Vector): void {
    if (vector.handlerCount > 0) {
      throw new Errno('EBUSY', `${this.dev.name}: ${this.name}: is dedicated, and has a handler`);
    }
    if (vector.irq === undefined) this.#owner.install(vector);
  }

  /** Calls `kick` whenever the device has to look at the message again: never, where messages are not in memory. */
  onChanged(kick: () => void): Disposable {
    this.#check();
    return this.#vector.slot.onChanged?.(kick) ?? { [Symbol.dispose]: () => {} };
  }

  /**
   * Gives it back, with its handlers; harmless when that was done.
   * @throws {Errno} EINVAL in an interrupt handler; EBUSY while its user himself has requested a dedicated one. He has it still then
   */
  [Symbol.dispose](): void {
    if (this.entry?.held !== true) return;
    this.#owner.checkRelease(this);
    void this.entry.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
  }

  /** Of the ledger. @internal */
  end(): void {
    for (const handle of [...this.#handlers].toReversed()) handle[Symbol.dispose]();
    this.#isHeld = false;
    this.#vector.synchronize();
    this.#owner.released(this);
    this.#vector.put();
  }

  #check(): void {
    if (!this.#isHeld) throw new Errno('ENODEV', `${this.dev.name}: ${this.name}: used after it was given back`);
  }
}

/** A handler that is attached to a vector. */
export class HandlerHandle implements Disposable {
  /** In the ledger. @internal */
  entry: DevresHandle | undefined = undefined;
  readonly #vector: Vector;
  readonly #attached: Attached;
  readonly #all: Set<HandlerHandle>;

  /** @internal */
  constructor(vector: Vector, attached: Attached, all: Set<HandlerHandle>) {
    this.#vector = vector;
    this.#attached = attached;
    this.#all = all;
    all.add(this);
  }

  /**
   * It is not called any more; harmless when that was done.
   * @throws {Errno} EINVAL in an interrupt handler: it is called still, and can be taken off later
   */
  [Symbol.dispose](): void {
    if (this.entry?.held !== true) return;
    this.#vector.synchronize();
    void this.entry.release();
  }

  /** Of the ledger. @internal */
  end(): void {
    this.#all.delete(this);
    this.#vector.detach(this.#attached);
  }
}
