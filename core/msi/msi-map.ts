import type { MsiDomain } from './msi-domain.js';

/**
 * One allocated interrupt, for who allocated it. Freeing goes by this object and not by its index: one that was kept too long
 * frees nobody else's.
 * @see Linux 7.2 include/linux/msi_api.h struct msi_map
 */
export class MsiMap implements Disposable, AsyncDisposable {
  readonly #domain: MsiDomain;

  /** @internal */
  constructor(
    domain: MsiDomain,
    /** In its domain, from 0 up: a software handle. */
    readonly index: number,
    /** The number to request; the first of several when the slot sends several messages. */
    readonly virq: number,
  ) {
    this.#domain = domain;
  }

  /** Whether it is still allocated. */
  get held(): boolean {
    return this.#domain.holds(this);
  }

  /** Frees it; harmless when it is free. @throws {Errno} EBUSY while a handler is installed */
  [Symbol.dispose](): void {
    if (this.held) this.#domain.free(this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
  }

  /** The release of the slot, in the ledger. @internal */
  end(): void {
    this.#domain.endSlot(this);
  }
}
