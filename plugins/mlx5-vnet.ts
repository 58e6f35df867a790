import { AuxiliaryDriver, Plugin } from '../core/index.js';
import { Mlx5VnetOptions } from '../drivers/mlx5-vnet/api.js';
import { Mlx5VnetDriver } from '../drivers/mlx5-vnet/vnet-driver.js';

export { VdpaUser } from '../drivers/lib/vhost/index.js';
export * from '../drivers/mlx5-vnet/api.js';

/**
 * vDPA network devices of the adapter's sub-functions: their queues are in the memory of a user, their interrupts go to his guest. A user of
 * VFIO makes a mediated device of one instead.
 */
export function mlx5Vnet(options: Mlx5VnetOptions = {}): Plugin {
  return new Plugin('mlx5-vnet', ({ bind }) => {
    bind(Mlx5VnetOptions).toConstantValue(options);
    bind(AuxiliaryDriver).to(Mlx5VnetDriver);
  });
}

export default mlx5Vnet();
