import { Errno, type ErrnoCode, describeError, joinErrors } from '../lib/errno.js';
import { type Flow, type MaybePromise, isThenable, run } from '../lib/flow.js';
import { DevresEntry, type DevresHandle, Handle, type Release } from './entry.js';
import { DevresGroup } from './group.js';

/** What a ledger tells of itself; the test kit and the tracer listen. All calls are synchronous. */
export interface DevresHooks {
  /** Before an acquisition; throwing makes it fail before anything was done. The one place where faults are injected. */
  acquiring?(ledger: Devres, label: string): void;
  added?(ledger: Devres, entry: DevresEntry): void;
  released?(ledger: Devres, entry: DevresEntry): void;
}

/** Whose ledger it is. */
export interface DevresOwner {
  readonly name: string;
  readonly devresHooks: DevresHooks | undefined;
  /** Told of every resource that enters the ledger. */
  acquired?(label: string): void;
  /** Told of a release that failed while a ledger or group was being emptied; the error is thrown at the end as well. */
  releaseFailed?(label: string, error: unknown): void;
  /** Told of a broken rule; the caller gets an Errno as well. */
  violated?(rule: string, text: string): void;
}

/** Waits for the release of an entry, within bounds. @internal */
export type Guard = (entry: DevresEntry, done: PromiseLike<void>) => Flow<void>;

/**
 * The ledger of one device: what was acquired for its binding, released last first when the binding ends.
 *
 * Every release runs, one at a time, asynchronous ones awaited; no error is lost. What is added while the ledger is being
 * released stays for the next sweep.
 * @see Linux 6.12 drivers/base/devres.c
 */
export class Devres {
  readonly owner: DevresOwner;
  #head: DevresEntry | undefined = undefined;
  #tail: DevresEntry | undefined = undefined;
  #count = 0;
  /** Counts the times that all was released: what was added before the last of them is no longer in the ledger. @internal */
  sweep = 0;
  /** Why nothing may be acquired, when nothing may. @internal */
  sealed: string | undefined = undefined;
  /** Counts the bindings that have ended. */
  #binding = 0;

  constructor(owner: DevresOwner) {
    this.owner = owner;
  }

  /** Which binding it is: those before it have ended. @internal */
  get binding(): number {
    return this.#binding;
  }

  /** Number of resources, marks of groups not counted. */
  get size(): number {
    return this.#count;
  }

  /**
   * Acquires something and records how to release it. The one choke point of all acquisitions.
   *
   * When `get` throws, nothing is recorded. When it gives a promise, so does this, and the entry is made when it is fulfilled;
   * if the binding has ended by then, what was acquired is released at once.
   * @param label names it in reports: `bar 0`, `irq 32`
   * @throws {Errno} ENODEV when the binding has ended or was given up; ENOMEM when the test kit injects a fault
   */
  acquire<T>(label: string, get: () => PromiseLike<T>, release: Release<T>): Promise<T>;
  acquire<T>(label: string, get: () => T, release: Release<T>): T;
  acquire<T>(label: string, get: () => MaybePromise<T>, release: Release<T>): MaybePromise<T> {
    this.faultPoint(label);
    const value = get();
    if (isThenable(value)) return this.#acquireLater(label, value, release);
    this.#add(new DevresEntry(label, release, value));
    return value;
  }

  /**
   * Records what was acquired after a `faultPoint`, as `acquire` does, and gives its entry: for who gives it back early, by
   * `releaseEntry`.
   * @internal
   */
  enter<T>(label: string, value: T, release: Release<T>): DevresEntry {
    return this.#add(new DevresEntry(label, release, value));
  }

