import {
  type AuxiliaryDevice,
  type AuxiliaryDriver,
  CharDevices,
  CharNode,
  Errno,
  Iommu,
  Irqs,
  MdevBus,
  Vfio,
  checkRange,
  describeError,
  inject,
  injectable,
} from '../../core/index.js';
import { EVENTS } from '../../hw/regs/nic.js';
import { Vport } from '../lib/mlx5/index.js';
import { UserSeat, VhostVdpa } from '../lib/vhost/index.js';
import { type Mlx5Child, VNET } from '../mlx5/api.js';
import { Mlx5VnetOptions } from './api.js';
import { NetConfig } from './net-config.js';
import { VnetMdevDriver } from './vnet-mdev-driver.js';
import { Vnet } from './vnet.js';

const MAX_PAIRS = 16;

/**
 * The driver of vDPA network devices: a character device for each function, `vhost-vdpa-4` for that with the id 4, and a mediated device
 * for who asks for one.
 * @see Linux 7.2 drivers/vdpa/mlx5/net/mlx5_vnet.c mlx5v_probe, mlx5v_remove
 */
@injectable()
export class Mlx5VnetDriver implements AuxiliaryDriver<Mlx5Child, Vnet> {
  readonly name = 'vnet';
  readonly ids = [VNET];
  readonly #users: VnetMdevDriver;

  constructor(
    @inject(Iommu) private readonly iommu: Iommu,
    @inject(Irqs) private readonly irqs: Irqs,
    @inject(Vfio) private readonly vfio: Vfio,
    @inject(MdevBus) mdevs: MdevBus,
    @inject(Mlx5VnetOptions) private readonly options: Mlx5VnetOptions,
  ) {
    this.#users = new VnetMdevDriver(mdevs, vfio);
  }

  /** @throws {Errno} EOPNOTSUPP where devices cannot work in address spaces: nothing would keep a user from the memory of others; as `Mlx5Child.exec` */
  async probe(dev: AuxiliaryDevice<Mlx5Child>): Promise<Vnet> {
    const { data: core } = dev;
    const { pairs = 1 } = this.options;
    checkRange(dev.name, 'pairs', pairs, 1, MAX_PAIRS);
    if (this.iommu.maxPasids(dev) === 0) {
      throw new Errno('EOPNOTSUPP', `${dev.name}: has no PASIDs, or the platform none: users cannot have it`);
    }
    const config = await this.#config(dev, 2 * pairs);
    const uar = await core.allocUar(dev);
    const vnet = new Vnet({ dev, core, uar, pairs, config });
    dev.devres.use(
      'failure',
      core.onFailed(() => vnet.needsReset()),
    );
    const { iommu, vfio } = this;
    const seat = new UserSeat();
    this.#users.offer(dev, { core, vnet, seat });
    const node = new CharNode(dev, new VhostVdpa(vnet, { iommu, bypass: vfio.bypass, seat }));
    dev.publish(CharDevices, node, `vhost-vdpa-${core.adevIdx}`);
    return vnet;
  }

  /** What a user reads of the port; the link is followed until the part is unbound. */
  async #config(dev: AuxiliaryDevice<Mlx5Child>, queues: number): Promise<NetConfig> {
    const { data: core } = dev;
    const vport = new Vport(core);
    const config = new NetConfig(queues);
    config.setPort(await vport.ensureMac(core.adevIdx), await vport.mtu());
    const look = async (): Promise<void> => {
      try {
        config.setLink(await vport.isUp());
      } catch (error) {
        dev.log('warn', `its link is not known: ${describeError(error)}`, 'link_unknown');
      }
    };
    dev.devres.use(
      'port events',
      core.events.on(EVENTS.portChange, () => this.irqs.later(() => void look())),
    );
    await look();
    return config;
  }
}
