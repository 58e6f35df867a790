import type { DevresEntry } from '../devres/index.js';
import type { CpuMask, IrqAffinity } from '../irq/index.js';
import { Errno } from '../lib/index.js';
import type { PciIrqDevice } from './irq-device.js';

/** What a function interrupts with, best first. */
export type VectorKind = 'msix' | 'msi' | 'intx';

/** What is asked for with `PciDevice.allocVectors`. */
export interface PciVectorOptions {
  /** The fewest that the driver can live with; default 1. */
  readonly min?: number;
  /** The most that it can use; default `min`. */
  readonly max?: number;
  /** The kinds that will do; default all. They are tried in the order MSI-X, MSI, line. */
  readonly types?: readonly VectorKind[];
  /** Spreads them over the CPUs; `true` all of them. */
  readonly affinity?: IrqAffinity | true;
  /** Also more MSI-X vectors than the table has entries: those beyond its end are the driver's to raise. */
  readonly virtual?: boolean;
}

/** What is asked for with `PciDevice.enableMsix`. */
export interface PciMsixOptions extends Omit<PciVectorOptions, 'types'> {
  /** Entries of the table, at least `max` of them; default 0 to `max` - 1. */
  readonly entries?: readonly number[];
}

/**
 * The vectors that a driver holds, until it frees them or is unbound; every use after that throws ENODEV.
 * @example
 * ```ts
 * const vectors = dev.allocVectors({ max: queues });
 * for (let n = 0; n < vectors.count; n++) dev.requestIrq(n, () => queue[n].work());
 * ```
 */
export class PciVectors implements Disposable {
  /** Of the ledger. @internal */
  entry: DevresEntry | undefined = undefined;
  readonly #dev: PciIrqDevice;

  /** @internal */
  constructor(
    dev: PciIrqDevice,
    readonly kind: VectorKind,
    /** How many were given. */
    readonly count: number,
  ) {
    this.#dev = dev;
  }

  /** Whether they are still held. */
  get held(): boolean {
    return this.entry?.ledger !== undefined;
  }

  /** See `PciDevice.irqVector`. */
  virq(n: number): number {
    this.#checkHeld();
    return this.#dev.irqVector(n);
  }

  /** See `PciDevice.irqAffinity`. */
  affinity(n: number): CpuMask | undefined {
    this.#checkHeld();
    return this.#dev.irqAffinity(n);
  }

  /** Frees them now. @throws {Errno} EBUSY while a handler is installed; ENODEV when they are free */
  free(): void {
    this.#checkHeld();
    this.#dev.freeVectors();
  }

  [Symbol.dispose](): void {
    if (this.held) this.free();
  }

  /** The end of them, in the ledger. @internal */
  end(): void {
    this.#dev.endVectors(this);
  }

  #checkHeld(): void {
    if (this.held) return;
    const { core, name } = this.#dev;
    core?.report('use-after-unbind', this.#dev, `${this.kind} vectors used after they were freed`);
    throw new Errno('ENODEV', `${name}: ${this.kind} vectors used after they were freed`);
  }
}
