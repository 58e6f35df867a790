import {
  AddressSpace,
  type CharOperations,
  Errno,
  type FileDevice,
  type FileOperations,
  type Iommu,
  type IrqBypass,
  type Task,
  type VdpaDevice,
  describeError,
} from '../../../core/index.js';
import { UserSeat } from './user-seat.js';
import { VhostFile } from './vhost-file.js';

/** What a {@link VhostVdpa} needs of the system. */
export interface VhostServices {
  readonly iommu: Iommu;
  readonly bypass: IrqBypass;
  /** Of a device that users come to by another interface, too. */
  readonly seat?: UserSeat;
}

/**
 * A vDPA device in the hands of one user at a time: its queues work in his address space, and nowhere else. A driver publishes it:
 * `dev.publish(CharDevices, new CharNode(dev, new VhostVdpa(vdpa, services)), 'vhost-vdpa-0')`.
 *
 * Opening it resets the device, and so does closing it, before the address space is let go. Linux waits, when the device is unbound, until
 * the user has closed it; here it is closed then.
 * @see Linux 7.2 drivers/vhost/vdpa.c vhost_vdpa_open, vhost_vdpa_release
 */
export class VhostVdpa implements CharOperations {
  readonly #vdpa: VdpaDevice;
  readonly #services: VhostServices;
  readonly #seat: UserSeat;

  constructor(vdpa: VdpaDevice, services: VhostServices) {
    this.#vdpa = vdpa;
    this.#services = services;
    this.#seat = services.seat ?? new UserSeat();
  }

  /**
   * @throws {Errno} EBUSY while it has a user; EINVAL for a task whose memory is no `AddressSpace`; as `Iommu.bindSva`; what a reset throws
   */
  async open(file: FileDevice, task: Task): Promise<FileOperations> {
    const { name } = file.parent!;
    const { mm } = task;
    if (!(mm instanceof AddressSpace)) {
      throw new Errno('EINVAL', `${name}: the memory of ${task.name} is no AddressSpace, which devices can work in`);
    }
    file.devres.acquire(
      'vhost user',
      () => this.#seat.take(name, task.name),
      () => this.#seat.leave(),
    );
    const vdpa = this.#vdpa;
    const { iommu, bypass } = this.#services;
    const { pasid } = iommu.bindSva(file, mm);
    await vdpa.reset();
    vdpa.bind(pasid);
    const user = new VhostFile(file, vdpa, bypass, mm);
    file.devres.defer('vdpa reset', () => this.#close(file, user));
    return user;
  }

  /** A device that cannot be told does nothing any more. */
  async #close(file: FileDevice, user: VhostFile): Promise<void> {
    user.end();
    try {
      await this.#vdpa.reset();
    } catch (error) {
      file.parent!.log('warn', `is not reset: ${describeError(error)}`, 'not_undone');
    }
    this.#vdpa.bind(undefined);
  }
}
