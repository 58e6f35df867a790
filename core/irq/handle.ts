import { Errno } from '../lib/errno.js';
import { type MaybePromise, isThenable } from '../lib/flow.js';
import type { DevresEntry } from '../devres/index.js';
import type { Device } from '../device/index.js';
import type { IrqAction } from './action.js';
import { setAffinity } from './affinity.js';
import { type CpuMask, type CpuSet, toMask } from './cpu-mask.js';
import type { AffinityNotifier } from './desc-rare.js';
import type { IrqDesc } from './desc.js';
import { wakeThread } from './event.js';
import { refuseInHandler } from './free.js';
import { disableIrq, enableIrq, setWake } from './operations.js';
import { synchronize } from './synchronize.js';

/** Waits for a free; how it ended is told who began it. */
const settled = async (freeing: PromiseLike<void>): Promise<void> => {
  await freeing.then(undefined, () => {});
};

/**
 * One request of an interrupt: what its driver can do with it, until it is freed or the binding ends. After that every use
 * throws ENODEV.
 */
export class IrqHandle implements AsyncDisposable, Disposable {
  readonly #dev: Device;
  readonly #action: IrqAction;
  /** Of the ledger, once it is in there. @internal */
  entry: DevresEntry | undefined = undefined;
  #isHeld = true;
  /** By who requested it, before the binding ended. */
  #isFreed = false;

  /** @internal */
  constructor(dev: Device, action: IrqAction) {
    this.#dev = dev;
    this.#action = action;
  }

  get virq(): number {
    return this.#action.desc.virq;
  }

  /** In tables and traces. */
  get name(): string {
    return this.#action.name;
  }

  /** Whether it is still requested. */
  get held(): boolean {
    return this.#isHeld;
  }

  /** The interrupt. @throws {Errno} ENODEV after it was freed */
  get desc(): IrqDesc {
    return IrqHandle.#live(this).desc;
  }

  /** Takes back one `disable`; what came meanwhile is raised again. @throws {Errno} EINVAL when it is enabled already */
  enable(): void {
    enableIrq(this.desc);
  }

  /** Lets no interrupt come, and waits until no handler runs. As often as it is called, `enable` must be. */
  disable(): MaybePromise<void> {
    return disableIrq(this.desc, true);
  }

  /** As `disable` without the waiting: also for handlers. */
  disableNosync(): void {
    void disableIrq(this.desc, false);
  }

  /** Waits until no handler runs. @throws {Errno} EINVAL in a handler */
  synchronize(): MaybePromise<void> {
    return synchronize(this.desc);
  }

  /** Has the thread half run without interrupt. @see Linux 7.2 kernel/irq/manage.c irq_wake_thread */
  wakeThread(): void {
    wakeThread(IrqHandle.#live(this));
  }

  /** Where it may be delivered. */
  get affinity(): CpuMask {
    return this.desc.affinity;
  }

  /** Where it is delivered. */
  get effectiveAffinity(): CpuMask {
    return this.desc.effective;
  }

  /** Moves it. @throws {Errno} EINVAL when no CPU of the set is online or it cannot move; ENOSPC when they have no vector left */
  setAffinity(cpus: CpuSet): void {
    setAffinity(this.desc, toMask(cpus), false);
  }

  /**
   * Says where it would best be, for tools that balance, and moves it there if it can. Undefined takes the hint back, which must
   * be done before it is freed.
   * @see Linux 7.2 kernel/irq/manage.c __irq_apply_affinity_hint
   */
  setAffinityHint(cpus: CpuSet | undefined, apply = true): void {
    const { desc } = this;
    const mask = cpus === undefined ? undefined : toMask(cpus);
    desc.affinityHint = mask;
    if (mask === undefined || !apply) return;
    try {
      setAffinity(desc, mask, false);
    } catch (error) {
      // A hint: it may not be possible.
      if (!Errno.is(error)) throw error;
    }
  }

  /** Who is told, in task context, that it has moved; undefined for nobody. At most one, to be taken back before it is freed. */
  setAffinityNotifier(notifier: AffinityNotifier | undefined): void {
    const { desc } = this;
    if (notifier !== undefined && typeof notifier !== 'function') {
      throw new Errno('EINVAL', `${this.#dev.name}: irq ${this.virq}: ${String(notifier)} cannot be notified: give a function`);
    }
    desc.notifier = notifier;
  }

  /** Lets it wake the system from sleep, as often as it is taken back. @throws {Errno} ENXIO when its chip cannot */
  setWake(on: boolean): void {
    setWake(this.desc, on);
  }

  /**
   * Frees it now: when this is over no handler runs, and none will.
   * @returns the name it was requested with; a promise while a thread half is not done
   * @throws {Errno} EINVAL when it was freed (rule `double-release`), and in an interrupt handler (rule `free-in-handler`); ENODEV
   *   after unbind
   */
  free(): MaybePromise<string> {
    if (this.#isFreed) throw this.#dev.devres.violate('double-release', `irq ${this.virq} freed twice`);
    this.checkFree();
    const { name } = this;
    this.#isFreed = true;
    const { devres } = this.#dev;
    const done = devres.releaseEntry(this.entry!);
    if (!isThenable(done)) return name;
    // Whoever forgets to await it: the binding does not end before.
    const wait = devres.adopt(`free of irq ${this.virq}`, done, settled);
    return Promise.resolve(done)
      .then(() => name)
      .finally(() => wait.forget());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.held) await this.free();
  }

  /** @throws {Errno} EBUSY when a thread half is still at work: use `await using` */
  [Symbol.dispose](): void {
    if (!this.held) return;
    const { name, virq } = this;
    const done = this.free();
    if (isThenable(done)) {
      done.then(undefined, () => {});
      throw new Errno('EBUSY', `${this.#dev.name}: irq ${virq}: the thread half of ${name} is at work: free it asynchronously`);
    }
  }

  /** @throws {Errno} ENODEV, EINVAL when it cannot be freed @internal */
  checkFree(): void {
    refuseInHandler(IrqHandle.#live(this));
  }

  /** It was freed. @internal */
  end(): IrqAction {
    const action = IrqHandle.#live(this);
    this.#isHeld = false;
    return action;
  }

  /** Static: each object would have to be marked for a private method. */
  static #live(handle: IrqHandle): IrqAction {
    if (handle.#isHeld) return handle.#action;
    const { virq } = handle;
    const dev = handle.#dev;
    const text = `irq ${virq} used after ${handle.#isFreed ? 'it was freed' : 'unbind'}`;
    dev.core?.report('use-after-unbind', dev, text);
    throw new Errno('ENODEV', `${dev.name}: ${text}`);
  }
}
