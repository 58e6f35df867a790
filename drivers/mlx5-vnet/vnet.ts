import {
  type Device,
  type DevresGroup,
  Errno,
  VIRTIO_FEATURES,
  VIRTIO_ID,
  VIRTIO_STATUS,
  type VdpaDevice,
  type VdpaInfo,
  type VqAddresses,
  type Window,
  describeError,
} from '../../core/index.js';
import { NIC_VENDOR } from '../../hw/regs/nic.js';
import { ReceiveTable, Tir, UserPage, setRxTir } from '../lib/mlx5/index.js';
import type { Mlx5Child, Mlx5Uar, Mlx5Vector } from '../mlx5/api.js';
import { NetConfig } from './net-config.js';
import { Virtqueue, checkAddresses } from './virtqueue.js';

const { DRIVER_OK, FAILED, NEEDS_RESET } = VIRTIO_STATUS;
const FEATURES = Object.values(VIRTIO_FEATURES).reduce((all, feature) => all | feature, 0n);
/** A user's addresses are those of an IOMMU, and his entries not those of the first virtio. */
const REQUIRED = VIRTIO_FEATURES.ACCESS_PLATFORM | VIRTIO_FEATURES.VERSION_1;
const MAX_ENTRIES = 4096;
const PAGE_BYTES = 4096;
/** Spreads both directions of a flow to the same queue. */
const HASH_KEY = Uint8Array.from({ length: 40 }, (_, n) => (n % 2 === 0 ? 0x6d : 0x5a));

/** Which vector a queue has for itself. */
export type VectorOf = (index: number) => Mlx5Vector | undefined;

/** What a {@link Vnet} is made of. */
export interface VnetSetup {
  readonly dev: Device;
  readonly core: Mlx5Child;
  /** By which its user rings: nobody else does. */
  readonly uar: Mlx5Uar;
  readonly pairs: number;
  readonly config: NetConfig;
}

/**
 * A network device whose queues are those of the adapter, in the memory of one user. With DRIVER_OK they are made, each with an interrupt
 * of its own as long as there are any, and what comes to the function's port is theirs; a reset undoes that.
 * @see Linux 7.2 drivers/vdpa/mlx5/net/mlx5_vnet.c
 */
export class Vnet implements VdpaDevice {
  readonly info: VdpaInfo;
  readonly #setup: VnetSetup;
  readonly #page: UserPage;
  readonly #queues: readonly Virtqueue[];
  /** All that was made with DRIVER_OK. */
  #running: DevresGroup | undefined = undefined;
  #table: ReceiveTable | undefined = undefined;
  #pasid: number | undefined = undefined;
  #vectorOf: VectorOf | undefined = undefined;
  #features = 0n;
  #status = 0;
  /** What takes time is done one after the other. */
  #last: Promise<void> = Promise.resolve();

  constructor(setup: VnetSetup) {
    this.#setup = setup;
    this.#page = new UserPage(setup.uar);
    this.#queues = Array.from({ length: 2 * setup.pairs }, (_, index) => new Virtqueue(index, () => this.needsReset()));
    this.info = {
      deviceId: VIRTIO_ID.net,
      vendorId: NIC_VENDOR,
      vqCount: this.#queues.length,
      vqNumMax: MAX_ENTRIES,
      vqAlignBytes: PAGE_BYTES,
      configBytes: setup.config.sizeBytes,
      features: setup.pairs > 1 ? FEATURES : FEATURES & ~VIRTIO_FEATURES.NET_MQ,
    };
  }

  /** Its user has to begin anew; he is told. */
  needsReset(): void {
    if ((this.#status & DRIVER_OK) === 0 || (this.#status & NEEDS_RESET) !== 0) return;
    this.#status |= NEEDS_RESET;
    this.#setup.config.changed();
  }

  /** @param vectorOf the vectors that its user has taken, and requests himself; absent: it takes one for each queue with DRIVER_OK */
  bind(pasid: number | undefined, vectorOf?: VectorOf): void {
    this.#pasid = pasid;
    this.#vectorOf = vectorOf;
  }

  driverFeatures(): bigint {
    return this.#features;
  }

  /** @see Linux 7.2 mlx5_vnet.c mlx5_vdpa_set_driver_features */
  setDriverFeatures(features: bigint): void {
    if ((features & REQUIRED) !== REQUIRED) {
      throw new Errno('EOPNOTSUPP', `${this.#name}: features 0x${features.toString(16)} without 0x${REQUIRED.toString(16)}`);
    }
    if ((features & ~this.info.features) !== 0n) {
      throw new Errno('EINVAL', `${this.#name}: features 0x${features.toString(16)}: has 0x${this.info.features.toString(16)}`);
    }
    this.#features = features;
  }

  status(): number {
    return this.#status;
  }

  /** @see Linux 7.2 mlx5_vnet.c mlx5_vdpa_set_status */
  setStatus(status: number): Promise<void> {
    return this.#inOrder(async () => {
      const starts = (status & DRIVER_OK) !== 0 && this.#running === undefined;
      if (starts && !(await this.#tryStart())) this.#status = (status & ~DRIVER_OK) | FAILED;
      else this.#status |= status;
    });
  }

  reset(): Promise<void> {
    return this.#inOrder(async () => {
      this.#status = 0;
      this.#features = 0n;
      await this.#stop();
      this.#queues.forEach((queue) => queue.reset());
    });
  }

