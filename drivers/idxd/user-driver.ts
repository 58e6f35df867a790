import { CharDevices, CharNode, Errno, Host, IdAllocator, Iommu, Irqs, inject, injectable } from '../../core/index.js';
import { CMD_STATUS } from './cmd-status.js';
import { DSA_BUS, type IdxdSubDriver } from './dsa-bus.js';
import { UserQueue } from './user-queue.js';
import type { Wq } from './wq.js';
import { enableWq, matchDriver } from './wq-enable.js';

/**
 * The driver of queues that tasks use themselves: each is a character device, `dsa/wq0.0`.
 * @see Linux 6.12 drivers/dma/idxd/cdev.c idxd_user_drv_probe, idxd_user_drv_remove
 */
@injectable()
export class UserDriver implements IdxdSubDriver<Wq, CharNode> {
  readonly name = 'user';
  readonly bus = DSA_BUS;
  readonly types = ['wq'] as const;
  readonly #minors = new IdAllocator('idxd minors');

  constructor(
    @inject(Iommu) private readonly iommu: Iommu,
    @inject(Irqs) private readonly irqs: Irqs,
    @inject(Host) private readonly host: Host,
  ) {}

  /**
   * @throws {Errno} ENODEV when the queue is another driver's; EOPNOTSUPP where devices cannot work in address spaces; ENXIO for whatever
   *   else keeps it from being enabled. `cmd_status` says what
   */
  probe(wq: Wq): Promise<CharNode> {
    matchDriver(wq, this.name);
    if (this.iommu.maxPasids(wq) === 0) {
      wq.idxd.cmdStatus = CMD_STATUS.userNoIommu;
      throw new Errno('EOPNOTSUPP', `${wq.name}: ${wq.idxd.name} has no PASIDs, or the platform none: users cannot have it`);
    }
    return this.#enable(wq);
  }

  async #enable(wq: Wq): Promise<CharNode> {
    const { idxd, wqType } = wq;
    wq.wqType = 'user';
    try {
      await enableWq(wq);
      idxd.cmdStatus = CMD_STATUS.charDevice;
      const node = this.#show(wq);
      idxd.cmdStatus = 0;
      return node;
    } catch (error) {
      wq.wqType = wqType;
      throw error;
    }
  }

  #show(wq: Wq): CharNode {
    wq.devres.acquire(
      'minor',
      () => this.#takeMinor(wq),
      (minor) => this.#giveMinor(wq, minor),
    );
    const queue = new UserQueue(wq, this.iommu, this.irqs, this.host.dma);
    queue.listen();
    return wq.publish(CharDevices, new CharNode(wq, queue), `dsa/${wq.name}`);
  }

  #takeMinor(wq: Wq): number {
    wq.cdevMinor = this.#minors.alloc();
    return wq.cdevMinor;
  }

  #giveMinor(wq: Wq, minor: number): void {
    this.#minors.free(minor);
    wq.cdevMinor = undefined;
  }
}
