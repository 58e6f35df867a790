import type { Driver } from '../device/index.js';
import type { MaybePromise, Token } from '../lib/index.js';
import { token } from '../lib/index.js';
import type { PciDevice } from './device.js';
import type { PciId } from './id.js';

/**
 * A driver of PCI devices.
 *
 * Everything it takes, it takes through its device, and all of it is undone at unbind. Bus mastering is off, and the device is
 * in D0, when `probe` is called.
 * @typeParam S what probe returns: the driver's state for one device
 * @typeParam T `data` of its ids
 * @example
 * ```ts
 * class EduDriver implements PciDriver<Edu> {
 *   readonly name = 'edu';
 *   readonly ids = [pciId(0x1234, 0x11e8)];
 *   probe(dev: PciDevice): Edu {
 *     return new Edu(dev.mapBar(0));
 *   }
 * }
 * ```
 * @see Linux 6.12 include/linux/pci.h struct pci_driver
 */
export interface PciDriver<S = unknown, T = unknown> extends Driver<PciDevice, S> {
  /** The devices it is for; empty for one that binds by `new_id` or `driver_override` alone. */
  readonly ids: readonly PciId<T>[];
  /** @param id the line that matched: of `new_id`, of `ids`, or `{}` when only `driver_override` named the driver */
  probe(dev: PciDevice, id: PciId<T>): MaybePromise<S>;
}

/** What a plugin binds its PCI drivers to. */
export const PciDriver: Token<PciDriver> = token<PciDriver>('PciDriver');
