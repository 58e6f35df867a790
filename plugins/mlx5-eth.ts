import { AuxiliaryDriver, Plugin } from '../core/index.js';
import { Mlx5EthOptions } from '../drivers/mlx5-eth/api.js';
import { Mlx5EthDriver } from '../drivers/mlx5-eth/eth-driver.js';
import { Mlx5RepDriver } from '../drivers/mlx5-eth/rep-driver.js';

export type { Mlx5EthOptions } from '../drivers/mlx5-eth/api.js';

/** Network devices of the adapter: of its function, of sub-functions, and of the ports of its switch. */
export function mlx5Eth(options: Mlx5EthOptions = {}): Plugin {
  return new Plugin('mlx5-eth', ({ bind }) => {
    bind(Mlx5EthOptions).toConstantValue(options);
    bind(AuxiliaryDriver).to(Mlx5EthDriver);
    bind(AuxiliaryDriver).to(Mlx5RepDriver);
  });
}

export default mlx5Eth();
