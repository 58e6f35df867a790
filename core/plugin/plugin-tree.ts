import type { Bus, DeviceCore } from '../device/index.js';
import type { Joined } from './joins.js';
import type { Plugin } from './plugin.js';
import { type Binding, nameOfService } from './registry.js';

/** A plugin while it is loaded. @internal */
export class LoadedPlugin {
  /** Its buses, in the order they joined. */
  readonly buses: Bus[] = [];
  /** Its drivers, in the order they joined. */
  readonly drivers: Joined[] = [];

  constructor(
    readonly plugin: Plugin,
    /** Plugins that must not go before it: required, or suppliers of its services. */
    readonly requires: ReadonlySet<Plugin>,
    readonly bindings: readonly Binding[],
    readonly loadedAtUs: number,
  ) {}
}

/** One plugin of a {@link PluginTree}. */
export interface PluginNode {
  readonly name: string;
  readonly version: string;
  /** On the system's clock, in microseconds. */
  readonly loadedAtUs: number;
  /** The plugins it requires, or whose services it uses. */
  readonly requires: readonly string[];
  /** The services it binds. */
  readonly binds: readonly string[];
  readonly drivers: readonly { readonly name: string; readonly bus: string; readonly devices: readonly string[] }[];
}

/** The plugins of a system, in the order they were loaded. */
export class PluginTree {
  readonly plugins: readonly PluginNode[];

  /** @internal */
  constructor(loaded: readonly LoadedPlugin[], core: DeviceCore) {
    this.plugins = loaded.map(({ plugin, requires, bindings, drivers, loadedAtUs }) => ({
      name: plugin.name,
      version: plugin.version,
      loadedAtUs,
      requires: [...requires].map((p) => p.name),
      binds: [...new Set(bindings.map((b) => nameOfService(b.id)))],
      drivers: drivers.map(({ bus, driver }) => ({
        name: driver.name,
        bus,
        devices: (core.buses.get(bus)?.devicesOf(driver) ?? []).map((dev) => dev.name),
      })),
    }));
  }

  toString(): string {
    const lines: string[] = [];
    for (const { name, version, loadedAtUs, requires, drivers } of this.plugins) {
      const after = requires.length === 0 ? '' : `  after ${requires.join(', ')}`;
      lines.push(`${name} ${version}  at ${loadedAtUs} us${after}`);
      for (const driver of drivers) {
        lines.push(`  ${driver.bus} driver ${driver.name}: ${driver.devices.join(', ') || 'no device'}`);
      }
    }
    return lines.map((line) => `${line}\n`).join('');
  }
}
