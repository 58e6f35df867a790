/** What can be ended early, and is in the ledger in case it is not. */
type Ending = AsyncDisposable | Disposable;

/** What of a function is up, so that it can go down without its driver being unbound. */
export class UndoStack {
  readonly #endings: Ending[] = [];

  /** @returns `ending` */
  push<T extends Ending>(ending: T): T {
    this.#endings.push(ending);
    return ending;
  }

  /** Ends everything, last first. @throws what the first of them threw that failed, when all have ended */
  async unwind(): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    for (let ending = this.#endings.pop(); ending !== undefined; ending = this.#endings.pop()) {
      try {
        if (Symbol.asyncDispose in ending) await ending[Symbol.asyncDispose]();
        else ending[Symbol.dispose]();
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure !== undefined) throw failure.error;
  }
}
