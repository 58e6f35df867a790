import { Errno } from '../lib/errno.js';
import { type Flow, type MaybePromise, run, settle } from '../lib/flow.js';
import { enterFrame, findFrame, isAsyncFunction, leaveFrame, runAsyncFrame } from '../lib/frame.js';

/**
 * A named value of a device, driver, bus or class, as sysfs shows it.
 *
 * `show` gives the text, with its final newline. `store` takes what was written; it throws an `Errno` to refuse it.
 * @see Linux 6.12 include/linux/device.h struct device_attribute
 */
export interface Attribute<O = unknown> {
  readonly name: string;
  /** Permission bits; default by which of `show` and `store` exist: 0o444, 0o200 or 0o644. */
  readonly mode?: number;
  show?(owner: O): string;
  store?(owner: O, text: string): MaybePromise<void>;
}

/** Attributes that come and go together, in a subdirectory when named. */
export interface AttributeGroup<O = unknown> {
  readonly name?: string;
  readonly attributes: readonly Attribute<O>[];
}

/** The longest text `show` may give and `store` is handed: one page. */
export const ATTRIBUTE_BYTES = 4096;

/** An attribute that was opened: it outlives neither its owner nor its removal. */
export interface OpenAttribute {
  /** @throws {Errno} ENODEV when the attribute is gone; EIO when it has no `show` */
  read(): string;
  /** @returns the number of characters taken: all of them. @throws {Errno} ENODEV, EIO, or what `store` throws */
  write(text: string): MaybePromise<number>;
}

const modeOf = (a: Attribute<never>): number =>
  a.mode ?? (a.show === undefined ? 0 : 0o444) | (a.store === undefined ? 0 : 0o200);

class Node<O> implements OpenAttribute {
  live = true;
  /** Stores that have not ended. */
  #running = 0;
  readonly #waiters: (() => void)[] = [];

  constructor(
    readonly owner: O,
    readonly who: string,
    readonly path: string,
    readonly attribute: Attribute<O>,
  ) {}

  read(): string {
    if (!this.live) throw new Errno('ENODEV', `${this.who}: attribute ${this.path} is gone`);
    if (this.attribute.show === undefined) throw new Errno('EIO', `${this.who}: attribute ${this.path} cannot be read`);
    const text = this.attribute.show(this.owner);
    if (text.length > ATTRIBUTE_BYTES) {
      throw new Errno('EIO', `${this.who}: attribute ${this.path} gave ${text.length} characters, at most ${ATTRIBUTE_BYTES}`);
    }
    return text;
  }

