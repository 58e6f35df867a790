import {
  AuxiliaryBus,
  Devlinks,
  Dma,
  Errno,
  IdAllocator,
  Ims,
  Irqs,
  type PciDevice,
  type PciDriver,
  inject,
  injectable,
} from '../../core/index.js';
import { ID, REGISTERS_BAR } from '../../hw/regs/nic.js';
import { Mlx5Options } from './api.js';
import { ManagerDevlink } from './devlink-manager.js';
import { FunctionWindow } from './function-window.js';
import { Mlx5Core, type Mlx5Services } from './mlx5-core.js';

/** Bits of the addresses that the device sends. */
const DMA_BITS = 64;
/** Of one element of a list. */
const MAX_SEGMENT_BYTES = 2 ** 31;

/**
 * The driver of the PCI function. What it does with a function is in {@link Mlx5Core}; packets, RDMA and the like are for the drivers of
 * its parts.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/main.c probe_one, remove_one, shutdown
 */
@injectable()
export class Mlx5Driver implements PciDriver<Mlx5Core> {
  readonly name = 'mlx5_core';
  readonly ids = [ID];
  readonly #services: Mlx5Services;
  readonly #options: Mlx5Options;

  constructor(
    @inject(Dma) dma: Dma,
    @inject(Irqs) irqs: Irqs,
    @inject(Ims) ims: Ims,
    @inject(AuxiliaryBus) aux: AuxiliaryBus,
    @inject(Mlx5Options) options: Mlx5Options,
  ) {
    this.#services = { dma, irqs, ims, aux, adevIds: new IdAllocator('mlx5_core adev_idx') };
    this.#options = options;
  }

  async probe(dev: PciDevice): Promise<Mlx5Core> {
    const { adevIds } = this.#services;
    const adevIdx = dev.devres.acquire(
      'adev_idx',
      () => adevIds.alloc(),
      (id) => adevIds.free(id),
    );
    const window = this.#initPci(dev);
    const core = new Mlx5Core({ dev, pci: dev, window, adevIdx, services: this.#services, options: this.#options });
    const devlink = new ManagerDevlink(core);
    await core.up();
    devlink.cameUp();
    dev.publish(Devlinks, devlink.node, devlink.node.handle);
    return core;
  }

  remove(_dev: PciDevice, core: Mlx5Core): void {
    core.drain();
  }

  shutdown(_dev: PciDevice, core: Mlx5Core): Promise<void> {
    return core.shutdown();
  }

  /** @throws {Errno} ENODEV without registers in memory @see Linux 7.2 main.c mlx5_pci_init */
  #initPci(dev: PciDevice): FunctionWindow {
    const kind = dev.bar(REGISTERS_BAR)?.kind;
    if (kind === undefined || kind === 'io') throw new Errno('ENODEV', `${dev.name}: BAR ${REGISTERS_BAR} is no memory`);
    const regs = dev.mapBar(REGISTERS_BAR);
    dev.setMaster();
    const { dma } = this.#services;
    dma.setMask(dev, DMA_BITS);
    dma.setLimits(dev, { maxSegmentBytes: MAX_SEGMENT_BYTES });
    return new FunctionWindow(regs, REGISTERS_BAR);
  }
}
