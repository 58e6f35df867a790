import {
  type AddressSpace,
  Errno,
  type EventFd,
  type FileDevice,
  type FileOperations,
  IoctlTable,
  type IrqBypass,
  type IrqBypassProducer,
  type MmapRequest,
  type Subscription,
  type Task,
  VIRTIO_STATUS,
  type VdpaDevice,
  type VqAddresses,
  type Window,
} from '../../../core/index.js';
import { VHOST } from './calls.js';

/** What `mmap` gives one of; its number, times that, is the offset. */
const PAGE_BYTES = 4096;
const { DRIVER_OK, FEATURES_OK } = VIRTIO_STATUS;

/** What the user has set for a queue. */
class Vring {
  call: EventFd | undefined = undefined;
  kicks: Subscription | undefined = undefined;
  producer: IrqBypassProducer | undefined = undefined;
}

/**
 * A vDPA device that a user has open: the rules of who may set what when, his eventfds, and his vectors, which go to his guest without the
 * host in between where that is possible.
 * @see Linux 7.2 drivers/vhost/vdpa.c
 */
export class VhostFile implements FileOperations {
  readonly ioctls: IoctlTable;
  readonly #file: FileDevice;
  readonly #vdpa: VdpaDevice;
  readonly #bypass: IrqBypass;
  readonly #space: AddressSpace;
  readonly #vrings: readonly Vring[];
  #isSuspended = false;
  /** Statuses are set one after the other. */
  #setting: Promise<void> = Promise.resolve();

  constructor(file: FileDevice, vdpa: VdpaDevice, bypass: IrqBypass, space: AddressSpace) {
    this.#file = file;
    this.#vdpa = vdpa;
    this.#bypass = bypass;
    this.#space = space;
    this.#vrings = Array.from({ length: vdpa.info.vqCount }, () => new Vring());
    this.ioctls = this.#table();
  }