  write(text: string): MaybePromise<number> {
    if (!this.live) throw new Errno('ENODEV', `${this.who}: attribute ${this.path} is gone`);
    if (this.attribute.store === undefined) throw new Errno('EIO', `${this.who}: attribute ${this.path} cannot be written`);
    if (text.length > ATTRIBUTE_BYTES) {
      throw new Errno('EINVAL', `${this.who}: ${text.length} characters written to ${this.path}, at most ${ATTRIBUTE_BYTES}`);
    }
    return run(this.#store(text));
  }

  *#store(text: string): Flow<number> {
    const { owner, attribute } = this;
    const saved = enterFrame(this, `store to ${this.path}`);
    this.#running++;
    try {
      const call = (): MaybePromise<void> => attribute.store?.(owner, text);
      // oxlint-disable-next-line typescript/unbound-method -- looked at, not called
      yield* settle(isAsyncFunction(attribute.store) ? runAsyncFrame(call) : call());
      return text.length;
    } finally {
      leaveFrame(saved);
      if (--this.#running === 0) for (const resolve of this.#waiters.splice(0)) resolve();
    }
  }

  /** Resolves when no store runs; undefined when none does, or only one that the caller is part of. */
  idle(): Promise<void> | undefined {
    if (this.#running === 0 || findFrame((f) => f.owner === this) !== undefined) return undefined;
    return new Promise((resolve) => this.#waiters.push(resolve));
  }
}

/** The attributes of one owner, by path: `name` or `group/name`. */
export class AttributeSet<O> {
  readonly #nodes = new Map<string, Node<O>>();
  readonly #refuse: (() => Errno | undefined) | undefined;

  /** @param refuse why nothing can be added now, if so */
  constructor(
    readonly owner: O,
    readonly who: string,
    refuse?: () => Errno | undefined,
  ) {
    this.#refuse = refuse;
  }

  /** @throws {Errno} EEXIST when the name is taken; EINVAL when the owner is gone */
  add(attribute: Attribute<O>, group?: string): void {
    const refusal = this.#refuse?.();
    if (refusal !== undefined) throw refusal;
    const path = group === undefined ? attribute.name : `${group}/${attribute.name}`;
    if (this.#nodes.has(path)) throw new Errno('EEXIST', `${this.who}: attribute ${path} exists already`);
    this.#nodes.set(path, new Node(this.owner, this.who, path, attribute));
  }

  /** Adds all or none. @throws {Errno} EEXIST when a name is taken */
  addGroups(groups: readonly AttributeGroup<O>[]): void {
    const done: string[] = [];
    try {
      for (const group of groups) {
        for (const attribute of group.attributes) {
          this.add(attribute, group.name);
          done.push(group.name === undefined ? attribute.name : `${group.name}/${attribute.name}`);
        }
      }
    } catch (error) {
      for (const path of done) this.remove(path);
      throw error;
    }
  }

  /** Removes what `addGroups` added. @returns what to wait for, when a store runs that the caller is not part of */
  removeGroups(groups: readonly AttributeGroup<O>[]): Promise<void> | undefined {
    const nodes: Node<O>[] = [];
    for (const group of groups) {
      for (const { name } of group.attributes) {
        const node = this.#nodes.get(group.name === undefined ? name : `${group.name}/${name}`);
        if (node !== undefined) nodes.push(node);
      }
    }
    return this.#removeAll(nodes);
  }

  /** Removes an attribute; those who have it open get ENODEV. False when there is none. */
  remove(path: string): boolean {
    const node = this.#nodes.get(path);
    if (node === undefined) return false;
    node.live = false;
    this.#nodes.delete(path);
    return true;
  }

  /** Removes all. @returns as `removeGroups` */
  clear(): Promise<void> | undefined {
    return this.#nodes.size === 0 ? undefined : this.#removeAll([...this.#nodes.values()]);
  }

  /** @see Linux 6.12 fs/kernfs/dir.c kernfs_drain */
  #removeAll(nodes: readonly Node<O>[]): Promise<void> | undefined {
    let stores: Promise<void>[] | undefined;
    for (const node of nodes) {
      this.remove(node.path);
      const idle = node.idle();
      if (idle !== undefined) (stores ??= []).push(idle);
    }
    return stores === undefined ? undefined : Promise.all(stores).then(() => {});
  }

  /** Whether there is one of this path. */
  has(path: string): boolean {
    return this.#nodes.has(path);
  }

  /** The paths, in the order the attributes came. */
  paths(): string[] {
    return [...this.#nodes.keys()];
  }

  /** Permission bits. @throws {Errno} ENOENT when there is none */
  mode(path: string): number {
    return modeOf(this.#node(path).attribute);
  }

  /**
   * @param access what it is opened for
   * @throws {Errno} ENOENT when there is none; EACCES when its mode forbids the access
   */
  open(path: string, access: 'r' | 'w' | 'rw' = 'rw'): OpenAttribute {
    const node = this.#node(path);
    const mode = modeOf(node.attribute);
    if ((access.includes('r') && (mode & 0o444) === 0) || (access.includes('w') && (mode & 0o222) === 0)) {
      throw new Errno('EACCES', `${this.who}: attribute ${path} has mode 0${mode.toString(8)}, no ${access} access`);
    }
    return node;
  }

  /** What `show` gives. @throws {Errno} ENOENT, EACCES, or as {@link OpenAttribute.read} */
  read(path: string): string {
    return this.open(path, 'r').read();
  }

  /** Hands `text` to `store`. @throws {Errno} ENOENT, EACCES, or as {@link OpenAttribute.write} */
  write(path: string, text: string): MaybePromise<number> {
    return this.open(path, 'w').write(text);
  }

  #node(path: string): Node<O> {
    const node = this.#nodes.get(path);
    if (node === undefined) throw new Errno('ENOENT', `${this.who}: no attribute ${path}`);
    return node;
  }
}
