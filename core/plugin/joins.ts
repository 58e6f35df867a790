import { AuxiliaryDriver } from '../auxiliary/index.js';
import type { DeviceCore, Driver } from '../device/index.js';
import type { Token } from '../lib/token.js';
import { PciDriver } from '../pci/index.js';
import { PlatformDriver } from '../platform/index.js';
import { Errno } from '../lib/errno.js';
import type { Plugin } from './plugin.js';
import type { LoadedPlugin } from './plugin-tree.js';
import type { Registry } from './registry.js';

/** Which bus the drivers bound to a token belong to. */
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
 * Drivers join their bus when the container makes them, and leave with their plugin.
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

  /** Makes the drivers of a plugin and registers them in the order it bound them; all or none. */
  async join(loaded: LoadedPlugin): Promise<void> {
    try {
      for (const binding of loaded.bindings) {
        const bus = BUSES.get(binding.id);
        if (bus === undefined) continue;
        const joined = { bus, driver: this.#registry.make(binding) as Driver };
        await this.#register(loaded.plugin, joined);
        loaded.drivers.push(joined);
      }
    } catch (error) {
      await this.leave(loaded, []);
      throw error;
    }
  }

  /** Takes the drivers of a plugin off their buses, last first; what fails goes to `errors`. */
  async leave({ drivers }: LoadedPlugin, errors: unknown[]): Promise<void> {
    for (let joined = drivers.pop(); joined !== undefined; joined = drivers.pop()) {
      const bus = this.#core.buses.get(joined.bus);
      try {
        if (bus !== undefined) await this.#core.unregisterDriver(bus, joined.driver);
      } catch (error) {
        errors.push(error);
      }
    }
  }

  async #register({ name }: Plugin, { bus: busName, driver }: Joined): Promise<void> {
    const bus = this.#core.buses.get(busName);
    if (bus === undefined) throw new Errno('ENODEV', `plugin ${name}: driver ${driver.name}: the system has no bus ${busName}`);
    try {
      await this.#core.registerDriver(bus, driver);
    } catch (error) {
      if (!Errno.is(error)) throw error;
      throw new Errno(error.code, `plugin ${name}: ${error.text}`, { cause: error });
    }
  }
}
