import { ContainerModule } from 'inversify';
import { Errno } from '../lib/errno.js';
import type { Token } from '../lib/token.js';
import { parseVersion } from './version.js';

/** A class whose needs are its constructor's parameters, each with `@inject(Token)`. */
// oxlint-disable-next-line typescript/no-explicit-any -- parameters of a constructor are contravariant: only `any` takes them all
export type ServiceClass<T> = new (...args: any[]) => T;

/** What names a service: a token, or the class itself. */
export type ServiceId<T> = Token<T> | ServiceClass<T>;

/** Hands out services while one is being made. */
export interface Services {
  /** @throws {Errno} ENOENT when nothing binds it */
  get<T>(id: ServiceId<T>): T;
  /** All that was bound, in the order of binding; empty when nothing was. */
  getAll<T>(id: ServiceId<T>): T[];
}

/** How a service comes about. There is one instance of each binding, made when it is first needed. */
export interface BindTo<T> {
  to(cls: ServiceClass<T>): void;
  toConstantValue(value: T): void;
  /** @param make synchronous; what must wait does so in a driver's probe */
  toDynamicValue(make: (services: Services) => T): void;
  /** The service of another name. */
  toService(other: ServiceId<T>): void;
}

/** What a plugin is handed when it is loaded. */
export interface PluginContext {
  readonly bind: <T>(id: ServiceId<T>) => BindTo<T>;
}

/** What a plugin says of itself besides its name. */
export interface PluginOptions {
  /** `major.minor.patch`; default 0.0.0. */
  readonly version?: string;
  /** Versions of Backplane that it works with: `^0.1`. */
  readonly backplane?: string;
  /**
   * Plugins that must be loaded first: `edu`, `edu@^1`, or the plugin itself, which is then loaded along when it is not yet.
   */
  readonly requires?: readonly (string | Plugin)[];
  /** What it binds, for those who look for who would. */
  readonly provides?: readonly ServiceId<unknown>[];
}

/** A plugin that must be there, in which versions. @internal */
export interface Requirement {
  readonly name: string;
  readonly range: string | undefined;
  readonly plugin: Plugin | undefined;
}

const NAME = /^[a-z][a-z0-9-]*$/;

/**
 * A driver and what it needs, or hardware, or commands: what a system is put together from.
 *
 * It is a container module with a name. Whoever binds a driver's token (`PciDriver`, `AuxiliaryDriver`, ...) has a driver on
 * that bus for as long as the plugin is loaded.
 * @example
 * ```ts
 * export default new Plugin('edu', ({ bind }) => { bind(PciDriver).to(EduDriver); });
 * ```
 */
export class Plugin {
  readonly version: string;
  readonly backplane: string | undefined;
  readonly provides: readonly ServiceId<unknown>[];
  /** @internal */
  readonly requirements: readonly Requirement[];
  /** @internal */
  readonly bindings: (context: PluginContext) => void;

  /**
   * @param name lower-case letters, digits and hyphens; unique in a system
   * @param bindings called at each load; synchronous
   * @throws {Errno} EINVAL for a name, version or requirement that is not one
   */
  constructor(
    readonly name: string,
    bindings: (context: PluginContext) => void,
    options: PluginOptions = {},
  ) {
    if (typeof bindings !== 'function') throw new Errno('EINVAL', `plugin '${name}': its bindings are no function`);
    if (!NAME.test(name)) throw new Errno('EINVAL', `plugin '${name}': a name is lower-case letters, digits and hyphens`);
    this.bindings = bindings;
    this.version = options.version ?? '0.0.0';
    parseVersion(this.version, `plugin ${name}`);
    this.backplane = options.backplane;
    this.provides = options.provides ?? [];
    this.requirements = (options.requires ?? []).map((wanted) => parseRequirement(wanted, name));
  }

  /** Its module, each time a new one: the container tells bindings apart by it. @internal */
  module(context: (bind: BindRaw) => PluginContext): ContainerModule {
    return new ContainerModule(({ bind }) => {
      const done: unknown = this.bindings(context(bind));
      if (done instanceof Promise) {
        done.catch(() => {});
        throw new Errno('EINVAL', 'its bindings are asynchronous: wait in a probe instead');
      }
    });
  }
}

/**
 * Plugins come from modules, which may export something else, or nothing yet.
 * @throws {Errno} EINVAL for what is no plugin
 * @internal
 */
export function checkPlugin(value: unknown, who: string): void {
  // Not `instanceof`: it may be of another copy of the package.
  if (typeof (value as Partial<Plugin> | null | undefined)?.bindings === 'function') return;
  const what = typeof value === 'object' && value !== null ? 'an object' : String(value);
  throw new Errno('EINVAL', `${who} ${what}, which is no plugin: is it a module's default export, or an import cycle?`);
}

/** The container's own `bind`. @internal */
export type BindRaw = ConstructorParameters<typeof ContainerModule>[0] extends (options: infer O) => unknown
  ? O extends { bind: infer B }
    ? B
    : never
  : never;

function parseRequirement(wanted: string | Plugin, who: string): Requirement {
  if (typeof wanted !== 'string') {
    checkPlugin(wanted, `plugin ${who}: requires`);
    return { name: wanted.name, range: undefined, plugin: wanted };
  }
  const at = wanted.indexOf('@');
  const name = at < 0 ? wanted : wanted.slice(0, at);
  if (!NAME.test(name) || at === wanted.length - 1) {
    throw new Errno('EINVAL', `plugin ${who}: requires '${wanted}', which is not a name such as edu or edu@^1`);
  }
  return { name, range: at < 0 ? undefined : wanted.slice(at + 1), plugin: undefined };
}
