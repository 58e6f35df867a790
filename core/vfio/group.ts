import type { IommuGroup } from '../iommu/index.js';
import { isThenable } from '../lib/flow.js';
import { Errno, type MaybePromise } from '../lib/index.js';
import { VfioContainer } from './container.js';
import type { VfioDevice } from './vfio-device.js';
import type { VfioFile } from './vfio-file.js';

/** What a user can ask of a group. @see Linux 7.2 include/uapi/linux/vfio.h struct vfio_group_status */
export interface VfioGroupStatus {
  /** Nobody else has its devices. */
  readonly viable: boolean;
  readonly containerSet: boolean;
}

/**
 * Devices that are handed out together, since the IOMMU cannot tell them apart; an emulated device has one of its own.
 * @see Linux 7.2 drivers/vfio/vfio.h struct vfio_group
 */
export class VfioGroup {
  readonly devices: VfioDevice[] = [];
  /** Undefined for an emulated device, and when the last device has gone. @internal */
  iommuGroup: IommuGroup | undefined = undefined;
  /** Who has it open. @internal */
  file: VfioGroupFile | undefined = undefined;
  /** Devices of it that are bound to a container by themselves. @internal */
  directUsers = 0;
  /** @internal */
  container: VfioContainer | undefined = undefined;
  /** Its last device has gone. @internal */
  isGone = false;

  /** @internal */
  constructor(
    /** The number of the IOMMU group, or `emulated-0`. */
    readonly name: string,
  ) {}

  /** Its last device has gone: nobody keeps it from drivers any more. @see Linux 7.2 drivers/vfio/group.c vfio_device_remove_group @internal */
  end(): void {
    this.isGone = true;
    this.container?.removeGroup(this);
    this.iommuGroup = undefined;
  }
}

/** Opens devices of a group. @internal */
export interface FileMaker {
  fileOf(device: VfioDevice, isGranted: boolean): VfioFile;
}

/**
 * An open group: the older way to a device, by way of all that must be handed out with it. It is let go when it and its devices are
 * closed.
 * @see Linux 7.2 drivers/vfio/group.c vfio_group_fops
 */
export class VfioGroupFile implements AsyncDisposable {
  readonly #group: VfioGroup;
  readonly #maker: FileMaker;
  readonly #closed: (file: VfioGroupFile) => void;
  #isClosed = false;
  /** Devices that are open, or being opened. */
  #files = 0;

  /** @throws {Errno} EBUSY @internal */
  constructor(group: VfioGroup, maker: FileMaker, closed: (file: VfioGroupFile) => void) {
    const { name, file, directUsers } = group;
    if (file !== undefined) throw new Errno('EBUSY', `vfio group ${name}: is open already`);
    if (directUsers > 0) throw new Errno('EBUSY', `vfio group ${name}: a device of it was opened by itself`);
    this.#group = group;
    this.#maker = maker;
    this.#closed = closed;
    group.file = this;
  }

  /** GROUP_GET_STATUS. @throws {Errno} ENODEV when its devices have gone */
  status(): VfioGroupStatus {
    const group = this.#check();
    if (group.isGone) throw this.#gone();
    const containerSet = group.container !== undefined;
    return { viable: containerSet || (group.iommuGroup?.ownerCount ?? 0) === 0, containerSet };
  }

  /**
   * GROUP_SET_CONTAINER: takes its devices from drivers.
   * @throws {Errno} EBADF when the container is closed; EBADFD for what is none; EINVAL when it has one; ENODEV when its devices have gone;
   *   EPERM while drivers that are not for users have them, or, once the container has a type, when their messages are not isolated
   */
  setContainer(container: VfioContainer): void {
    const group = this.#check();
    if (!(container instanceof VfioContainer)) throw new Errno('EBADFD', `vfio group ${group.name}: that is no container`);
    container.checkOpen();
    if (group.container !== undefined) throw new Errno('EINVAL', `vfio group ${group.name}: has a container already`);
    if (group.isGone) throw this.#gone();
    container.addGroup(group);
  }

  /** GROUP_UNSET_CONTAINER. @throws {Errno} EINVAL without one; EBUSY while devices are open */
  unsetContainer(): void {
    const group = this.#check();
    if (group.container === undefined) throw new Errno('EINVAL', `vfio group ${group.name}: has no container`);
    if (this.#files > 0) throw new Errno('EBUSY', `vfio group ${group.name}: devices of it are open`);
    group.container.removeGroup(group);
  }

  /**
   * GROUP_GET_DEVICE_FD.
   * @throws {Errno} ENODEV when no device of it has that name; EINVAL without a container that has a type; what the driver's `open` threw
   */
  getDevice(name: string): MaybePromise<VfioFile> {
    const group = this.#check();
    const device = group.devices.find((one) => one.name === name && one.isVisible);
    if (device === undefined) throw new Errno('ENODEV', `vfio group ${group.name}: has no device ${name}`);
    const { container } = group;
    if (container?.type === undefined) {
      throw new Errno(
        'EINVAL',
        `${name}: its group has ${container === undefined ? 'no container' : 'a container without type'}`,
      );
    }
    this.#files++;
    const opened = (): VfioFile => this.#maker.fileOf(device, true);
    const failed = (error: unknown): never => {
      this.fileClosed();
      throw error;
    };
    try {
      const done = device.open(container);
      return isThenable(done) ? done.then(opened, failed) : opened();
    } catch (error) {
      return failed(error);
    }
  }

  /** Closes it; what was opened through it stays, and keeps the group. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#endWhenIdle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** A device that was opened through it is closed. @internal */
  fileClosed(): void {
    this.#files--;
    this.#endWhenIdle();
  }

  #endWhenIdle(): void {
    if (!this.#isClosed || this.#files > 0) return;
    const group = this.#group;
    group.file = undefined;
    group.container?.removeGroup(group);
    this.#closed(this);
  }

  #check(): VfioGroup {
    if (this.#isClosed) throw new Errno('EBADF', `vfio group ${this.#group.name}: the descriptor is closed`);
    return this.#group;
  }

  #gone(): Errno {
    return new Errno('ENODEV', `vfio group ${this.#group.name}: its devices have gone`);
  }
}
