import { type MaybePromise, isThenable } from '../lib/flow.js';

/** Operations that run one after the other, in the order they were asked for; at once while none is under way. */
export class Serial {
  /** The end of the one that was begun last; never rejected. */
  #last: Promise<void> | undefined = undefined;

  run(operation: () => MaybePromise<void>): MaybePromise<void> {
    const result = this.#last === undefined ? operation() : this.#last.then(operation);
    if (!isThenable(result)) return;
    const last: Promise<void> = this.#end(result, () => this.#last === last);
    this.#last = last;
    return result;
  }

  async #end(result: PromiseLike<void>, isLast: () => boolean): Promise<void> {
    try {
      await result;
    } catch {
      // It is for who asked for it.
    }
    if (isLast()) this.#last = undefined;
  }
}
