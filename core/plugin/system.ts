import type { DeviceClass } from '../class/index.js';
import type { Device, DeviceCore } from '../device/index.js';
import { refuseInside } from '../device/work.js';
import { Host } from '../hal/index.js';
import { Kernel } from '../kernel.js';
import { Errno, collect, joinErrors } from '../lib/errno.js';
import { Signal, type Subscription } from '../lib/signal.js';
import { Command } from './command.js';
import { CORE, corePlugin } from './core-plugin.js';
import { DeviceTree } from './device-tree.js';
import { Explanation, explain } from './explain.js';
import { Joins } from './joins.js';
import { LoadQueue } from './load-queue.js';
import { LoadedPlugin, PluginTree } from './plugin-tree.js';
import { orderOf } from './order.js';
import { type Plugin, checkPlugin } from './plugin.js';
import { Registry } from './registry.js';

/** A system has been made, and nothing of it has run. */
const starting = new Signal<[System]>();

/**
 * A running system: a host, the core, and the drivers of the plugins that are loaded.
 *
 * Plugins come and go one operation at a time, in the order asked for. A load is all or nothing: when it fails, the system is
 * as it was. The end of a system unbinds and removes everything, and reports what is left over.
 * @example
 * ```ts
 * const sim = hostSim({ edu: 1 });
 * await using system = await System.start(sim.plugin, edu);
 * console.log(await system.get(Edus, 'edu0').factorial(5));
 * ```
 */
export class System implements AsyncDisposable {
  readonly kernel: Kernel;
  readonly #registry: Registry;
  readonly #joins: Joins;
  /** In the order of loading, which is the reverse of the order of unloading. */
  readonly #loaded = new Map<string, LoadedPlugin>();
  /** Who requires a plugin, in the order of loading. */
  readonly #users = new Map<Plugin, Set<Plugin>>();
  readonly #queue = new LoadQueue();
  #end: Promise<void> | undefined = undefined;

  private constructor(registry: Registry, kernel: Kernel) {
    this.#registry = registry;
    this.kernel = kernel;
    this.#joins = new Joins(registry, kernel.core);
  }

  /**
   * Starts a system with these plugins, one of which binds `Host`; each after those it requires.
   * @throws {Errno} ENOENT without a host, or as `load`; nothing is left running then
   */
  static async start(...plugins: Plugin[]): Promise<System> {
    for (const plugin of plugins) checkPlugin(plugin, 'system: start of');
    const registry = new Registry();
    registry.know(plugins);
    const order = orderOf(plugins, new Map());
    for (const plugin of order) registry.add(plugin);
    const [host, ...more] = registry.bindingsTo(Host);
    if (host === undefined) throw new Errno('ENOENT', 'no host: load a plugin that binds Host, such as hostSim()');
    if (more.length > 0) {
      const who = [host, ...more].map((b) => b.plugin.name).join(' and ');
      throw new Errno('EEXIST', `${more.length + 1} hosts: ${who} bind Host: load one of them`);
    }
    const system = new System(registry, new Kernel(registry.make(host) as Host));
    starting.emit(system);
    await system.#start(host.plugin, order);
    return system;
  }

  /**
   * Tells of each system that is about to start, whoever starts it: for tools that look on from the first step.
   * @internal
   */
  static onStarting(listener: (system: System) => void): Subscription {
    return starting.on(listener);
  }

