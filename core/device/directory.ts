import { Errno } from '../lib/errno.js';

/** A place of the device tree: names that must differ, and where it hangs. */
export class Directory {
  #names: Map<string, unknown> | undefined = undefined;

  /**
   * @param pathOf where it is now; the empty string when it is cut off
   * @param onEmpty called when the last name is gone
   */
  constructor(
    readonly pathOf: () => string,
    readonly onEmpty?: () => void,
  ) {}

  /** @throws {Errno} EEXIST when the name is taken */
  add(name: string, what: unknown): void {
    this.#names ??= new Map();
    if (this.#names.has(name)) throw new Errno('EEXIST', `${name}: the name is taken in ${this.pathOf() || '/'}`);
    this.#names.set(name, what);
  }

  delete(name: string): void {
    // The map stays: a parent whose only child comes and goes would make a new one each time.
    if (this.#names?.delete(name) === true && this.#names.size === 0) this.onEmpty?.();
  }

  get(name: string): unknown {
    return this.#names?.get(name);
  }

  get size(): number {
    return this.#names?.size ?? 0;
  }
}
