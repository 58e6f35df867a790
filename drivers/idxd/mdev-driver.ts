import {
  type AttributeGroup,
  type Device,
  Errno,
  Iommu,
  MdevBus,
  type MdevDevice,
  type MdevDriver,
  type MdevType,
  Vfio,
  inject,
  injectable,
} from '../../core/index.js';
import { CMD_STATUS } from './cmd-status.js';
import { DSA_BUS, type IdxdSubDriver } from './dsa-bus.js';
import { MdevQueues } from './mdev/mdev-queues.js';
import { SharedQueue } from './mdev/shared-queue.js';
import { VirtualDevice } from './mdev/virtual-device.js';
import { type Wq, wqOperand } from './wq.js';
import { enableWq, matchDriver } from './wq-enable.js';

/**
 * The driver of queues that are handed out as virtual devices. While an accelerator has such a queue, its PCI function is the parent of
 * mediated devices of two types: `dsa-1dwq-v1` has a dedicated queue to itself, `dsa-1swq-v1` shares one.
 * @see `mdev/virtual-device.ts` for what they are
 */
@injectable()
export class MdevQueueDriver implements IdxdSubDriver<Wq, SharedQueue> {
  readonly name = 'mdev';
  readonly bus = DSA_BUS;
  readonly types = ['wq'] as const;
  readonly #devices: VirtualDeviceDriver;

  constructor(
    @inject(MdevBus) mdevs: MdevBus,
    @inject(Vfio) vfio: Vfio,
    @inject(Iommu) private readonly iommu: Iommu,
  ) {
    this.#devices = new VirtualDeviceDriver(mdevs, vfio);
  }

  /**
   * @throws {Errno} ENODEV when the queue is another driver's; EOPNOTSUPP where there are no address spaces, no message store, or the queue's
   *   cannot be set; ENXIO for whatever else keeps it from being enabled. `cmd_status` says what
   */
  probe(wq: Wq): Promise<SharedQueue> {
    const { idxd, mode } = wq;
    matchDriver(wq, this.name);
    if (this.iommu.maxPasids(wq) === 0 || (mode === 'dedicated' && !idxd.caps.isConfigurable)) {
      idxd.cmdStatus = CMD_STATUS.userNoIommu;
      throw new Errno('EOPNOTSUPP', `${wq.name}: ${idxd.name} cannot work in address spaces of users: needs PASIDs and an IOMMU`);
    }
    if (idxd.ims === undefined) {
      idxd.cmdStatus = CMD_STATUS.irq;
      throw new Errno('EOPNOTSUPP', `${wq.name}: ${idxd.name} has no message store, or the platform no IMS`);
    }
    return this.#open(wq);
  }

  async #open(wq: Wq): Promise<SharedQueue> {
    const { idxd, wqType, mode } = wq;
    wq.wqType = 'mdev';
    try {
      await enableWq(wq);
      // Nobody has its address space yet: each user enables it for his own.
      if (mode === 'dedicated') await idxd.commands.run('disableWq', wqOperand(wq));
      const queue = this.#devices.offer(wq);
      idxd.cmdStatus = 0;
      return queue;
    } catch (error) {
      wq.wqType = wqType;
      throw error;
    }
  }
}

/** The queue that a virtual device is made of. */
const WQ: AttributeGroup<Device> = {
  attributes: [{ name: 'wq', show: (dev) => `${(dev as MdevDevice).maker.name}\n` }],
};

/** The driver of virtual devices; its state is the {@link VirtualDevice}. */
export class VirtualDeviceDriver implements MdevDriver<VirtualDevice> {
  readonly name = 'idxd_mdev';
  readonly deviceApi = 'vfio-pci';
  readonly maxInstances = Number.MAX_SAFE_INTEGER;
  readonly devGroups = [WQ];
  /** Of each accelerator, by its PCI function. */
  readonly #queues = new WeakMap<Device, MdevQueues>();

  constructor(
    private readonly mdevs: MdevBus,
    private readonly vfio: Vfio,
  ) {}

  /** Lets virtual devices be made of a queue, until its binding ends. */
  offer(wq: Wq): SharedQueue {
    const { dev, caps } = wq.idxd;
    const queue = wq.devres.acquire(
      'events',
      () => new SharedQueue(wq),
      (it) => it[Symbol.dispose](),
    );
    const queues = this.#queues.get(dev) ?? new MdevQueues(caps.version >>> 8);
    this.#queues.set(dev, queues);
    wq.devres.acquire(
      'mdev types',
      () => queues.join(queue, (types) => this.mdevs.registerParent(dev, this, types)),
      () => queues.leave(queue),
    );
    return queue;
  }

  getAvailable(type: MdevType): number {
    return this.#queuesOf(type).available(type);
  }

  /** @throws {Errno} ENODEV when no queue has room for one more */
  makerOf(type: MdevType): Device {
    return this.#queuesOf(type).first(type).wq;
  }

  /** @throws {Errno} ENODEV when its queue has no room, since others were made meanwhile */
  probe(dev: MdevDevice): VirtualDevice {
    const queue = this.#queuesOf(dev.mdevType).of(dev.maker);
    if (queue.room === 0) throw new Errno('ENODEV', `${dev.name}: ${dev.maker.name} has no room for it`);
    const { wq } = queue;
    dev.devres.acquire(
      'client',
      () => void wq.clients++,
      () => void wq.clients--,
    );
    const device = new VirtualDevice(dev, queue);
    device.registered(this.vfio.registerEmulated(dev, device, { pasid: true }));
    dev.devres.defer('virtual device', () => device.end());
    return device;
  }

  #queuesOf({ parent }: MdevType): MdevQueues {
    return this.#queues.get(parent.dev)!;
  }
}
