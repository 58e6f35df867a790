import { Container, type ContainerModule } from 'inversify';
import { Errno, describeError } from '../lib/errno.js';
import { type Need, needsOf } from './needs.js';
import type { BindRaw, BindTo, Plugin, PluginContext, ServiceClass, ServiceId } from './plugin.js';

/** One `bind(...)` of a plugin. */
export interface Binding {
  readonly plugin: Plugin;
  readonly id: ServiceId<unknown>;
  /** Its own name in the container, so that it can be made apart from others bound to the same service. */
  readonly key: symbol;
  /** What its making needs: known for classes and aliases. */
  readonly needs: readonly Need[];
  /** For messages: the class, or how else it is made. */
  readonly what: string;
}

/** The name of a service in messages. */
export function nameOfService(id: ServiceId<unknown>): string {
  return typeof id === 'symbol' ? (id.description ?? 'a nameless token') : id.name;
}

/**
 * The container with what plugins have bound in it, and who bound what.
 *
 * Its hooks are synchronous and none of them tears anything down; see section "Facts" of this room's README.
 */
export class Registry {
  readonly container = new Container({ defaultScope: 'Singleton' });
  readonly #loaded = new Map<Plugin, { readonly module: ContainerModule; readonly bindings: readonly Binding[] }>();
  readonly #bindings = new Map<ServiceId<unknown>, Set<Binding>>();
  /** By name: what may supply a service, were it loaded. */
  readonly #known = new Map<string, Plugin>();

  /**
   * Binds what a plugin binds; all of it or nothing.
   * @throws {Errno} what the plugin threw, named for it; EEXIST as EBUSY, since it says "loaded already" of plugins
   * @see Linux 6.12 kernel/module/main.c do_init_module
   */
  add(plugin: Plugin): void {
    const made: Binding[] = [];
    const module = plugin.module((bind) => contextOf(plugin, bind, made));
    this.#known.set(plugin.name, plugin);
    try {
      this.container.load(module);
    } catch (error) {
      this.container.unload(module);
      throw namedError(plugin, 'its bindings', error);
    }
    this.#loaded.set(plugin, { module, bindings: made });
    for (const binding of made) {
      const all = this.#bindings.get(binding.id);
      if (all === undefined) this.#bindings.set(binding.id, new Set([binding]));
      else all.add(binding);
    }
  }

  /** Forgets what a plugin bound. Instances others hold stay alive. */
  remove(plugin: Plugin): void {
    const loaded = this.#loaded.get(plugin);
    if (loaded === undefined) return;
    this.#loaded.delete(plugin);
    for (const binding of loaded.bindings) {
      const all = this.#bindings.get(binding.id);
      all?.delete(binding);
      if (all?.size === 0) this.#bindings.delete(binding.id);
    }
    this.container.unload(loaded.module);
  }

  /** What a plugin has bound, in that order. */
  bindingsOf(plugin: Plugin): readonly Binding[] {
    return this.#loaded.get(plugin)?.bindings ?? [];
  }

  /** What is bound to a service. */
  bindingsTo(id: ServiceId<unknown>): readonly Binding[] {
    return [...(this.#bindings.get(id) ?? [])];
  }

  /**
   * The other plugins whose services a plugin's classes need.
   * @throws {Errno} ENOENT for a need that nothing binds, EEXIST for one that several do, ELOOP for classes that need each other
   */
  suppliersOf(plugin: Plugin): Set<Plugin> {
    const suppliers = new Set<Plugin>();
    const path: Binding[] = [];
    const visit = (binding: Binding): void => {
      if (binding.plugin !== plugin) {
        suppliers.add(binding.plugin);
        return;
      }
      const trail = [...path, binding].map((b) => b.what).join(' -> ');
      if (path.includes(binding)) throw new Errno('ELOOP', `plugin ${plugin.name}: ${trail}: classes that need each other`);
      path.push(binding);
      for (const need of binding.needs) {
        const found = this.bindingsTo(need.id);
        if (need.several) found.forEach(visit);
        else if (found.length === 1) visit(found[0]!);
        else if (found.length > 1 || !need.optional) throw this.#needError(plugin, trail, need.id, found);
      }
      path.pop();
    };
    this.bindingsOf(plugin).forEach(visit);
    return suppliers;
  }

  /** The one instance of a binding, made if it is not yet. @throws {Errno} what its making threw, named for its plugin */
  make(binding: Binding): unknown {
    try {
      return this.container.get(binding.key);
    } catch (error) {
      throw namedError(binding.plugin, binding.what, error);
    }
  }

  #needError(plugin: Plugin, trail: string, id: ServiceId<unknown>, found: readonly Binding[]): Errno {
    const name = nameOfService(id);
    if (found.length > 1) {
      const who = found.map((b) => b.plugin.name).join(' and ');
      return new Errno('EEXIST', `plugin ${plugin.name}: ${trail} -> ${name}: is bound by ${who}: unload all but one`);
    }
    const suppliers = [...this.#known.values()].filter((p) => p !== plugin && p.provides.includes(id)).map((p) => p.name);
    const remedy =
      suppliers.length > 0
        ? `load plugin ${suppliers.join(' or ')} first`
        : `load a plugin that binds ${name}; none that is known does`;
    return new Errno('ENOENT', `plugin ${plugin.name}: ${trail} -> ${name}: is missing: ${remedy}`);
  }

  /** Remembers plugins as possible suppliers, without loading them. */
  know(plugins: Iterable<Plugin>): void {
    for (const plugin of plugins) {
      if (this.#known.get(plugin.name) === plugin) continue;
      this.#known.set(plugin.name, plugin);
      this.know(plugin.requirements.flatMap((r) => (r.plugin === undefined ? [] : [r.plugin])));
    }
  }
}

function contextOf(plugin: Plugin, bind: BindRaw, made: Binding[]): PluginContext {
  return {
    bind: <T>(id: ServiceId<T>): BindTo<T> => {
      if ((id as unknown) === undefined) throw new Errno('EINVAL', 'binds undefined: is it an import cycle, or `import type`?');
      const key = Symbol(nameOfService(id));
      const own = bind<T>(key);
      const note = (what: string, needs: readonly Need[] = []): void => {
        bind<T>(id).toService(key);
        made.push({ plugin, id, key, what, needs });
      };
      return {
        to: (cls: ServiceClass<T>) => {
          if (typeof cls !== 'function') {
            throw new Errno('EINVAL', `binds ${nameOfService(id)} to ${String(cls)}, which is no class: is it an import cycle?`);
          }
          own.to(cls);
          note(cls.name, needsOf(cls));
        },
        toConstantValue: (value) => {
          own.toConstantValue(value);
          note(`the value of ${nameOfService(id)}`);
        },
        toDynamicValue: (make) => {
          own.toDynamicValue((context) => make(context));
          note(`the maker of ${nameOfService(id)}`);
        },
        toService: (other) => {
          own.toService(other);
          note(nameOfService(id), [{ id: other, optional: false, several: false }]);
        },
      };
    },
  };
}

/** The error of a plugin, with its name in front. */
function namedError(plugin: Plugin, what: string, error: unknown): Errno {
  const code = Errno.is(error) ? error.code : 'EINVAL';
  const text = Errno.is(error) ? error.text : describeError(error).replace(/\s*\n\s*/g, ' ');
  return new Errno(code === 'EEXIST' ? 'EBUSY' : code, `plugin ${plugin.name}: ${what}: ${text}`, { cause: error });
}
