import { Errno } from '../lib/index.js';
import type { MsiDesc, MsiDomain } from '../msi/index.js';
import type { PciIrqDevice } from './irq-device.js';

/** Fewer interrupts than were asked for can be had; caught where it is decided whether they will do. */
export class Shortage extends Errno {
  constructor(
    who: string,
    /** So many can be had. */
    readonly count: number,
    cause?: unknown,
  ) {
    super('ENOSPC', `${who}: ${count} interrupt vectors can be had`, { cause });
  }
}

/** Whether it was a level of the hierarchy that had no room, which is ENOSPC with that level's error as cause. */
export const isLevelFull = (error: unknown): boolean => Errno.is(error, 'ENOSPC') && error.cause !== undefined;

/**
 * A function whose MSI has 32-bit addresses cannot send to others.
 * @throws {Errno} EIO when the message of a descriptor is to such an address
 * @see Linux 7.2 drivers/pci/msi/msi.c msi_verify_entries
 */
export function checkMessage(dev: PciIrqDevice, { msg, index }: MsiDesc): void {
  if (msg === undefined || msg.addressHi === 0 || dev.msiAddressBits === 64) return;
  const address = msg.addressHi * 2 ** 32 + msg.addressLo;
  throw new Errno('EIO', `${dev.name}: message ${index} goes to 0x${address.toString(16)}, but the device has 32 address bits`);
}

/** Ends all slots of a domain, last first, whether or not handlers are installed: at unbind, and when setting up fails. */
export function endSlots(domain: MsiDomain, errors: unknown[]): void {
  const { devres } = domain.device;
  for (const { map, entry } of [...domain.descs('associated')].reverse()) {
    try {
      if (entry !== undefined) void devres.releaseEntry(entry);
      else map?.end();
    } catch (error) {
      errors.push(error);
    }
  }
}
