import {
  type DevresHandle,
  type EmulatedDevice,
  type EmulatedIrq,
  type EmulatedRegion,
  Errno,
  type MdevDevice,
  Mmio,
  VFIO_PCI_IRQ,
  VIRTIO_STATUS,
  type VfioDevice,
  describeError,
} from '../../core/index.js';
import type { UserSeat } from '../lib/vhost/index.js';
import type { Mlx5Child } from '../mlx5/api.js';
import { VNET_CONTROL, VNET_REGIONS } from './api.js';
import { ControlPage } from './control-page.js';
import { QueueVectors } from './queue-vectors.js';
import type { Vnet } from './vnet.js';

const { DRIVER_OK, FEATURES_OK, FAILED, NEEDS_RESET } = VIRTIO_STATUS;
const { MSIX, ERR } = VFIO_PCI_IRQ;

/** What mediated devices are made of. */
export interface VnetParts {
  readonly core: Mlx5Child;
  readonly vnet: Vnet;
  readonly seat: UserSeat;
}

/**
 * The queues of a device in the hands of a VFIO user: they work in what his container maps. Interrupt `k` of MSI-X is queue `k`: a vector
 * that nobody shares, taken when he wants it, which the queue has from its next start on. A queue without one is told of by an event queue,
 * and signals the same eventfd. Tables of MSI-X, and a configuration space, are for him to show to his guest.
 */
export class VnetVfio implements EmulatedDevice {
  readonly regions: readonly EmulatedRegion[] = [
    { index: VNET_REGIONS.control, sizeBytes: VNET_REGIONS.sizeBytes },
    { index: VNET_REGIONS.doorbells, sizeBytes: VNET_REGIONS.sizeBytes, access: 'r', mmap: true },
  ];
  readonly irqs: readonly EmulatedIrq[];
  readonly #dev: MdevDevice;
  readonly #parts: VnetParts;
  readonly #control: ControlPage;
  readonly #vectors: QueueVectors;
  #vfio: VfioDevice | undefined = undefined;
  /** In the ledger behind what the queues use: they stop first. */
  #running: DevresHandle | undefined = undefined;
  /** Statuses are set one after the other. */
  #last: Promise<void> = Promise.resolve();
  #pending = 0;
  #shown = 0;

  constructor(dev: MdevDevice, parts: VnetParts) {
    this.#dev = dev;
    this.#parts = parts;
    this.#control = new ControlPage(parts.vnet);
    this.#vectors = new QueueVectors(parts.core, dev);
    const take = (k: number): number => this.#vectors.take(k);
    const give = (k: number): void => this.#vectors.give(k);
    this.irqs = [
      { index: MSIX, count: parts.vnet.info.vqCount, take, give },
      { index: ERR, count: 1 },
    ];
  }

  /** What it was registered as. */
  registered(vfio: VfioDevice): void {
    this.#vfio = vfio;
  }

  /** @throws {Errno} EBUSY while the device has another user */
  async open(): Promise<void> {
    const { vnet, seat } = this.#parts;
    seat.take(this.#dev.mdevParent.dev.name, this.#dev.name);
    await vnet.reset();
    const vfio = this.#vfio!;
    vnet.bind(vfio.pasid, this.#vectors.of);
    for (let k = 0; k < vnet.info.vqCount; k++) vnet.setVqCallback(k, () => vfio.signal(MSIX, k));
    vnet.setConfigCallback(() => {
      if ((vnet.status() & NEEDS_RESET) !== 0) vfio.signal(ERR, 0);
    });
  }

  /** His queues stop before he loses his vectors. */
  async close(): Promise<void> {
    const { vnet, seat } = this.#parts;
    await this.reset();
    for (let k = 0; k < vnet.info.vqCount; k++) vnet.setVqCallback(k, undefined);
    vnet.setConfigCallback(undefined);
    vnet.bind(undefined);
    seat.leave();
  }

  reset(): Promise<void> {
    return this.#inOrder(() => this.#stop());
  }

  readRegion(region: number, offset: number, bytes: 1 | 2 | 4): number {
    return region === VNET_REGIONS.control ? this.#control.read(offset, bytes, this.#status) : 0;
  }

  writeRegion(_region: number, offset: number, bytes: 1 | 2 | 4, value: number): void {
    if (offset === VNET_CONTROL.status) void this.#inOrder(() => this.#setStatus(value));
    else this.#control.write(offset, bytes, value);
  }

  mmap(): Mmio {
    return new Mmio(this.#parts.vnet.vqNotification(), `${this.#dev.name}: doorbells`);
  }

  get #status(): number {
    return this.#pending > 0 ? this.#shown : this.#parts.vnet.status();
  }

  #inOrder(step: () => Promise<void>): Promise<void> {
    if (this.#pending++ === 0) this.#shown = this.#parts.vnet.status();
    const done = this.#last.then(step).finally(() => void this.#pending--);
    this.#last = done.catch(() => {});
    return done;
  }

  async #setStatus(status: number): Promise<void> {
    if (status === 0) return this.#stop();
    const { vnet } = this.#parts;
    const gained = status & ~vnet.status();
    try {
      if ((gained & FEATURES_OK) !== 0) vnet.setDriverFeatures(this.#control.features);
      if ((gained & DRIVER_OK) !== 0) await this.#start(status);
      else await vnet.setStatus(status);
    } catch (error) {
      this.#dev.log('err', `status 0x${status.toString(16)}: ${describeError(error)}`, 'not_started');
      await vnet.setStatus((status & ~(gained & (FEATURES_OK | DRIVER_OK))) | FAILED);
    }
  }

  async #start(status: number): Promise<void> {
    const { vnet } = this.#parts;
    for (let k = 0; k < vnet.info.vqCount; k++) await this.#setQueue(k);
    const running = this.#dev.devres.defer('virtqueues', () => this.#end());
    this.#vectors.use();
    await vnet.setStatus(status);
    if ((vnet.status() & DRIVER_OK) !== 0) {
      this.#running = running;
      return;
    }
    running.forget();
    this.#vectors.settle();
  }

  /** @throws {Errno} EINVAL for what no queue can be made of */
  async #setQueue(index: number): Promise<void> {
    const { vnet } = this.#parts;
    const control = this.#control;
    const entries = control.entries(index);
    if (entries > vnet.info.vqNumMax || (entries & (entries - 1)) !== 0) {
      const text = `queue ${index} of ${entries} entries: must be a power of two, at most ${vnet.info.vqNumMax}`;
      throw new Errno('EINVAL', `${this.#dev.name}: ${text}`);
    }
    vnet.setVqNum(index, entries);
    if (entries === 0) return;
    vnet.setVqAddress(index, control.addresses(index));
    await vnet.setVqReady(index, control.isEnabled(index));
  }

  async #stop(): Promise<void> {
    if (this.#running?.held === true) await this.#running.release();
    else await this.#parts.vnet.reset();
    this.#control.clear();
  }

  /** Queues work no more. */
  async #end(): Promise<void> {
    this.#running = undefined;
    await this.#parts.vnet.reset();
    this.#vectors.settle();
  }
}
