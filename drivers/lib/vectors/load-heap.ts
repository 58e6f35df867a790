/** What is kept in a {@link LoadHeap}. */
export interface Loaded {
  /** How much it has to do. */
  readonly load: number;
  /** Decides between those that have equally much: the lowest. */
  readonly index: number;
  /** Where it is in its heap: the heap's own. */
  position: number;
}

const isLess = (one: Loaded, other: Loaded): boolean =>
  one.load < other.load || (one.load === other.load && one.index < other.index);

/** The least loaded of many, in O(log n) for each change. */
export class LoadHeap<T extends Loaded> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** The least loaded; undefined when there is none. */
  get least(): T | undefined {
    return this.#items[0];
  }

  add(item: T): void {
    item.position = this.#items.push(item) - 1;
    this.#up(item);
  }

  delete(item: T): void {
    const last = this.#items.pop()!;
    if (last === item) return;
    last.position = item.position;
    this.#items[last.position] = last;
    this.changed(last);
  }

  /** The load of one of them is another now. */
  changed(item: T): void {
    this.#up(item);
    this.#down(item);
  }

  #up(item: T): void {
    while (item.position > 0) {
      const parent = this.#items[(item.position - 1) >> 1]!;
      if (!isLess(item, parent)) return;
      this.#swap(parent, item);
    }
  }

  #down(item: T): void {
    for (;;) {
      const at = 2 * item.position + 1;
      let child = this.#items[at];
      const right = this.#items[at + 1];
      if (child !== undefined && right !== undefined && isLess(right, child)) child = right;
      if (child === undefined || !isLess(child, item)) return;
      this.#swap(item, child);
    }
  }

  /** `upper` goes where `lower` is, its child. */
  #swap(upper: T, lower: T): void {
    const { position } = upper;
    upper.position = lower.position;
    lower.position = position;
    this.#items[upper.position] = upper;
    this.#items[lower.position] = lower;
  }
}
