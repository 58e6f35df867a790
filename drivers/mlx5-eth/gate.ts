/** Lets in one at a time, in the order they came: who acquires in one ledger, so that a group has what is its own and nothing else. */
export class Gate {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(body: () => T | Promise<T>): Promise<T> {
    const result = this.#last.then(body);
    // What became of it is for who asked.
    this.#last = result.then(nothing, nothing);
    return result;
  }
}

const nothing = (): void => {};
