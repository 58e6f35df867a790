import {
  CharDevices,
  type CharFile,
  type DeviceCore,
  type EventFd,
  type Ioctl,
  type Mmio,
  type Task,
  type VdpaInfo,
  type VqAddresses,
} from '../../../core/index.js';
import { VHOST } from './calls.js';

const PAGE_BYTES = 4096;

/**
 * A vDPA device as its user has it. Each call may be refused as `vhost-vdpa` of Linux refuses it, and gives ENODEV when the device is gone.
 * @example
 * ```ts
 * await using vdpa = await VdpaUser.open(system.core, 'vhost-vdpa-0', task);
 * await vdpa.setVringCall(0, eventfd);
 * await vdpa.setStatus(VIRTIO_STATUS.ACKNOWLEDGE | VIRTIO_STATUS.DRIVER);
 * ```
 */
export class VdpaUser implements AsyncDisposable {
  private constructor(
    /** The file that it goes by. */
    readonly file: CharFile,
    readonly info: VdpaInfo,
  ) {}

  /** @throws {Errno} ENOENT when there is no such device; EBUSY while it has a user; EINVAL for a task whose memory is no `AddressSpace` */
  static async open(core: DeviceCore, name: string, task: Task): Promise<VdpaUser> {
    const file = await CharDevices.get(core, name).open(task);
    return new VdpaUser(file, await file.ioctl(VHOST.GET_INFO, undefined));
  }

  async status(): Promise<number> {
    return this.#call(VHOST.GET_STATUS, undefined);
  }

  /** Adds bits; 0 resets it. @throws {Errno} EINVAL when bits are missing that it has */
  async setStatus(status: number): Promise<void> {
    await this.#call(VHOST.SET_STATUS, status);
  }

  /** @throws {Errno} EBUSY once FEATURES_OK is set; EOPNOTSUPP without those that it needs; EINVAL for those that it has not */
  async setFeatures(features: bigint): Promise<void> {
    await this.#call(VHOST.SET_FEATURES, features);
  }

  /** @throws {Errno} E2BIG beyond its end; EINVAL for no bytes */
  async config(offset: number, sizeBytes: number): Promise<Uint8Array> {
    const buffer = new Uint8Array(sizeBytes);
    await this.#call(VHOST.GET_CONFIG, { offset, buffer });
    return buffer;
  }

  /** Which eventfd is signalled when the configuration changes. */
  async setConfigCall(eventfd: EventFd | undefined): Promise<void> {
    await this.#call(VHOST.SET_CONFIG_CALL, eventfd);
  }

  /** @throws {Errno} ENOBUFS when there is no such queue; EINVAL for what is no size, and while it is at work */
  async setVringNum(index: number, value: number): Promise<void> {
    await this.#call(VHOST.SET_VRING_NUM, { index, value });
  }

  /** @throws {Errno} ENOBUFS when there is no such queue; EINVAL for addresses that are not aligned, and while it is at work */
  async setVringAddr(index: number, value: VqAddresses): Promise<void> {
    await this.#call(VHOST.SET_VRING_ADDR, { index, value });
  }

  async setVringEnable(index: number, value: boolean): Promise<void> {
    await this.#call(VHOST.SET_VRING_ENABLE, { index, value });
  }

  /** Which eventfd is signalled when a queue has done something; a guest that has it, too, gets the vector itself where that can be. */
  async setVringCall(index: number, value: EventFd | undefined): Promise<void> {
    await this.#call(VHOST.SET_VRING_CALL, { index, value });
  }

  /** With which eventfd its user says that there is something in a queue; he can also ring for it: {@link doorbells}. */
  async setVringKick(index: number, value: EventFd | undefined): Promise<void> {
    await this.#call(VHOST.SET_VRING_KICK, { index, value });
  }

  async suspend(): Promise<void> {
    await this.#call(VHOST.SUSPEND, undefined);
  }

  /** The page of doorbells of a queue. @throws {Errno} ENOBUFS when there is no such queue; ENODEV when the device is gone */
  doorbells(index: number): Mmio {
    return this.file.mmap({ sizeBytes: PAGE_BYTES, offset: index * PAGE_BYTES });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file.close();
  }

  async #call<A, R>(command: Ioctl<A, R>, argument: A): Promise<R> {
    return this.file.ioctl(command, argument);
  }
}
