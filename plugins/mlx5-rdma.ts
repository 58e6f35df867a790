import { AuxiliaryDriver, Plugin } from '../core/index.js';
import { Mlx5RdmaDriver } from '../drivers/mlx5-rdma/rdma-driver.js';

export * from '../drivers/mlx5-rdma/api.js';

/** Queues of the adapter in the hands of tasks: completion queues and their events, and packets as they are. */
export default new Plugin('mlx5-rdma', ({ bind }) => {
  bind(AuxiliaryDriver).to(Mlx5RdmaDriver);
});
