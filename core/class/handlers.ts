import type { Device } from '../device/index.js';
import { describeError } from '../lib/errno.js';
import type { Subscription } from '../lib/signal.js';

interface Entry<F> {
  readonly handler: F;
}

/** Functions that are called again and again, in the order they came; a change takes effect at the next call of all. */
export class Handlers<F> {
  readonly #dev: Device;
  readonly #what: string;
  #entries: readonly Entry<F>[] = [];
  /** The functions. */
  list: readonly F[] = [];

  /** @param what named in reports: `handler of frames` */
  constructor(dev: Device, what: string) {
    this.#dev = dev;
    this.#what = what;
  }

  on(handler: F): Subscription {
    const entry = { handler };
    this.#set([...this.#entries, entry]);
    const dispose = (): void => this.#set(this.#entries.filter((one) => one !== entry));
    return { dispose, [Symbol.dispose]: dispose };
  }

  /** One of them threw: it is reported, and reaches nobody. */
  threw(error: unknown): void {
    const text = `a ${this.#what} threw: ${describeError(error)}`;
    this.#dev.log('err', text, 'callback_threw');
    this.#dev.core?.report('callback-threw', this.#dev, text);
  }

  #set(entries: readonly Entry<F>[]): void {
    this.#entries = entries;
    this.list = entries.map((entry) => entry.handler);
  }
}
