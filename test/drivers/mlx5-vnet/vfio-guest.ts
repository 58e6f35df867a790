import {
  Errno,
  type Kernel,
  type MdevDevice,
  type Mmio,
  VFIO_PCI_IRQ,
  VIRTIO_FEATURES,
  type VfioContainer,
  type VfioFile,
  type VqAddresses,
} from '../../../core/index.js';
import { VNET_CONTROL, VNET_REGIONS, configBytes } from '../../../drivers/mlx5-vnet/api.js';
import { STARTED } from './fixture.js';
import { LOG_SIZE, PACKETS, PACKET_BYTES, QueueUser, RINGS, RING_STRIDE } from './queue-user.js';
import { PAGE, type UserMemory } from './user-memory.js';

const { MSIX } = VFIO_PCI_IRQ;
const { control, doorbells } = VNET_REGIONS;
export const NEEDED = VIRTIO_FEATURES.VERSION_1 | VIRTIO_FEATURES.ACCESS_PLATFORM;

/** A system with sub-functions for users of VFIO. */
export interface VfioBench {
  readonly kernel: Kernel;
  user(name: string): UserMemory;
  settle(us: number): Promise<void>;
}

/** The name of the mediated device of sub-function `n`. */
export const uuidOf = (n: number): string => `83b8f4f2-509f-382f-3c1e-e6bfe0fa100${n}`;

/** Makes a mediated device of sub-function `n`. */
export async function createMdev(bench: VfioBench, n: number, uuid = uuidOf(n)): Promise<MdevDevice> {
  const { mdev } = bench.kernel;
  const parent = mdev.parents.find(({ dev }) => dev.name === `mlx5_core.vnet.${n + 1}`);
  if (parent === undefined) throw new Errno('ENODEV', `sub-function ${n} is no parent`);
  return mdev.create(parent.type('queues')!, uuid);
}

/** A user who has the queues of a device by VFIO. Devices say the addresses that he says. */
export class VfioGuest extends QueueUser implements AsyncDisposable {
  #page: Mmio | undefined = undefined;

  private constructor(
    readonly bench: VfioBench,
    readonly dev: MdevDevice,
    readonly file: VfioFile,
    readonly container: VfioContainer,
    memory: UserMemory,
  ) {
    super(memory);
  }

  /** Opens the mediated device of sub-function `n`, which is made when it is not there. */
  static async open(bench: VfioBench, n: number, name = `vfio${n}`): Promise<VfioGuest> {
    const { mdev, vfio } = bench.kernel;
    const dev = mdev.find(uuidOf(n)) ?? (await createMdev(bench, n));
    const memory = bench.user(name);
    const container = vfio.container(memory.space);
    const file = vfio.openDevice(dev.name);
    try {
      await file.bind(container);
    } catch (error) {
      await file.close();
      throw error;
    }
    return new VfioGuest(bench, dev, file, container, memory);
  }

  get queueCount(): number {
    return this.read(VNET_CONTROL.queueCount);
  }

  get status(): number {
    return this.read(VNET_CONTROL.status);
  }

  read(offset: number): number {
    const bytes = new Uint8Array(4);
    this.file.read(control, offset, bytes);
    return new DataView(bytes.buffer).getUint32(0, true);
  }

  write(offset: number, value: number): void {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    this.file.write(control, offset, bytes);
  }

  /** @param value 64 bits */
  writeLong(offset: number, value: bigint): void {
    this.write(offset, Number(value & 0xffff_ffffn));
    this.write(offset + 4, Number(value >> 32n));
  }

  /** Sets the status, and waits until that is done. @returns what it is then */
  async setStatus(status: number): Promise<number> {
    this.write(VNET_CONTROL.status, status);
    await this.bench.settle(100);
    return this.status;
  }

  /** Gives vectors from `start` on the eventfds of their queues. @returns as `VfioFile.setIrqs` */
  enable(count = this.queueCount, start = 0): number {
    const eventfds = Array.from({ length: count }, (_, n) => this.queues[start + n]!.call);
    return this.file.setIrqs({ index: MSIX, action: 'trigger', start, count, eventfds });
  }

  /** Gives all vectors up. */
  disable(): number {
    return this.file.setIrqs({ index: MSIX, action: 'trigger', start: 0, count: 0 });
  }

  /** Makes the rings of all queues, maps them, and says where they are. @param first the others before it are not to be made */
  setUp(first = 0): void {
    const count = this.queueCount;
    const isNew = this.queues.length === 0;
    if (isNew) this.mapPackets(count);
    for (let index = 0; index < count; index++) {
      const addresses = this.makeQueue(index);
      if (index >= first) this.#setQueue(index, addresses);
    }
    this.writeLong(VNET_CONTROL.driverFeatures, NEEDED);
    if (!isNew) return;
    const map = (iova: number, sizeBytes: number): void =>
      this.container.map({ iova, vaddr: iova, sizeBytes, read: true, write: true });
    for (let index = 0; index < count; index++) map(RINGS + index * RING_STRIDE, 3 * PAGE);
    map(PACKETS, count * 2 ** LOG_SIZE * PACKET_BYTES);
  }

  #setQueue(index: number, { descriptor, driver, device }: VqAddresses): void {
    const at = VNET_CONTROL.queue(index);
    this.write(at + VNET_CONTROL.size, 1 << LOG_SIZE);
    this.write(at + VNET_CONTROL.enabled, 1);
    this.writeLong(at + VNET_CONTROL.descriptor, BigInt(descriptor));
    this.writeLong(at + VNET_CONTROL.driver, BigInt(driver));
    this.writeLong(at + VNET_CONTROL.device, BigInt(device));
  }

  /** With DRIVER_OK. @returns the status */
  async run(): Promise<number> {
    const status = await this.setStatus(STARTED);
    const config = new Uint8Array(configBytes(this.queueCount));
    this.file.read(control, VNET_CONTROL.config, config);
    this.started(config);
    return status;
  }

  /** Vectors first, as a driver does, and then all queues. @returns the status */
  async start(): Promise<number> {
    this.setUp();
    this.enable();
    return this.run();
  }

  override doorbells(): Mmio {
    return (this.#page ??= this.file.mmap(doorbells, 0, PAGE));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file.close();
    this.container.close();
  }
}
