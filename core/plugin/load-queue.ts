import { Device } from '../device/index.js';
import { Errno } from '../lib/errno.js';
import { findFrame } from '../lib/frame.js';
import type { Plugin } from './plugin.js';

/** Loads and unloads, one after the other in the order they were asked for; one that fails does not hold up the next. */
export class LoadQueue {
  /** By name, from the call of an operation to its end. */
  readonly #busy = new Map<string, { readonly plugin: Plugin; readonly done: Promise<void> }>();
  #idle: Promise<void> = Promise.resolve();

  /** Resolves, and never rejects, when all that was asked for is over. */
  get idle(): Promise<void> {
    return this.#idle;
  }

  /** The operation that is about a plugin of this name, queued or running. */
  find(name: string): { readonly plugin: Plugin; readonly done: Promise<void> } | undefined {
    return this.#busy.get(name);
  }

  /** @throws {Errno} EDEADLK from inside a driver's callback; what the operation throws */
  async run(plugin: Plugin, operation: () => Promise<void>): Promise<void> {
    const inside = findFrame((f) => f.owner instanceof Device);
    if (inside !== undefined) {
      throw new Errno(
        'EDEADLK',
        `plugin ${plugin.name}: loading or unloading from inside a driver's ${inside.what} would wait for itself`,
      );
    }
    const done = this.#idle.then(operation);
    const entry = { plugin, done };
    this.#busy.set(plugin.name, entry);
    this.#idle = done.then(
      () => undefined,
      () => undefined,
    );
    try {
      await done;
    } finally {
      if (this.#busy.get(plugin.name) === entry) this.#busy.delete(plugin.name);
    }
  }
}
