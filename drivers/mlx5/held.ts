import { type Device, type DevresEntry, type MaybePromise, describeError } from '../../core/index.js';

/** What the device was asked for, in the ledger of who wanted it, with its early end. */
export class Held<T> implements AsyncDisposable {
  readonly #dev: Device;
  /** Undefined when the binding has ended meanwhile. */
  readonly #entry: DevresEntry | undefined;

  /** @internal */
  constructor(
    dev: Device,
    entry: DevresEntry | undefined,
    readonly value: T,
  ) {
    this.#dev = dev;
    this.#entry = entry;
  }

  /** Gives it back; harmless when that was done. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { devres } = this.#dev;
    if (this.#entry?.ledger === devres) await devres.releaseEntry(this.#entry);
  }
}

/**
 * Acquires by commands, and records how to undo it.
 * @param release of this acquisition alone
 * @throws what `get` throws; {Errno} as `Devres.acquire`
 */
export async function hold<T>(
  dev: Device,
  label: string,
  get: () => PromiseLike<T>,
  release: (value: T) => MaybePromise<void>,
): Promise<Held<T>> {
  const value = await dev.devres.acquire(label, get, release);
  return new Held(dev, dev.devres.find(release), value);
}

/** Waits for what undoes something: that it fails, is but logged, since there is nothing that one could do. */
export async function warnOnly(dev: Device, what: string, undoing: PromiseLike<unknown>): Promise<void> {
  try {
    await undoing;
  } catch (error) {
    dev.log('warn', `${what}: ${describeError(error)}`, 'not_undone');
  }
}
