import type { Device, Driver } from '../device/index.js';
import type { MaybePromise } from '../lib/index.js';
import type { MdevDevice } from './mdev-device.js';
import type { MdevType } from './mdev-parent.js';

/**
 * A driver of mediated devices, with what the core must know to create them. It is handed to `MdevBus.registerParent`, and is on the
 * bus as long as it has parents; a plugin need not bind it.
 *
 * @typeParam S what probe returns: the driver's state for one mediated device
 * @example
 * ```ts
 * class PortDriver implements MdevDriver<Port> {
 *   readonly name = 'port_mdev';
 *   readonly deviceApi = 'vfio-pci';
 *   readonly maxInstances = 4;
 *   constructor(@inject(Vfio) private readonly vfio: Vfio) {}
 *
 *   probe(dev: MdevDevice): Port {
 *     const port = new Port();
 *     this.vfio.registerEmulated(dev, port);
 *     return port;
 *   }
 * }
 * ```
 * @see Linux 7.2 include/linux/mdev.h struct mdev_driver
 */
export interface MdevDriver<S = unknown> extends Driver<MdevDevice, S> {
  /** How users talk to the device: `vfio-pci`. */
  readonly deviceApi: string;
  /** How many devices a parent can have at most, all its types together, unless {@link getAvailable} says it. */
  readonly maxInstances: number;
  /**
   * What the next device of a type is made of: the parent, which is the default, or a device that the parent's driver has added. When that is
   * unbound, what is made of it goes first.
   * @throws what refuses the creation, before anything has come of it
   */
  makerOf?(type: MdevType): Device;
  /** Makes the device; what it throws undoes its creation. */
  probe(dev: MdevDevice): MaybePromise<S>;
  /** Called when the device has no user any more. */
  remove?(dev: MdevDevice, state: S): MaybePromise<void>;
  /** How many more devices of a type can be created. */
  getAvailable?(type: MdevType): number;
  /** The text of `description`; with its final newline. */
  showDescription?(type: MdevType): string;
}
