import { Errno } from '../lib/errno.js';
import { NameTable } from '../lib/name-table.js';

/** A place of the device tree: names that must differ, and where it hangs. */
export class Directory {
  readonly #names = new NameTable<unknown>();

  /**
   * @param pathOf where it is now; the empty string when it is cut off
   * @param onEmpty called when the last name is gone
   */
  constructor(
    readonly pathOf: () => string,
    readonly onEmpty?: () => void,
  ) {}

  /** @throws {Errno} EEXIST when the name is taken */
  add(name: string, what: unknown, hash?: number): void {
    if (!this.#names.add(name, what, hash)) {
      throw new Errno('EEXIST', `${name}: the name is taken in ${this.pathOf() || '/'}`);
    }
  }

  delete(name: string, hash?: number): void {
    if (this.#names.delete(name, hash) && this.#names.size === 0) this.onEmpty?.();
  }

  get(name: string): unknown {
    return this.#names.get(name);
  }

  get size(): number {
    return this.#names.size;
  }
}