  suspend(): Promise<void> {
    return this.#inOrder(async () => {
      for (const queue of this.#queues) await queue.suspend();
    });
  }

  getConfig(offset: number, buffer: Uint8Array): void {
    this.#setup.config.read(offset, buffer);
  }

  generation(): number {
    return this.#setup.config.generation;
  }

  setConfigCallback(callback: (() => void) | undefined): void {
    this.#setup.config.callback = callback;
  }

  setVqAddress(index: number, addresses: VqAddresses): void {
    checkAddresses(this.#name, index, addresses, PAGE_BYTES);
    this.#queues[index]!.addresses = addresses;
  }

  setVqNum(index: number, entries: number): void {
    this.#queues[index]!.entries = entries;
  }

  setVqReady(index: number, isReady: boolean): Promise<void> {
    return this.#inOrder(async () => {
      await this.#queues[index]!.setReady(isReady);
      await this.#table?.set(this.#tableQueues());
    });
  }

  vqReady(index: number): boolean {
    return this.#queues[index]!.isReady;
  }

  setVqCallback(index: number, callback: (() => void) | undefined): void {
    this.#queues[index]!.callback = callback;
  }

  kickVq(index: number): void {
    this.#queues[index]!.kick(this.#setup.uar);
  }

  vqNotification(): Window {
    return this.#page;
  }

  /** @see Linux 7.2 mlx5_vnet.c mlx5_get_vq_irq */
  vqIrq(index: number): number {
    const queue = this.#queues[index];
    if (queue === undefined) throw new Errno('EINVAL', `${this.#name}: has no queue ${index}: it has ${this.#queues.length}`);
    if (queue.vector === undefined) throw new Errno('EOPNOTSUPP', `${this.#name}: queue ${index} has no interrupt of its own`);
    return queue.vector.virq;
  }

  /** It is in the log why not. @see Linux 7.2 mlx5_vnet.c setup_driver */
  async #tryStart(): Promise<boolean> {
    const { dev } = this.#setup;
    this.#running = dev.devres.group('virtqueues');
    try {
      await this.#start();
      this.#running.close();
      return true;
    } catch (error) {
      dev.log('err', `queues are not started: ${describeError(error)}`, 'not_started');
      await this.#stop();
      return false;
    }
  }

  async #start(): Promise<void> {
    const { dev, core, uar, config } = this.#setup;
    const pasid = this.#pasid;
    if (pasid === undefined) throw new Errno('EINVAL', 'nobody has said whose memory they are in');
    const wanted = this.#queues.filter(({ entries }) => entries > 0);
    const vectorOf = this.#vectorOf;
    const isRequested = vectorOf !== undefined;
    const vectors = isRequested ? wanted.map(({ index }) => vectorOf(index)) : this.#takeVectors(wanted);
    for (const [n, queue] of wanted.entries()) {
      await queue.start({ dev, core, uar, pasid, vector: vectors[n], isRequested });
      config.setQueue(queue.index, queue.wq!.number, queue.cq!.number);
    }
    if (wanted.some(({ sends }) => !sends)) await this.#steer();
  }

  /** One for each, as far as there are any. @see Linux 7.2 mlx5_vnet.c allocate_irqs */
  #takeVectors(wanted: readonly Virtqueue[]): Mlx5Vector[] {
    const { dev, core } = this.#setup;
    const vectors: Mlx5Vector[] = [];
    for (const { index } of wanted) {
      try {
        vectors.push(core.requestDedicated(dev, { name: `${dev.name}-vq-${index}` }));
      } catch (error) {
        if (!Errno.is(error, 'ENOSPC')) throw error;
        dev.log('info', `queues from ${index} on are told of by event queues: ${error.text}`, 'event_mode');
        break;
      }
    }
    return vectors;
  }

  /** What comes to the port goes to the queues that receive, one for each flow. */
  async #steer(): Promise<void> {
    const { dev, core } = this.#setup;
    this.#table = await ReceiveTable.create(core, dev, this.#tableQueues());
    const tir = await Tir.create(core, dev, { table: this.#table.number, key: HASH_KEY });
    await setRxTir(core, dev, tir);
  }

  /** Those that are ready, as often as the table needs; without one, what comes is lost. */
  #tableQueues(): number[] {
    const made = this.#queues.filter(({ sends, wq }) => !sends && wq !== undefined);
    const ready = made.filter(({ isReady }) => isReady);
    const chosen = ready.length > 0 ? ready : made;
    const size = 2 ** Math.ceil(Math.log2(this.#setup.pairs));
    return Array.from({ length: size }, (_, n) => chosen[n % chosen.length]!.wq!.number);
  }

  /** Gives it all back; harmless when there is nothing. */
  async #stop(): Promise<void> {
    const running = this.#running;
    this.#running = this.#table = undefined;
    for (const queue of this.#queues) {
      queue.stopped();
      this.#setup.config.setQueue(queue.index, 0, 0);
    }
    try {
      if (running?.live === true) await running.release();
    } catch (error) {
      // All was tried: what a device that does not answer has of it, it has no use for.
      this.#setup.dev.log('warn', `queues are not given back: ${describeError(error)}`, 'not_undone');
    }
  }

  #inOrder(step: () => Promise<void>): Promise<void> {
    const done = this.#last.then(step);
    this.#last = done.catch(() => {});
    return done;
  }

  get #name(): string {
    return this.#setup.dev.name;
  }
}
