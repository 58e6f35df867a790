import type { DevlinkNode } from '../../../core/index.js';
import type { Eswitch } from '../eswitch.js';
import type { Mlx5Core, Stage } from '../mlx5-core.js';
import { SfDevices } from './sf-devices.js';
import { SfTable } from './sf-table.js';
import { VhcaEvents } from './vhca-events.js';

/**
 * What a function has for its sub-functions, while it is up: the table of those that its user adds, the events of their states, and the
 * devices of those that may be used.
 */
export class SubFunctions implements Stage {
  readonly name = 'sub-functions';
  readonly devices: SfDevices;
  readonly table: SfTable;
  readonly #eswitch: Eswitch;
  readonly #events: VhcaEvents;

  constructor(core: Mlx5Core, devlink: DevlinkNode, eswitch: Eswitch) {
    this.#eswitch = eswitch;
    this.devices = new SfDevices(core);
    this.table = new SfTable(core, devlink, eswitch, this.devices);
    this.#events = new VhcaEvents(core, [(state) => this.table.update(state), (state) => this.devices.update(state)]);
    eswitch.beforeLegacy = () => this.table.deleteAll();
  }

  async load({ caps }: Mlx5Core): Promise<void> {
    if (caps.vhcaState === 0 || caps.maxNumSf === 0) return;
    if (caps.eswitchManager === 1) this.table.create();
    this.#events.start();
    try {
      await this.devices.create();
    } catch (error) {
      await this.unload();
      throw error;
    }
  }

  /** @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/main.c mlx5_unload */
  async unload(): Promise<void> {
    await this.#events.stop();
    await this.devices.destroy();
    await this.#eswitch.reset();
    await this.table.destroy();
  }
}
