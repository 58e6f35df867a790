import { type CpuMask, Errno, type IrqHandle } from '../../../core/index.js';
import type { Loaded } from './load-heap.js';
import type { SourceSlot } from './vector-source.js';

/** What a vector calls when it comes, in interrupt context: it must not sleep, wait, acquire or free. */
export type VectorHandler = () => void;

/** Who made a vector, and is told how it is used. @internal */
export interface VectorOwner {
  /** The load of a vector that has so many references. */
  loadOf(refs: number): number;
  /** Its load is another now. */
  loadChanged(vector: Vector): void;
  /** Its last reference has gone: it is nobody's. */
  forget(vector: Vector): void;
}

/** One handler that is attached. @internal */
export interface Attached {
  readonly handler: VectorHandler;
}

/**
 * An interrupt of a device that any number of users may share: each has a reference, and each handler that is attached is one more.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/pci_irq.c struct mlx5_irq
 * @internal
 */
export class Vector implements Loaded {
  position = -1;
  load: number;
  /** The CPU whose account has it; undefined in a pool without accounts. */
  accountedCpu: number | undefined = undefined;
  /** Who handles it: installed when it was made, or for the first handler of a dedicated one. */
  irq: IrqHandle | undefined = undefined;
  #refs = 1;
  #handlers: readonly Attached[] = [];
  readonly #owner: VectorOwner;

  constructor(
    owner: VectorOwner,
    /** In its pool: a logical number. Where the message went is the source's affair. */
    readonly index: number,
    readonly slot: SourceSlot,
    /** In tables of interrupts. */
    readonly name: string,
  ) {
    this.#owner = owner;
    this.load = owner.loadOf(1);
  }

  get refs(): number {
    return this.#refs;
  }

  get handlerCount(): number {
    return this.#handlers.length;
  }

  /** Where it is delivered. */
  get effective(): CpuMask | undefined {
    return this.irq?.effectiveAffinity;
  }

  /** The hard half. One that throws is reported, and takes the interrupt from nobody else. */
  readonly run = (): void => {
    const handlers = this.#handlers;
    let failure: { readonly error: unknown } | undefined;
    for (let n = 0; n < handlers.length; n++) {
      try {
        handlers[n]!.handler();
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure !== undefined) throw failure.error;
  };

  /** @throws {Errno} ENOENT when it has no reference left */
  checkAlive(): void {
    if (this.#refs === 0) throw new Errno('ENOENT', `${this.name}: has been given back`);
  }

  /** One reference more. @throws {Errno} ENOENT when it has none left */
  get(): void {
    this.checkAlive();
    this.#count(1);
  }

  /** One less: with the last it goes. */
  put(): void {
    this.#count(-1);
    if (this.#refs > 0) return;
    this.#owner.forget(this);
    this.end();
  }

  /** Frees its interrupt and its slot. There is a hard half alone, so that this never waits. */
  end(): void {
    const { irq, slot } = this;
    this.irq = undefined;
    if (irq?.held === true) {
      irq.setAffinityNotifier(undefined);
      irq.setAffinityHint(undefined);
      irq[Symbol.dispose]();
    }
    slot.free();
  }

  /** @throws {Errno} as {@link get} */
  attach(handler: VectorHandler): Attached {
    this.get();
    const attached = { handler };
    this.#handlers = [...this.#handlers, attached];
    return attached;
  }

  /** It is not called any more. @throws {Errno} EINVAL in a handler of this vector, and it is called still */
  detach(attached: Attached): void {
    this.synchronize();
    this.#handlers = this.#handlers.filter((one) => one !== attached);
    this.put();
  }

  /** Waits until no CPU is in its handlers. */
  synchronize(): void {
    if (this.irq?.held === true) void this.irq.synchronize();
  }

  #count(by: number): void {
    this.#refs += by;
    const load = this.#owner.loadOf(this.#refs);
    if (load === this.load) return;
    this.load = load;
    this.#owner.loadChanged(this);
  }
}
