import {
  AddressSpace,
  type AuxiliaryDevice,
  type AuxiliaryDriver,
  CharDevices,
  CharNode,
  type CharOperations,
  Errno,
  type FileDevice,
  Iommu,
  type Task,
  inject,
  injectable,
} from '../../core/index.js';
import { type Mlx5Child, RDMA } from '../mlx5/api.js';
import { UserContext } from './user-context.js';

/** The device of one function, which any number of tasks may open: each has its own queues and doorbells. */
class RdmaDevice implements CharOperations {
  readonly #core: Mlx5Child;
  readonly #iommu: Iommu;

  constructor(core: Mlx5Child, iommu: Iommu) {
    this.#core = core;
    this.#iommu = iommu;
  }

  /** @throws {Errno} EINVAL for a task whose memory is no `AddressSpace`; as `Iommu.bindSva` and `Mlx5Child.allocUar` */
  async open(file: FileDevice, task: Task): Promise<UserContext> {
    const { mm } = task;
    if (!(mm instanceof AddressSpace)) {
      throw new Errno('EINVAL', `${file.parent!.name}: the memory of ${task.name} is no AddressSpace, which devices can work in`);
    }
    const core = this.#core;
    const { pasid } = this.#iommu.bindSva(file, mm);
    const uar = await core.allocUar(file);
    const context = new UserContext({ file, core, uar, space: mm, pasid });
    context.listen();
    return context;
  }
}

/**
 * The driver of what users do without the kernel: a character device for each function, `infiniband/uverbs4` for that with the id 4.
 * @see Linux 7.2 drivers/infiniband/hw/mlx5/main.c mlx5r_probe
 */
@injectable()
export class Mlx5RdmaDriver implements AuxiliaryDriver<Mlx5Child, CharNode> {
  readonly name = 'rdma';
  readonly ids = [RDMA];

  constructor(@inject(Iommu) private readonly iommu: Iommu) {}

  /** @throws {Errno} EOPNOTSUPP where devices cannot work in address spaces: nothing would keep a user from the memory of others */
  probe(dev: AuxiliaryDevice<Mlx5Child>): CharNode {
    if (this.iommu.maxPasids(dev) === 0) {
      throw new Errno('EOPNOTSUPP', `${dev.name}: has no PASIDs, or the platform none: users cannot have it`);
    }
    const { data: core } = dev;
    const node = new CharNode(dev, new RdmaDevice(core, this.iommu));
    return dev.publish(CharDevices, node, `infiniband/uverbs${core.adevIdx}`);
  }
}
