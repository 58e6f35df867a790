import { Errno } from '../lib/errno.js';
import { type MaybePromise, isThenable } from '../lib/flow.js';
import type { Devres } from './devres.js';
import type { DevresGroup } from './group.js';

/** Undoes one acquisition. */
export type Release<T> = (value: T) => MaybePromise<void>;

/** One line of a ledger: a resource, or a mark where a group begins or ends. */
export class DevresEntry {
  prev: DevresEntry | undefined = undefined;
  next: DevresEntry | undefined = undefined;
  /** The ledger while the entry is in it. */
  ledger: Devres | undefined = undefined;
  /** Whether it is out of the ledger and waits for its release. @internal */
  leaving = false;
  /** Where it was made; only with the test kit attached. */
  stack: string | undefined = undefined;

  constructor(
    readonly label: string,
    readonly release: Release<never>,
    readonly data: unknown,
    /** The group whose mark this is. @internal */
    readonly mark: DevresGroup | undefined = undefined,
  ) {}
}

/** An acquisition that may end before its binding does. */
export interface DevresHandle extends AsyncDisposable, Disposable {
  /** Whether the ledger still has it. */
  readonly held: boolean;
  /**
   * Releases it now.
   * @throws {Errno} EINVAL when it is gone already (rule `double-release`)
   */
  release(): MaybePromise<void>;
  /** Takes it out of the ledger without releasing it: the caller owns it from here on. False when it is gone already. */
  forget(): boolean;
}

/** @internal */
export class Handle implements DevresHandle {
  readonly #ledger: Devres;

  constructor(
    ledger: Devres,
    readonly entry: DevresEntry,
  ) {
    this.#ledger = ledger;
  }

  get held(): boolean {
    return this.entry.ledger === this.#ledger;
  }

  release(): MaybePromise<void> {
    if (!this.held) throw this.#ledger.violate('double-release', `${this.entry.label} released twice`);
    return this.#ledger.releaseEntry(this.entry);
  }

  forget(): boolean {
    return this.#ledger.remove(this.entry);
  }

  /** @throws {Errno} EBUSY when the release is asynchronous: use `await using` */
  [Symbol.dispose](): void {
    if (!this.held) return;
    const result = this.release();
    if (isThenable(result)) {
      result.then(undefined, () => {});
      throw new Errno('EBUSY', `${this.#ledger.owner.name}: ${this.entry.label}: its release is asynchronous: use await using`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.held) await this.release();
  }
}