  async #acquireLater<T>(label: string, pending: PromiseLike<T>, release: Release<T>): Promise<T> {
    const binding = this.#binding;
    const value = await pending;
    if (this.sealed === undefined && binding === this.#binding) {
      this.#add(new DevresEntry(label, release, value));
      return value;
    }
    const gone = this.#goneError(label, this.sealed ?? 'its binding has ended');
    try {
      await release(value);
    } catch (error) {
      throw joinErrors([gone, error], 'giving it back');
    }
    throw gone;
  }

  /** Records something that exists already. It cannot fail, so nothing is lost on the way. */
  adopt<T>(label: string, value: T, release: Release<T>): DevresHandle {
    return new Handle(this, this.#add(new DevresEntry(label, release, value)));
  }

  /**
   * Records an action to run at unbind. When it cannot be recorded it runs at once and the error is thrown; if the action
   * fails as well, both are thrown.
   * @see Linux 6.12 include/linux/device/devres.h devm_add_action_or_reset
   */
  defer(label: string, release: () => MaybePromise<void>): DevresHandle {
    try {
      this.faultPoint(label);
    } catch (error) {
      this.#runNow(label, release, error);
    }
    return new Handle(this, this.#add(new DevresEntry(label, release, undefined)));
  }

  #runNow(label: string, release: () => MaybePromise<void>, cause: unknown): never {
    let done: MaybePromise<void>;
    try {
      done = release();
    } catch (error) {
      throw joinErrors([cause, error], `running ${label} at once`);
    }
    if (isThenable(done)) {
      done.then(undefined, (error: unknown) => this.#violate('release-failed', 'EIO', `${label}: ${describeError(error)}`));
    }
    throw cause;
  }

  /** Records something that knows how to dispose of itself, and gives it back. */
  use<T extends Disposable | AsyncDisposable>(label: string, value: T): T {
    const end: Partial<AsyncDisposable & Disposable> = value;
    this.defer(label, () => end[Symbol.asyncDispose]?.() ?? end[Symbol.dispose]?.());
    return value;
  }

  /**
   * Opens a group: what is acquired until it is closed is released together when it is disposed of, unless kept.
   * @example `using group = dev.devres.group('ring'); ...; group.keep();`
   */
  group(label: string): DevresGroup {
    const group = new DevresGroup(this, label);
    this.#append(group.open);
    return group;
  }

  /** The point before an acquisition where the test kit may make it fail. @internal */
  faultPoint(label: string): void {
    if (this.sealed !== undefined) throw this.#goneError(label, this.sealed);
    this.owner.devresHooks?.acquiring?.(this, label);
  }

  /** The resources, newest first. Linux's `devres_for_each_res` without its filter. */
  entries(): DevresEntry[] {
    const all: DevresEntry[] = [];
    for (let e = this.#tail; e !== undefined; e = e.prev) if (e.mark === undefined) all.push(e);
    return all;
  }

  /** The newest resource with this release function for which `match` holds. Linux's `devres_find`. */
  find<T>(release: Release<T>, match?: (data: T) => boolean): DevresEntry | undefined {
    for (let e = this.#tail; e !== undefined; e = e.prev) {
      if (e.mark === undefined && (e.release as unknown) === release && (match?.(e.data as T) ?? true)) return e;
    }
    return undefined;
  }

  /** Appends an entry made by the caller. Linux's `devres_add`. @throws {Errno} EEXIST when it is in a ledger already */
  add(entry: DevresEntry): DevresEntry {
    if (entry.ledger !== undefined || entry.leaving) {
      const where = entry.ledger === undefined ? 'is being released' : `is in the ledger of ${entry.ledger.owner.name}`;
      throw this.#violate('devres-added-twice', 'EEXIST', `${entry.label} ${where}: make a new entry`);
    }
    return this.#add(entry);
  }

  /** What `find` finds for the release function of `entry`, else `entry`, added. Linux's `devres_get`. */
  findOrAdd(entry: DevresEntry, match?: (data: never) => boolean): DevresEntry {
    return this.find(entry.release, match) ?? this.add(entry);
  }

  /** Takes an entry out without releasing it: it is the caller's from here on. Linux's `devres_remove`; false when it is not here. */
  remove(entry: DevresEntry): boolean {
    if (entry.ledger !== this) return false;
    this.unlink(entry);
    return true;
  }

  /**
   * Takes an entry out and releases it. Also the release of a later entry may do that, when all are released: it is not released again.
   * @throws {Errno} ENOENT when it is not in this ledger
   */
  releaseEntry(entry: DevresEntry): MaybePromise<void> {
    if (entry.ledger === this) this.unlink(entry);
    else if (entry.isLeaving(this)) entry.enter(undefined);
    else throw new Errno('ENOENT', `${this.owner.name}: ${entry.label} is not in its ledger`);
    this.owner.devresHooks?.released?.(this, entry);
    return entry.release(entry.data as never);
  }

  /**
   * Releases everything, last first.
   * @returns the number of resources released
   * @throws the error of a release, or an AggregateError of several, after all have run
   */
  releaseAll(): number | Promise<number> {
    const count = this.#count;
    const errors: unknown[] = [];
    const waiting = this.releaseInto(errors);
    if (waiting !== undefined) return run(this.#endOf(waiting, count, errors));
    this.#throwAll(errors);
    return count;
  }

  *#endOf(waiting: Flow<void>, count: number, errors: readonly unknown[]): Flow<number> {
    yield* waiting;
    this.#throwAll(errors);
    return count;
  }

  #throwAll(errors: readonly unknown[]): void {
    if (errors.length > 0) throw joinErrors(errors, `releases of ${this.owner.name}`);
  }

  /** As `releaseAll`; errors go to `errors`. @returns what is left to do from the first release that waits @internal */
  releaseInto(errors: unknown[], guard?: Guard): Flow<void> | undefined {
    const last = this.#tail;
    this.#head = this.#tail = undefined;
    this.#count = 0;
    this.sweep++;
    return this.releaseChain(last, errors, guard);
  }

  /** Releases detached entries from `last` backwards. @returns what is left to do from the first release that waits @internal */
  releaseChain(last: DevresEntry | undefined, errors: unknown[], guard?: Guard): Flow<void> | undefined {
    for (let e = last; e !== undefined;) {
      const { prev } = e;
      const done = this.#releaseDetached(e, errors);
      if (done !== undefined) return this.#releaseRest(e, done, prev, errors, guard);
      e = prev;
    }
    return undefined;
  }

  /** Waits for the release of `e`, and releases what is left, `rest` and backwards. */
  *#releaseRest(
    e: DevresEntry,
    done: PromiseLike<void> | undefined,
    rest: DevresEntry | undefined,
    errors: unknown[],
    guard: Guard | undefined,
  ): Flow<void> {
    for (;;) {
      try {
        if (done !== undefined && guard !== undefined) yield* guard(e, done);
        else if (done !== undefined) yield done;
      } catch (error) {
        this.#failed(e, error, errors);
      }
      if (rest === undefined) return;
      e = rest;
      rest = e.prev;
      done = this.#releaseDetached(e, errors);
    }
  }

  /** @returns what to wait for */
  #releaseDetached(e: DevresEntry, errors: unknown[]): PromiseLike<void> | undefined {
    e.prev = e.next = undefined;
    const isHere = e.isLeaving(this);
    e.enter(undefined);
    if (!isHere || e.mark !== undefined) return undefined;
    try {
      this.owner.devresHooks?.released?.(this, e);
      const done = e.release(e.data as never);
      return isThenable(done) ? done : undefined;
    } catch (error) {
      this.#failed(e, error, errors);
      return undefined;
    }
  }

  #failed(e: DevresEntry, error: unknown, errors: unknown[]): void {
    this.owner.releaseFailed?.(e.label, error);
    errors.push(error);
  }

  /** The binding is over: an acquisition still on its way is released when it arrives. @internal */
  endBinding(): void {
    this.#binding++;
  }

  /** The first entry, marks included. @internal */
  get head(): DevresEntry | undefined {
    return this.#head;
  }

  /** The last entry, marks included. @internal */
  get tail(): DevresEntry | undefined {
    return this.#tail;
  }

  /** @internal */
  appendMark(entry: DevresEntry): void {
    this.#append(entry);
  }

  /** @internal */
  unlink(entry: DevresEntry): void {
    if (entry.prev === undefined) this.#head = entry.next;
    else entry.prev.next = entry.next;
    if (entry.next === undefined) this.#tail = entry.prev;
    else entry.next.prev = entry.prev;
    entry.prev = entry.next = undefined;
    entry.enter(undefined);
    if (entry.mark === undefined) this.#count--;
  }

  /** Reports a broken rule and makes the error for the caller. @internal */
  violate(rule: string, text: string): Errno {
    return this.#violate(rule, 'EINVAL', text);
  }

  #violate(rule: string, code: ErrnoCode, text: string): Errno {
    this.owner.violated?.(rule, text);
    return new Errno(code, `${this.owner.name}: ${text}`);
  }

  #add(entry: DevresEntry): DevresEntry {
    this.#append(entry);
    this.#count++;
    this.owner.acquired?.(entry.label);
    this.owner.devresHooks?.added?.(this, entry);
    return entry;
  }

  #append(entry: DevresEntry): void {
    entry.enter(this);
    entry.prev = this.#tail;
    if (this.#tail === undefined) this.#head = entry;
    else this.#tail.next = entry;
    this.#tail = entry;
  }

  #goneError(label: string, why: string): Errno {
    return new Errno('ENODEV', `${this.owner.name}: ${label} not acquired: ${why}`);
  }
}
