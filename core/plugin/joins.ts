import { AuxiliaryDriver } from '../auxiliary/index.js';
import { Bus, type DeviceCore, type Driver } from '../device/index.js';
import { Errno } from '../lib/errno.js';
import type { Token } from '../lib/token.js';
import { PciDriver } from '../pci/index.js';
import { PlatformDriver } from '../platform/index.js';
import { BusDriver } from './bus-driver.js';
import type { Plugin } from './plugin.js';
import type { LoadedPlugin } from './plugin-tree.js';
import type { Registry } from './registry.js';

/** Which bus the drivers bound to a token belong to; those of {@link BusDriver} say it themselves. */
const BUSES: ReadonlyMap<unknown, string> = new Map<Token<unknown>, string>([
  [PciDriver, 'pci'],
  [AuxiliaryDriver, 'auxiliary'],
  [PlatformDriver, 'platform'],
]);

/** A driver that a plugin brought, on its bus. */
export interface Joined {
  readonly bus: string;
  readonly driver: Driver;
}

/**
 * Buses and drivers join the system when the container makes them, and leave with their plugin.
 *
 * The container only makes them: registering, which may wait for probes, is done here.
 */
export class Joins {
  readonly #core: DeviceCore;
  readonly #registry: Registry;

  constructor(registry: Registry, core: DeviceCore) {
    this.#registry = registry;
    this.#core = core;
  }

  /** Makes the buses of a plugin, then its drivers, and registers each in the order it bound them; all or none. */
  async join(loaded: LoadedPlugin): Promise<void> {
    const { plugin, bindings, buses, drivers } = loaded;
    try {
      for (const binding of bindings.filter(({ id }) => isBus(id))) {
        const bus = this.#registry.make(binding) as Bus;
        this.#addBus(plugin, bus);
        buses.push(bus);
      }
      for (const binding of bindings) {
        const bus = BUSES.get(binding.id);
        if (bus === undefined && binding.id !== BusDriver) continue;
        const driver = this.#registry.make(binding) as Driver;
        const joined = { bus: bus ?? (driver as BusDriver).bus, driver };
        await this.#register(plugin, joined);
        drivers.push(joined);
      }
    } catch (error) {
      await this.leave(loaded, []);
      throw error;
    }
  }

  /** Takes the drivers of a plugin off their buses, last first, and then its buses; what fails goes to `errors`. */
  async leave({ drivers, buses }: LoadedPlugin, errors: unknown[]): Promise<void> {
    for (let joined = drivers.pop(); joined !== undefined; joined = drivers.pop()) {
      const bus = this.#core.buses.get(joined.bus);
      try {
        if (bus !== undefined) await this.#core.unregisterDriver(bus, joined.driver);
      } catch (error) {
        errors.push(error);
      }
    }
    for (let bus = buses.pop(); bus !== undefined; bus = buses.pop()) {
      try {
        this.#core.unregisterBus(bus);
      } catch (error) {
        errors.push(error);
      }
    }
  }

  #addBus(plugin: Plugin, bus: Bus): void {
    try {
      this.#core.registerBus(bus);
    } catch (error) {
      throw named(plugin, error);
    }
  }

  async #register(plugin: Plugin, { bus: busName, driver }: Joined): Promise<void> {
    const bus = this.#core.buses.get(busName);
    if (bus === undefined) {
      throw new Errno('ENODEV', `plugin ${plugin.name}: driver ${driver.name}: the system has no bus ${busName}`);
    }
    try {
      await this.#core.registerDriver(bus, driver);
    } catch (error) {
      throw named(plugin, error);
    }
  }
}

/** Whether what is bound is a bus, by its class. */
const isBus = (id: unknown): boolean => typeof id === 'function' && id.prototype instanceof Bus;

/** An error of the core, with the name of the plugin in front. */
function named({ name }: Plugin, error: unknown): unknown {
  return Errno.is(error) ? new Errno(error.code, `plugin ${name}: ${error.text}`, { cause: error }) : error;
}
