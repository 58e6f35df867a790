/** A handle whose disposal ends a subscription. */
export interface Subscription extends Disposable {
  dispose(): void;
}

/**
 * A list of listeners, called in the order they came. Emitting costs a null check when nobody listens.
 *
 * A listener may add and remove listeners; those changes take effect at the next emission. All are called even when one
 * throws; then `emit` throws what the first one threw.
 */
export class Signal<A extends unknown[]> {
  #listeners: readonly ((...args: A) => void)[] | undefined = undefined;

  get active(): boolean {
    return this.#listeners !== undefined;
  }

  on(listener: (...args: A) => void): Subscription {
    const own = (...args: A): void => listener(...args);
    this.#listeners = this.#listeners === undefined ? [own] : [...this.#listeners, own];
    const dispose = (): void => {
      const rest = this.#listeners?.filter((l) => l !== own);
      this.#listeners = rest === undefined || rest.length === 0 ? undefined : rest;
    };
    return { dispose, [Symbol.dispose]: dispose };
  }

  emit(...args: A): void {
    const all = this.#listeners;
    if (all === undefined) return;
    let failed = false;
    let first: unknown;
    for (const listener of all) {
      try {
        listener(...args);
      } catch (error) {
        if (!failed) first = error;
        failed = true;
      }
    }
    if (failed) throw first;
  }
}