  #table(): IoctlTable {
    const vdpa = this.#vdpa;
    return new IoctlTable()
      .on(VHOST.GET_INFO, () => vdpa.info)
      .on(VHOST.GET_STATUS, () => vdpa.status())
      .on(VHOST.SET_STATUS, (task, status) => this.#own(task, () => this.#setStatus(status)))
      .on(VHOST.GET_FEATURES, () => vdpa.info.features)
      .on(VHOST.SET_FEATURES, (task, features) => this.#own(task, () => this.#setFeatures(features)))
      .on(VHOST.GET_CONFIG, (_task, { offset, buffer }) => this.#getConfig(offset, buffer))
      .on(VHOST.SET_CONFIG_CALL, (task, eventfd) => this.#own(task, () => this.#setConfigCall(eventfd)))
      .on(VHOST.SET_VRING_NUM, (task, { index, value }) => this.#own(task, () => this.#setNum(index, value)))
      .on(VHOST.SET_VRING_ADDR, (task, { index, value }) => this.#own(task, () => this.#setAddress(index, value)))
      .on(VHOST.SET_VRING_ENABLE, (task, { index, value }) => this.#own(task, () => this.#setEnable(index, value)))
      .on(VHOST.SET_VRING_CALL, (task, { index, value }) => this.#own(task, () => this.#setCall(index, value)))
      .on(VHOST.SET_VRING_KICK, (task, { index, value }) => this.#own(task, () => this.#setKick(index, value)))
      .on(VHOST.SUSPEND, (task) => this.#own(task, () => this.#suspend()));
  }

  /**
   * The doorbells of a queue: at 4096 times its number.
   * @throws {Errno} EOPNOTSUPP for anything but one page; EINVAL for a private mapping; ENOBUFS when there is no such queue
   * @see Linux 7.2 vhost_vdpa_mmap
   */
  mmap(task: Task, { sizeBytes, offset = 0, shared = true }: MmapRequest): Window {
    return this.#own(task, () => {
      if (sizeBytes !== PAGE_BYTES || offset % PAGE_BYTES !== 0) {
        throw this.#refuse('EOPNOTSUPP', `a mapping of ${sizeBytes} bytes at ${offset}: the doorbells of a queue are one page`);
      }
      if (!shared) throw this.#refuse('EINVAL', 'a private mapping: doorbells are shared');
      const index = offset / PAGE_BYTES;
      this.#vring(index);
      return this.#vdpa.vqNotification(index);
    });
  }

  /** It is closed: nobody is told any more, and no vector goes to a guest. */
  end(): void {
    for (const [index, vring] of this.#vrings.entries()) {
      this.#releaseIrq(vring);
      vring.kicks?.dispose();
      this.#vdpa.setVqCallback(index, undefined);
    }
    this.#vdpa.setConfigCallback(undefined);
  }

  get #hasDriver(): boolean {
    return (this.#vdpa.status() & DRIVER_OK) !== 0;
  }

  #setStatus(status: number): Promise<void> {
    const setting = this.#setting.then(() => this.#applyStatus(status));
    this.#setting = setting.catch(() => {});
    return setting;
  }

  /** @see Linux 7.2 vhost_vdpa_set_status */
  async #applyStatus(status: number): Promise<void> {
    const vdpa = this.#vdpa;
    const old = vdpa.status();
    if (status !== 0 && (old & ~status) !== 0) {
      throw this.#refuse(
        'EINVAL',
        `status 0x${status.toString(16)} without bits of 0x${old.toString(16)}: reset it with 0 first`,
      );
    }
    if ((old & DRIVER_OK) !== 0 && (status & DRIVER_OK) === 0) this.#vrings.forEach((vring) => this.#releaseIrq(vring));
    if (status === 0) {
      this.#isSuspended = false;
      await vdpa.reset();
    } else {
      await vdpa.setStatus(status);
    }
    const isStarted = (old & DRIVER_OK) === 0 && (vdpa.status() & DRIVER_OK) !== 0;
    if (isStarted && !this.#file.isEnded) this.#vrings.forEach((vring, index) => this.#setupIrq(index, vring));
  }

  /** @see Linux 7.2 vhost_vdpa_set_features */
  #setFeatures(features: bigint): void {
    if ((this.#vdpa.status() & FEATURES_OK) !== 0) {
      throw this.#refuse('EBUSY', 'features were agreed upon: reset it first');
    }
    this.#vdpa.setDriverFeatures(features);
  }

  /** @see Linux 7.2 vhost_vdpa_config_validate */
  #getConfig(offset: number, buffer: Uint8Array): void {
    const { configBytes } = this.#vdpa.info;
    if (buffer.length === 0) throw this.#refuse('EINVAL', 'no bytes of its configuration');
    if (!(Number.isInteger(offset) && offset >= 0) || buffer.length > configBytes - offset) {
      throw this.#refuse('E2BIG', `${buffer.length} bytes of its configuration at ${offset}: it has ${configBytes}`);
    }
    this.#vdpa.getConfig(offset, buffer);
  }

  #setConfigCall(eventfd: EventFd | undefined): void {
    eventfd?.checkOpen(this.#who);
    this.#vdpa.setConfigCallback(eventfd === undefined ? undefined : () => eventfd.signal());
  }

  /** @see Linux 7.2 drivers/vhost/vhost.c vhost_vring_set_num */
  #setNum(index: number, entries: number): void {
    this.#idle(index);
    const { vqNumMax } = this.#vdpa.info;
    if (!(Number.isInteger(entries) && entries > 0 && entries <= vqNumMax && (entries & (entries - 1)) === 0)) {
      throw this.#refuse('EINVAL', `queue ${index} of ${entries} entries: must be a power of two of 1 to ${vqNumMax}`);
    }
    this.#vdpa.setVqNum(index, entries);
  }

  #setAddress(index: number, addresses: VqAddresses): void {
    this.#idle(index);
    this.#vdpa.setVqAddress(index, addresses);
  }

  /** What may not be changed while the queues work. @see Linux 7.2 vhost_vdpa_vring_ioctl */
  #idle(index: number): void {
    this.#vring(index);
    if (this.#hasDriver && !this.#isSuspended) throw this.#refuse('EINVAL', `queue ${index}: is at work: reset it first`);
  }

  async #setEnable(index: number, isReady: boolean): Promise<void> {
    this.#vring(index);
    await this.#vdpa.setVqReady(index, isReady);
  }

  /** @see Linux 7.2 vhost_vdpa_vring_ioctl VHOST_SET_VRING_CALL */
  #setCall(index: number, eventfd: EventFd | undefined): void {
    const vring = this.#vring(index);
    eventfd?.checkOpen(this.#who);
    this.#releaseIrq(vring);
    vring.call = eventfd;
    this.#vdpa.setVqCallback(index, eventfd === undefined ? undefined : () => eventfd.signal());
    if (this.#hasDriver) this.#setupIrq(index, vring);
  }

  #setKick(index: number, eventfd: EventFd | undefined): void {
    const vring = this.#vring(index);
    eventfd?.checkOpen(this.#who);
    vring.kicks?.dispose();
    vring.kicks = eventfd?.listen(() => this.#vdpa.kickVq(index));
    // What was signalled before is not lost.
    if (eventfd !== undefined && eventfd.count > 0) this.#vdpa.kickVq(index);
  }

  async #suspend(): Promise<void> {
    if (!this.#hasDriver || this.#isSuspended) return;
    this.#isSuspended = true;
    await this.#vdpa.suspend();
  }

  /** Offers the vector of a queue to who has its eventfd; without him it works as well. @see Linux 7.2 vhost_vdpa_setup_vq_irq */
  #setupIrq(index: number, vring: Vring): void {
    const { call } = vring;
    if (call === undefined) return;
    const irq = this.#irqOf(index);
    if (irq === undefined) return;
    const producer: IrqBypassProducer = { context: call, irq };
    try {
      this.#bypass.registerProducer(producer);
      vring.producer = producer;
    } catch (error) {
      const text = `vq ${index}: irq bypass producer (eventfd ${call.name}) registration fails: ${Errno.codeOf(error)}`;
      this.#file.parent!.log('info', text, 'bypass_failed');
    }
  }

  #irqOf(index: number): number | undefined {
    try {
      return this.#vdpa.vqIrq(index);
    } catch (error) {
      if (Errno.is(error, 'EOPNOTSUPP')) return undefined;
      throw error;
    }
  }

  /** @see Linux 7.2 vhost_vdpa_unsetup_vq_irq */
  #releaseIrq(vring: Vring): void {
    if (vring.producer !== undefined) this.#bypass.unregisterProducer(vring.producer);
    vring.producer = undefined;
  }

  /** @throws {Errno} ENOBUFS when there is none, as Linux says */
  #vring(index: number): Vring {
    const vring = this.#vrings[index];
    if (vring === undefined) throw this.#refuse('ENOBUFS', `has no queue ${index}: it has ${this.#vrings.length}`);
    return vring;
  }

  /** @throws {Errno} EPERM for another task than the one that opened it */
  #own<T>(task: Task, call: () => T): T {
    if (task.mm !== this.#space) {
      throw this.#refuse('EPERM', `${task.name} is not the task that has opened it: its queues are in the memory of that`);
    }
    return call();
  }

  get #who(): string {
    return this.#file.parent!.name;
  }

  #refuse(code: 'E2BIG' | 'EBUSY' | 'EINVAL' | 'ENOBUFS' | 'EOPNOTSUPP' | 'EPERM', what: string): Errno {
    return new Errno(code, `${this.#who}: ${what}`);
  }
}
