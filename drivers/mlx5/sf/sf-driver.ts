import { type AuxiliaryDevice, type AuxiliaryDriver, Devlinks, Errno, Mmio, injectable } from '../../../core/index.js';
import { WINDOWS_BAR } from '../../../hw/regs/nic.js';
import { type Mlx5SfContext, SF } from '../api.js';
import { FunctionDevlink } from '../devlink-function.js';
import { FunctionWindow } from '../function-window.js';
import { Mlx5Core } from '../mlx5-core.js';
import { SfContext } from './sf-context.js';

/**
 * The driver of sub-functions. Those of a function that manages them itself come up light: they have commands, and parameters by which
 * their user says what they are for; `devlink dev reload` then brings up the rest.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/sf/dev/driver.c
 */
@injectable()
export class SfDriver implements AuxiliaryDriver<Mlx5SfContext, Mlx5Core> {
  readonly name = 'mlx5_core.sf';
  readonly ids = [SF];

  async probe(dev: AuxiliaryDevice<Mlx5SfContext>): Promise<Mlx5Core> {
    const { data: context } = dev;
    if (!(context instanceof SfContext)) throw new Errno('ENODEV', `${dev.name}: its maker is not the driver of its function`);
    const { parent, windows, offset, functionId, sfnum } = context;
    // Of its own, so that it dies with its own binding.
    const regs = dev.devres.acquire(
      'window',
      () => new Mmio(windows, `${dev.name}: window`),
      (it) => it.revoke(),
    );
    const core = new Mlx5Core({
      dev,
      pci: parent.pci,
      window: new FunctionWindow(regs, WINDOWS_BAR, offset),
      adevIdx: dev.id!,
      services: parent.services,
      sf: { parent, functionId, sfnum },
    });
    context.onAbandoned = () => {
      core.drain();
      core.commands.close();
    };
    const devlink = new FunctionDevlink(core);
    await core.up({ light: parent.caps.eswitchManager === 1 });
    devlink.cameUp();
    dev.publish(Devlinks, devlink.node, devlink.node.handle);
    return core;
  }

  remove(_dev: AuxiliaryDevice<Mlx5SfContext>, core: Mlx5Core): void {
    core.drain();
  }

  /** @see Linux 7.2 sf/dev/driver.c mlx5_sf_dev_shutdown */
  async shutdown(_dev: AuxiliaryDevice<Mlx5SfContext>, core: Mlx5Core): Promise<void> {
    await core.down();
  }
}
