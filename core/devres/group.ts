import { Errno, joinErrors } from '../lib/errno.js';
import { type Flow, isThenable, run } from '../lib/flow.js';
import type { Devres } from './devres.js';
import { DevresEntry, MARK } from './entry.js';

const nothing = (): void => {};

/**
 * A stretch of a ledger that is released as one: open, it reaches to the ledger's end; closed, to where it was closed.
 *
 * Disposing of it releases what it covers, last first, unless `keep` was called. Groups may nest and overlap.
 * @see Linux 6.12 drivers/base/devres.c devres_open_group, devres_release_group
 */
export class DevresGroup implements AsyncDisposable, Disposable {
  /** @internal */
  readonly open: DevresEntry;
  /** @internal */
  readonly end: DevresEntry;
  readonly #ledger: Devres;

  /** @internal */
  constructor(
    ledger: Devres,
    readonly label: string,
  ) {
    this.#ledger = ledger;
    this.open = new DevresEntry(label, MARK, this);
    this.end = new DevresEntry(label, MARK, this);
  }

  /** Whether the group still exists: neither kept nor released. */
  get live(): boolean {
    return this.open.ledger === this.#ledger;
  }

  /** Ends the group here: later acquisitions are outside. @throws {Errno} EINVAL when it is gone or closed */
  close(): void {
    if (!this.live || this.end.ledger !== undefined) throw this.#unknown('close');
    this.#ledger.appendMark(this.end);
  }

  /** Forgets the group and keeps its resources. @throws {Errno} EINVAL when it is gone */
  keep(): void {
    if (!this.live) throw this.#unknown('keep');
    this.#ledger.unlink(this.open);
    if (this.end.ledger !== undefined) this.#ledger.unlink(this.end);
  }

  /**
   * Releases what the group covers, last first, and the groups wholly inside it.
   * @returns the number of resources released; 0 when the ledger is empty or being released
   * @throws {Errno} EINVAL when the group is gone and the ledger is not empty
   */
  release(): number | Promise<number> {
    return run(this.#release());
  }

  *#release(): Flow<number> {
    const ledger = this.#ledger;
    if (!this.live) {
      if (ledger.head === undefined) return 0;
      throw this.#unknown('release');
    }
    const inside: DevresEntry[] = [];
    const stop = this.end.ledger === undefined ? undefined : this.end.next;
    for (let e: DevresEntry | undefined = this.open; e !== undefined && e !== stop; e = e.next) inside.push(e);
    let last: DevresEntry | undefined;
    let count = 0;
    const seen = new Set<DevresGroup>();
    for (const e of inside) {
      const group = e.mark;
      if (group === undefined) {
        ledger.unlink(e);
        e.leave(ledger);
        e.prev = last;
        last = e;
        count++;
      } else if (e === group.open) {
        if (group.end.ledger === undefined) ledger.unlink(e);
        else seen.add(group);
      } else if (seen.has(group)) {
        ledger.unlink(group.open);
        ledger.unlink(group.end);
      }
    }
    const errors: unknown[] = [];
    const waiting = ledger.releaseChain(last, errors);
    if (waiting !== undefined) yield* waiting;
    if (errors.length > 0) throw joinErrors(errors, `releases of group ${this.label} of ${ledger.owner.name}`);
    return count;
  }

  /** @throws {Errno} EBUSY when a release is asynchronous: use `await using` */
  [Symbol.dispose](): void {
    if (!this.live) return;
    const done = this.release();
    if (isThenable(done)) {
      done.then(undefined, nothing);
      throw new Errno('EBUSY', `${this.#ledger.owner.name}: group ${this.label}: a release is asynchronous: use await using`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.live) await this.release();
  }

  #unknown(what: string): Error {
    return this.#ledger.violate('unknown-group', `group ${this.label}: ${what} of a group that is not open`);
  }
}
