import type { DevlinkNode } from '../../core/index.js';
import { FunctionDevlink } from './devlink-function.js';
import { Eswitch } from './eswitch.js';
import type { Mlx5Core } from './mlx5-core.js';
import { SubFunctions } from './sf/sub-functions.js';

/**
 * The devlink of a physical function, with its switch and its sub-functions. Made before it comes up.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/devlink.c mlx5_devlink_ops
 */
export class ManagerDevlink {
  readonly node: DevlinkNode;
  readonly #core: Mlx5Core;
  readonly #devlink: FunctionDevlink;

  constructor(core: Mlx5Core) {
    this.#core = core;
    const eswitch = new Eswitch(core);
    this.#devlink = new FunctionDevlink(core, {
      eswitch: { mode: () => eswitch.mode, setMode: (mode) => eswitch.setMode(mode) },
      addPort: (wanted) => sfs.table.add(wanted),
    });
    this.node = this.#devlink.node;
    const sfs = new SubFunctions(core, this.node, eswitch);
    core.eswitch = eswitch;
    core.stages.push(sfs);
  }

  /** It is known now what the device has. @see Linux 7.2 sf/hw_table.c mlx5_sf_hw_table_res_register */
  cameUp(): void {
    this.#devlink.cameUp();
    this.node.registerResource({ name: 'max_local_SFs', size: this.#core.caps.maxNumSf });
    this.node.registerResource({ name: 'max_external_SFs', size: 0 });
  }
}