  async #start(host: Plugin, order: readonly Plugin[]): Promise<void> {
    const core = corePlugin(this.kernel, host);
    this.#registry.add(core);
    this.#note(host);
    this.#note(core);
    const all = order.filter((plugin) => plugin !== host);
    for (const plugin of order) this.#registry.suppliersOf(plugin);
    await this.kernel.start();
    try {
      await this.#join(host);
      await this.#joinAll(this.#bySupply(all));
    } catch (error) {
      const errors: unknown[] = [error];
      await this.#shutDown(errors);
      throw joinErrors(errors, 'ending the system that did not start');
    }
  }

  /** The driver core. */
  get core(): DeviceCore {
    return this.kernel.core;
  }

  /**
   * Loads a plugin, and what it requires as a plugin; resolves when its drivers are on their buses and have probed.
   *
   * A second call for a plugin that is being loaded is part of the first.
   * @throws {Errno} EEXIST when its name is loaded; ENOENT for what is missing, with who needs it; EINVAL for a version that
   *   does not fit; ELOOP for a cycle; what its bindings threw; EDEADLK from inside a probe; ESHUTDOWN after the end
   * @see Linux 6.12 kernel/module/main.c load_module, do_init_module
   */
  async load(plugin: Plugin): Promise<void> {
    checkPlugin(plugin, 'system: load of');
    const running = this.#queue.find(plugin.name);
    if (running?.plugin === plugin && !this.#loaded.has(plugin.name)) return running.done;
    return this.#enqueue(plugin, () => this.#load(plugin));
  }

  /**
   * Unbinds the devices of a plugin's drivers, newest binding first, and unloads it. Devices in use are unbound; handles die.
   * @throws {Errno} ENOENT when no such plugin is loaded; EAGAIN while another plugin requires it; EBUSY while it is being
   *   loaded or unloaded; EDEADLK from inside a probe; what a remove or release threw, after all is undone
   * @see Linux 6.12 kernel/module/main.c delete_module
   */
  unload(name: string): Promise<void> {
    return this.#change(name, (plugin) => this.#unload(plugin));
  }

  /**
   * Unloads a plugin and loads it again: new instances of all it binds.
   * @throws {Errno} as `unload` and `load`; when the load fails, the plugin stays unloaded
   */
  reload(name: string): Promise<void> {
    return this.#change(name, async (plugin) => {
      await this.#unload(plugin);
      await this.#load(plugin);
    });
  }

  /** What is published in a class now, with names. */
  list<T extends object>(cls: DeviceClass<T>): [name: string, object: T][] {
    return cls.list(this.core);
  }

  /** @throws {Errno} ENOENT when nothing of that name is published */
  get<T extends object>(cls: DeviceClass<T>, name: string): T {
    return cls.get(this.core, name);
  }

  /** The commands that plugins contribute, by name. */
  commands(): Command[] {
    return this.#registry.container.getAll<Command>(Command).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Who is loaded since when, and what came of it; prints as a table. */
  tree(): PluginTree {
    return new PluginTree([...this.#loaded.values()], this.core);
  }

  /** What sysfs shows: devices, buses and drivers, classes; prints as a tree. */
  deviceTree(): DeviceTree {
    return new DeviceTree(this.core);
  }

  /** @throws {Errno} ENODEV when no device on any bus or in any class has this name */
  device(name: string): Device {
    for (const bus of this.core.buses.values()) {
      const dev = bus.find(name);
      if (dev !== undefined) return dev;
    }
    for (const dev of this.core.order) if (dev.name === name) return dev;
    throw new Errno('ENODEV', `${name}: no such device`);
  }

  /** Why each driver did or did not bind to a device; prints as text. @throws {Errno} ENODEV when there is none of this name */
  explain(device: Device | string): Explanation {
    return explain(this.core, typeof device === 'string' ? this.device(device) : device);
  }

  /**
   * Ends the system, as `await using` does: plugins last loaded first, then what devices are left, then the host. Idempotent.
   * @throws what failed on the way, after all of it was tried; {Errno} EBUSY with the list of what was left over
   */
  async stop(): Promise<void> {
    refuseInside('ending the system');
    this.#end ??= this.#queue.idle.then(async () => {
      const errors: unknown[] = [];
      await this.#shutDown(errors);
      if (errors.length > 0) throw joinErrors(errors, 'ending the system');
    });
    await this.#end;
  }

  /** See {@link stop}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #shutDown(errors: unknown[]): Promise<void> {
    // Drivers wait for the users of what they hand out.
    await collect(errors, () => this.kernel.vfio.close());
    for (const { plugin } of [...this.#loaded.values()].reverse()) {
      await collect(errors, () => this.#withdraw(plugin));
    }
    await collect(errors, () => this.kernel.stop());
  }

  // Operations; each runs alone

  async #enqueue(plugin: Plugin, run: () => Promise<void>): Promise<void> {
    if (this.#end !== undefined) throw new Errno('ESHUTDOWN', `plugin ${plugin.name}: the system has ended`);
    await this.#queue.run(plugin, run);
  }

  async #change(name: string, run: (plugin: Plugin) => Promise<void>): Promise<void> {
    if (this.#queue.find(name) !== undefined) throw new Errno('EBUSY', `plugin ${name}: is being loaded or unloaded`);
    const plugin = this.#loaded.get(name)?.plugin;
    if (plugin === undefined) {
      const there = [...this.#loaded.keys()].join(', ');
      throw new Errno('ENOENT', `plugin ${name}: is not loaded (there: ${there})`);
    }
    await this.#enqueue(plugin, async () => {
      const users = [...(this.#users.get(plugin) ?? [])].map((user) => user.name);
      if (name === CORE) users.push('the system');
      if (users.length > 0) throw new Errno('EAGAIN', `plugin ${name}: is required by ${users.join(', ')}: unload that first`);
      await run(plugin);
    });
  }

  async #load(plugin: Plugin): Promise<void> {
    const order = orderOf([plugin], { get: (name) => this.#loaded.get(name)?.plugin });
    this.#registry.know(order);
    const added: Plugin[] = [];
    try {
      for (const one of order) {
        this.#registry.add(one);
        added.push(one);
      }
      if (this.#registry.bindingsTo(Host).length > 1) {
        throw new Errno(
          'EBUSY',
          `plugin ${plugin.name}: binds Host, and the system runs on ${this.kernel.host.name}: start another system`,
        );
      }
      for (const one of order) this.#registry.suppliersOf(one);
      await this.#joinAll(this.#bySupply(order));
    } catch (error) {
      for (const one of added.reverse()) this.#registry.remove(one);
      throw error;
    }
  }

  async #unload(plugin: Plugin): Promise<void> {
    const errors: unknown[] = [];
    await collect(errors, () => this.#withdraw(plugin));
    await collect(errors, () => this.core.settle());
    if (errors.length > 0) throw joinErrors(errors, `unloading plugin ${plugin.name}`);
  }

  /** Brings plugins in one after the other; when one fails, those before it go again. */
  async #joinAll(plugins: readonly Plugin[]): Promise<void> {
    const joined: Plugin[] = [];
    try {
      for (const plugin of plugins) {
        await this.#join(plugin);
        joined.push(plugin);
      }
    } catch (error) {
      const errors: unknown[] = [error];
      for (const plugin of joined.reverse()) await collect(errors, () => this.#withdraw(plugin));
      throw joinErrors(errors, 'taking back what was loaded with it');
    }
  }

  async #join(plugin: Plugin): Promise<void> {
    const loaded = this.#loaded.get(plugin.name) ?? this.#note(plugin);
    try {
      await this.#joins.join(loaded);
      await this.core.settle();
    } catch (error) {
      this.#forget(loaded);
      throw error;
    }
  }

  #note(plugin: Plugin): LoadedPlugin {
    const requires = this.#registry.suppliersOf(plugin);
    for (const { name } of plugin.requirements) {
      const required = this.#loaded.get(name)?.plugin;
      if (required !== undefined) requires.add(required);
    }
    const bindings = this.#registry.bindingsOf(plugin);
    const loaded = new LoadedPlugin(plugin, requires, bindings, this.core.clock.now());
    this.#loaded.set(plugin.name, loaded);
    for (const required of requires) {
      const users = this.#users.get(required);
      if (users === undefined) this.#users.set(required, new Set([plugin]));
      else users.add(plugin);
    }
    return loaded;
  }

  #forget({ plugin, requires }: LoadedPlugin): void {
    this.#loaded.delete(plugin.name);
    for (const required of requires) {
      const users = this.#users.get(required);
      users?.delete(plugin);
      if (users?.size === 0) this.#users.delete(required);
    }
  }

  async #withdraw(plugin: Plugin): Promise<void> {
    const loaded = this.#loaded.get(plugin.name);
    if (loaded === undefined) return;
    const errors: unknown[] = [];
    await this.#joins.leave(loaded, errors);
    this.#forget(loaded);
    this.#registry.remove(plugin);
    if (errors.length > 0) throw joinErrors(errors, `drivers of plugin ${plugin.name}`);
  }

  /** Those whose services others need come first, as far as that is possible; else the order stays. */
  #bySupply(plugins: readonly Plugin[]): Plugin[] {
    const order = new Set<Plugin>();
    const seen = new Set<Plugin>();
    const visit = (plugin: Plugin): void => {
      if (seen.has(plugin) || !plugins.includes(plugin)) return;
      seen.add(plugin);
      for (const supplier of this.#registry.suppliersOf(plugin)) visit(supplier);
      order.add(plugin);
    };
    for (const plugin of plugins) visit(plugin);
    return [...order];
  }
}
