import { Dma, DmaChannels, Errno, Irqs, inject, injectable } from '../../core/index.js';
import { CMD_STATUS } from './cmd-status.js';
import { IdxdDmaChannel } from './dma-channel.js';
import { DSA_BUS, type IdxdSubDriver } from './dsa-bus.js';
import type { Wq } from './wq.js';
import { matchDriver, openPath } from './wq-enable.js';

/**
 * The driver of queues that the kernel uses itself: each is a channel, `dma0chan0` for `wq0.0`.
 * @see Linux 6.12 drivers/dma/idxd/dma.c idxd_dmaengine_drv_probe, idxd_dmaengine_drv_remove
 */
@injectable()
export class DmaengineDriver implements IdxdSubDriver<Wq, IdxdDmaChannel> {
  readonly name = 'dmaengine';
  readonly bus = DSA_BUS;
  readonly types = ['wq'] as const;

  constructor(
    @inject(Dma) private readonly dma: Dma,
    @inject(Irqs) private readonly irqs: Irqs,
  ) {}

  /**
   * @throws {Errno} ENODEV when the queue is another driver's; ENXIO for whatever keeps it from being enabled, with the error as `cause`;
   *   `cmd_status` says what
   */
  probe(wq: Wq): Promise<IdxdDmaChannel> {
    matchDriver(wq, this.name);
    return this.#open(wq);
  }

  /** What is under way ends before buffers of clients go, which are in the same ledger. */
  remove(_wq: Wq, channel: IdxdDmaChannel): Promise<void> {
    return channel.close();
  }

  async #open(wq: Wq): Promise<IdxdDmaChannel> {
    const { idxd, wqType } = wq;
    wq.wqType = 'kernel';
    try {
      const channel = new IdxdDmaChannel(await openPath(wq, this.dma, this.irqs));
      idxd.cmdStatus = CMD_STATUS.channel;
      wq.publish(DmaChannels, channel, `dma${idxd.id}chan${wq.index}`);
      idxd.cmdStatus = 0;
      return channel;
    } catch (error) {
      wq.wqType = wqType;
      if (!Errno.is(error) || error.code === 'ENXIO') throw error;
      throw new Errno('ENXIO', error.text, { cause: error });
    }
  }
}
