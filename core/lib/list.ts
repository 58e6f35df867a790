import { assert } from './errno.js';

/** One element's place in a {@link List}. */
export class ListNode<T> {
  prev: ListNode<T> | undefined = undefined;
  next: ListNode<T> | undefined = undefined;
  list: List<T> | undefined = undefined;
  constructor(readonly value: T) {}
}

/**
 * An ordered list with removal and append in constant time, safe to change while it is walked.
 *
 * A walk sees what is appended during it and does not see what was removed before it got there. Linux's klist, without its
 * reference counts.
 * @see Linux 6.12 lib/klist.c
 */
export class List<T> implements Iterable<T> {
  #head: ListNode<T> | undefined = undefined;
  #tail: ListNode<T> | undefined = undefined;
  #size = 0;
  #cursors: Cursor<T> | undefined = undefined;

  get size(): number {
    return this.#size;
  }

  get first(): T | undefined {
    return this.#head?.value;
  }

  get last(): T | undefined {
    return this.#tail?.value;
  }

  /** Appends a node that is in no list. */
  push(node: ListNode<T>): void {
    assert(node.list === undefined, 'a node is put into a second list');
    node.list = this;
    node.prev = this.#tail;
    node.next = undefined;
    if (this.#tail === undefined) this.#head = node;
    else this.#tail.next = node;
    this.#tail = node;
    this.#size++;
    for (let c = this.#cursors; c !== undefined; c = c.link) if (c.atEnd) c.resumeAt(node);
  }

  /** Takes a node out; false when it is not in this list. */
  delete(node: ListNode<T>): boolean {
    if (node.list !== this) return false;
    for (let c = this.#cursors; c !== undefined; c = c.link) c.leaving(node);
    if (node.prev === undefined) this.#head = node.next;
    else node.prev.next = node.next;
    if (node.next === undefined) this.#tail = node.prev;
    else node.next.prev = node.prev;
    node.list = node.prev = node.next = undefined;
    this.#size--;
    return true;
  }

  /** Moves a node of this list to the end. */
  moveToTail(node: ListNode<T>): void {
    if (this.#tail === node || !this.delete(node)) return;
    this.push(node);
  }

  /** The elements, copied: for views, and where a snapshot is wanted. */
  toArray(): T[] {
    const all: T[] = [];
    for (let n = this.#head; n !== undefined; n = n.next) all.push(n.value);
    return all;
  }

  *[Symbol.iterator](): Iterator<T> {
    const cursor = this.cursor();
    try {
      for (let value = cursor.next(); value !== undefined; value = cursor.next()) yield value;
    } finally {
      cursor.close();
    }
  }

  /** A position in the list that survives changes; close it when done. */
  cursor(): Cursor<T> {
    const cursor = new Cursor(this, this.#head, this.#cursors);
    this.#cursors = cursor;
    return cursor;
  }

  /** @internal */
  drop(cursor: Cursor<T>): void {
    if (this.#cursors === cursor) {
      this.#cursors = cursor.link;
      return;
    }
    for (let c = this.#cursors; c !== undefined; c = c.link) {
      if (c.link === cursor) {
        c.link = cursor.link;
        return;
      }
    }
  }
}

/** A walk over a {@link List}; `next` gives the elements in turn, then undefined. */
export class Cursor<T> {
  #node: ListNode<T> | undefined;
  atEnd = false;
  constructor(
    readonly list: List<T>,
    start: ListNode<T> | undefined,
    /** @internal */
    public link: Cursor<T> | undefined,
  ) {
    this.#node = start;
    this.atEnd = start === undefined;
  }

  next(): T | undefined {
    const node = this.#node;
    if (node === undefined) return undefined;
    this.#node = node.next;
    this.atEnd = node.next === undefined;
    return node.value;
  }

  /** @internal */
  leaving(node: ListNode<T>): void {
    if (this.#node !== node) return;
    this.#node = node.next;
    this.atEnd = node.next === undefined;
  }

  /** @internal */
  resumeAt(node: ListNode<T>): void {
    this.#node = node;
    this.atEnd = false;
  }

  close(): void {
    this.list.drop(this);
  }
}
