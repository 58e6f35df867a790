import { Class, type Device, type DeviceCore, type Publisher } from '../device/index.js';
import { Errno } from '../lib/errno.js';
import { IdAllocator } from '../lib/id-allocator.js';
import { GuardMaker } from './guard.js';
import { Published } from './published.js';

/** The names of the methods of `T`. */
export type MethodName<T> = { [K in keyof T & string]: T[K] extends (...args: never[]) => unknown ? K : never }[keyof T & string];

/** What the devices of a class do for their users. */
export interface DeviceClassOptions<T> {
  /** The methods that users may call: all of `T`. */
  readonly methods: readonly MethodName<T>[];
  /** What automatic names start with; default the name of the class. */
  readonly prefix?: string;
}

/** A class within one system; it exists there while something is published. */
interface Instance<T extends object> {
  readonly cls: Class;
  readonly ids: IdAllocator;
  readonly all: Map<string, Published<T>>;
}

/**
 * What devices do for their users, whatever they are: the contract `T` between drivers and users, and the place where they meet.
 *
 * A driver publishes an object; users get a handle with the methods of the contract. The object is visible exactly while its
 * device is bound. A handle may be kept for ever: once the object is gone, calls throw ENODEV and pending promises are
 * rejected with it.
 *
 * One `DeviceClass` serves any number of systems.
 * @example
 * ```ts
 * export const Timers = new DeviceClass<Timer>('timer', { methods: ['start', 'stop'] });
 * ```
 * @see Linux 6.12 drivers/base/class.c
 */
export class DeviceClass<T extends object> implements Publisher<T> {
  readonly #instances = new WeakMap<DeviceCore, Instance<T>>();
  readonly #methods: readonly MethodName<T>[];
  readonly #prefix: string;
  readonly #guards: GuardMaker<T>;

  constructor(
    readonly name: string,
    options: DeviceClassOptions<T>,
  ) {
    this.#methods = options.methods;
    this.#prefix = options.prefix ?? name;
    this.#guards = new GuardMaker<T>(options.methods);
  }

  /**
   * Shows `object` to users from the moment `dev` is bound until it is unbound; before `remove` runs it is gone.
   * @param name default the prefix and the lowest free number: `timer0`
   * @throws {Errno} EEXIST when the name is taken; ENODEV unless `dev` is bound or being bound; EINVAL when a method is missing
   */
  publish(dev: Device, object: T, name?: string): void {
    const { core } = dev;
    if (core === undefined || dev.driver === undefined || dev.linkStatus === 'unbinding') {
      throw new Errno('ENODEV', `${dev.name}: publishes in class ${this.name} without being bound: publish in probe`);
    }
    for (const method of this.#methods) {
      if (typeof object[method] !== 'function') {
        throw new Errno('EINVAL', `${dev.name}: what it publishes in class ${this.name} has no method ${method}`);
      }
    }
    const published = dev.devres.acquire(
      `class ${this.name}`,
      () => this.#register(core, dev, object, name),
      (it) => this.#unregister(core, it),
    );
    if (dev.bound) published.appear();
  }

  /** The published objects of one system with their names, in the order they were published. */
  list(core: DeviceCore): [name: string, handle: T][] {
    const all: [string, T][] = [];
    for (const it of this.#instances.get(core)?.all.values() ?? []) if (it.visible) all.push([it.name, it.handle]);
    return all;
  }

  /** The published object of this name. @throws {Errno} ENOENT when there is none */
  get(core: DeviceCore, name: string): T {
    const it = this.#instances.get(core)?.all.get(name);
    if (it?.visible === true) return it.handle;
    const there = this.list(core).map(([other]) => other);
    throw new Errno('ENOENT', `${name}: not in class ${this.name} (there: ${there.join(', ') || 'none'})`);
  }

  #register(core: DeviceCore, dev: Device, object: T, wanted: string | undefined): Published<T> {
    const instance = this.#instance(core);
    const { all, cls } = instance;
    if (wanted !== undefined && all.has(wanted)) {
      const owner = all.get(wanted)!.dev.name;
      throw new Errno('EEXIST', `${dev.name}: ${wanted} is taken in class ${this.name} by ${owner}`);
    }
    const id = wanted === undefined ? this.#freeNumber(instance) : undefined;
    const name = wanted ?? `${this.#prefix}${id}`;
    const published = new Published(core, cls, dev, name, id, object, this.#guards);
    all.set(name, published);
    (dev.edges ??= []).push(published);
    return published;
  }

  #unregister(core: DeviceCore, published: Published<T>): void {
    published.vanish();
    const { edges } = published.dev;
    const index = edges?.indexOf(published) ?? -1;
    if (index >= 0) edges!.splice(index, 1);
    const { all, ids, cls } = this.#instance(core);
    all.delete(published.name);
    if (published.id !== undefined) ids.free(published.id);
    if (all.size > 0) return;
    core.unregisterClass(cls);
    this.#instances.delete(core);
  }

  #instance(core: DeviceCore): Instance<T> {
    let instance = this.#instances.get(core);
    if (instance === undefined) {
      const cls = new Class(this.name, { devRelease: () => {} });
      core.registerClass(cls);
      instance = { cls, ids: new IdAllocator(`class ${this.name}`), all: new Map() };
      this.#instances.set(core, instance);
    }
    return instance;
  }

  /** The lowest number whose name is free: numbers in names given by hand are passed over. */
  #freeNumber({ ids, all }: Instance<T>): number {
    const passed: number[] = [];
    let id = ids.alloc();
    for (; all.has(`${this.#prefix}${id}`); id = ids.alloc()) passed.push(id);
    for (const other of passed) ids.free(other);
    return id;
  }
}
