import { Errno } from '../lib/errno.js';
import { type MaybePromise, isThenable } from '../lib/flow.js';
import type { Devres } from './devres.js';
import type { DevresGroup } from './group.js';

/** Undoes one acquisition. */
export type Release<T> = (value: T) => MaybePromise<void>;

/** The release of an entry that is a mark of the group in its `data`. @internal */
export const MARK: Release<never> = () => {};

/** The sweep of an entry that was taken out to be released. */
const TAKEN = -1;

/** One line of a ledger: a resource, or a mark where a group begins or ends. */
export class DevresEntry {
  prev: DevresEntry | undefined = undefined;
  next: DevresEntry | undefined = undefined;
  #ledger: Devres | undefined = undefined;
  /** The sweep of the ledger that will release it: when that has begun, it is out of the ledger. */
  #sweep = 0;

  constructor(
    readonly label: string,
    readonly release: Release<never>,
    readonly data: unknown,
  ) {}

  /** The ledger while the entry is in it. */
  get ledger(): Devres | undefined {
    const ledger = this.#ledger;
    return ledger?.sweep === this.#sweep ? ledger : undefined;
  }

  /** Whether it is out of its ledger and waits for its release. @internal */
  get leaving(): boolean {
    return this.#ledger !== undefined && this.#ledger.sweep !== this.#sweep;
  }

  /** Whether it waits for its release by `ledger`. @internal */
  isLeaving(ledger: Devres): boolean {
    return this.leaving && this.#ledger === ledger;
  }

  /** The group whose mark this is. @internal */
  get mark(): DevresGroup | undefined {
    return this.release === MARK ? (this.data as DevresGroup) : undefined;
  }

  /** It is in `ledger` now, or in none. @internal */
  enter(ledger: Devres | undefined): void {
    this.#ledger = ledger;
    this.#sweep = ledger?.sweep ?? 0;
  }

  /** It was taken out of `ledger` to be released. @internal */
  leave(ledger: Devres): void {
    this.#ledger = ledger;
    this.#sweep = TAKEN;
  }
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
