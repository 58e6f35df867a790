import { AuxiliaryDriver, PciDriver, Plugin } from '../core/index.js';
import { Mlx5Options } from '../drivers/mlx5/api.js';
import { Mlx5Driver } from '../drivers/mlx5/mlx5-driver.js';
import { SfDriver } from '../drivers/mlx5/sf/sf-driver.js';

export * from '../drivers/mlx5/api.js';
export type { Mlx5Core } from '../drivers/mlx5/mlx5-core.js';

/** The driver of the network adapter's functions; what they do for users is for the drivers of their parts. */
export function mlx5(options: Mlx5Options = {}): Plugin {
  return new Plugin('mlx5', ({ bind }) => {
    bind(Mlx5Options).toConstantValue(options);
    bind(AuxiliaryDriver).to(SfDriver);
    bind(PciDriver).to(Mlx5Driver);
  });
}

export default mlx5();
