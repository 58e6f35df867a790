import { type AuxiliaryDevice, type AuxiliaryDriver, Irqs, NetDevices, inject, injectable } from '../../core/index.js';
import { Vport } from '../lib/mlx5/index.js';
import { ETH, type Mlx5Child } from '../mlx5/api.js';
import { Mlx5EthOptions } from './api.js';
import { Mlx5Eth } from './eth.js';
import { functionName } from './names.js';

/** Rings of sub-functions, of which there may be hundreds. Linux does not tell them apart. */
const SF_SIZES = { logSqSize: 7, logRqSize: 8 } as const;

/**
 * The driver of packets: a network device for each function, `eth0` and so on, of a sub-function `p0sf88`.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/en_main.c mlx5e_probe, mlx5e_remove
 */
@injectable()
export class Mlx5EthDriver implements AuxiliaryDriver<Mlx5Child, Mlx5Eth> {
  readonly name = 'eth';
  readonly ids = [ETH];

  constructor(
    @inject(Irqs) private readonly irqs: Irqs,
    @inject(Mlx5EthOptions) private readonly options: Mlx5EthOptions,
  ) {}

  async probe(dev: AuxiliaryDevice<Mlx5Child>): Promise<Mlx5Eth> {
    const core = dev.data;
    const { irqs, options } = this;
    const mac = await new Vport(core).ensureMac(core.adevIdx);
    const sizes = core.isSf ? SF_SIZES : {};
    const eth = new Mlx5Eth({ core, dev, irqs, mac, maxChannels: core.compVectorCount, options: { ...sizes, ...options } });
    eth.watchCarrier();
    dev.publish(NetDevices, eth.node, functionName(core));
    return eth;
  }

  remove(_dev: AuxiliaryDevice<Mlx5Child>, eth: Mlx5Eth): PromiseLike<void> | void {
    return eth.node.shutdown();
  }
}
