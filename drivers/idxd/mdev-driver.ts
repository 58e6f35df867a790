import {
  type Device,
  Errno,
  Iommu,
  MdevBus,
  type MdevDevice,
  type MdevDriver,
  type MdevParent,
  type MdevType,
  Vfio,
  inject,
  injectable,
} from '../../core/index.js';
import { CMD_STATUS } from './cmd-status.js';
import { DSA_BUS, type IdxdSubDriver } from './dsa-bus.js';
import { SharedQueue } from './mdev/shared-queue.js';
import { VirtualDevice } from './mdev/virtual-device.js';
import { type Wq, wqOperand } from './wq.js';
import { enableWq, matchDriver } from './wq-enable.js';

/**
 * The driver of queues that are handed out as virtual devices: each such queue is a parent of mediated devices, of one type. A dedicated
 * queue makes one device, `1dwq-v1`; a shared one as many as its threshold has descriptors, `1swq-v1`.
 * @see `mdev/virtual-device.ts` for what they are
 */
@injectable()
export class MdevQueueDriver implements IdxdSubDriver<Wq, MdevParent> {
  readonly name = 'mdev';
  readonly bus = DSA_BUS;
  readonly types = ['wq'] as const;
  readonly #devices: VirtualDeviceDriver;

  constructor(
    @inject(MdevBus) private readonly mdevs: MdevBus,
    @inject(Vfio) vfio: Vfio,
    @inject(Iommu) private readonly iommu: Iommu,
  ) {
    this.#devices = new VirtualDeviceDriver(vfio);
  }

  /**
   * @throws {Errno} ENODEV when the queue is another driver's; EOPNOTSUPP where there are no address spaces, no message store, or the queue's
   *   cannot be set; ENXIO for whatever else keeps it from being enabled. `cmd_status` says what
   */
  probe(wq: Wq): Promise<MdevParent> {
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

  async #open(wq: Wq): Promise<MdevParent> {
    const { idxd, wqType, mode } = wq;
    wq.wqType = 'mdev';
    try {
      await enableWq(wq);
      // Nobody has its address space yet: each user enables it for his own.
      if (mode === 'dedicated') await idxd.commands.run('disableWq', wqOperand(wq));
      this.#devices.adopt(wq);
      const name = `1${mode === 'dedicated' ? 'd' : 's'}wq-v${idxd.caps.version >>> 8}`;
      const parent = this.mdevs.registerParent(wq, this.#devices, [{ name, prettyName: `DSA, 1 ${mode} work queue` }]);
      idxd.cmdStatus = 0;
      return parent;
    } catch (error) {
      wq.wqType = wqType;
      throw error;
    }
  }
}

/** The driver of virtual devices; its state is the {@link VirtualDevice}. */
export class VirtualDeviceDriver implements MdevDriver<VirtualDevice> {
  readonly name = 'idxd_mdev';
  readonly deviceApi = 'vfio-pci';
  readonly maxInstances = Number.MAX_SAFE_INTEGER;
  readonly #queues = new WeakMap<Device, SharedQueue>();

  constructor(private readonly vfio: Vfio) {}

  /** Lets a queue be a parent, until its binding ends. */
  adopt(wq: Wq): void {
    const queue = wq.devres.acquire(
      'events',
      () => new SharedQueue(wq),
      (it) => it[Symbol.dispose](),
    );
    this.#queues.set(wq, queue);
  }

  getAvailable({ parent, devices }: MdevType): number {
    return Math.max(this.#most(parent) - devices.length, 0);
  }

  /** @throws {Errno} EUSERS when the queue has no room for one more */
  probe(dev: MdevDevice): VirtualDevice {
    const { mdevType, mdevParent } = dev;
    const queue = this.#queueOf(mdevParent);
    const { wq } = queue;
    const most = this.#most(mdevParent);
    if (mdevType.devices.length > most) {
      throw new Errno('EUSERS', `${wq.name}: ${most} of ${most} mediated devices exist: remove one first`);
    }
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

  /** How many devices a queue makes at most. */
  #most(parent: MdevParent): number {
    const { mode, threshold } = this.#queueOf(parent).wq;
    return mode === 'dedicated' ? 1 : threshold;
  }

  #queueOf({ dev }: MdevParent): SharedQueue {
    return this.#queues.get(dev)!;
  }
}
