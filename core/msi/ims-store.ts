import type { MsiMsg } from '../hal/index.js';
import { Errno } from '../lib/errno.js';

/**
 * Where a device keeps its interrupt messages, and how they get there: what a driver supplies, and all of it.
 *
 * A slot is what `prepare` gives for an index; without `prepare` it is the index. Which CPU an interrupt goes to is none of its
 * business: when that is moved a new message arrives, or nothing. A slot is masked when it is allocated.
 *
 * `mask` and `unmask` also run in interrupts: they are quick, and they do not fail.
 * @see Linux 6.2 drivers/pci/msi/irqdomain.c pci_create_ims_domain
 */
export interface ImsStore<Cookie = undefined, Slot = number> {
  /** In names of chips, `IR-IMS-0000:00:05.0`; default `IMS`. */
  readonly name?: string;
  /** How many there are, 1 to 65,536; 0 when software alone limits them. */
  readonly slots: number;
  /** Whether the message is written when it is allocated, and not when the interrupt is requested. */
  readonly activateEarly?: boolean;
  /** Finds the slot of an index. @throws {Errno} when a cookie cannot be: the allocation fails with it */
  prepare?(index: number, cookie: Cookie | undefined): Slot;
  /** Nothing is sent from here until `unmask`. */
  mask(slot: Slot): void;
  unmask(slot: Slot): void;
  /** Zeros when the interrupt is not in use. */
  writeMsg(slot: Slot, msg: MsiMsg): void;
  /** Instead of `unmask` when a driver enables the interrupt; with `disable` only. With both, disabling is not lazy. */
  enable?(slot: Slot): void;
  disable?(slot: Slot): void;
  /** Instead of `mask` when the handler is freed. */
  shutdown?(slot: Slot): void;
  /** Before the callbacks of one management operation, for storage that cannot be written from an interrupt. */
  busLock?(slot: Slot): void;
  /**
   * After them: brings the storage up to date, and unlocks.
   * @throws when that failed: the interrupt has failed then, and its slot is locked and synchronised no more
   */
  busSyncUnlock?(slot: Slot): void;
  /** The slot is given back. */
  free?(slot: Slot): void;
  /** The device was reset: it holds nothing of what was synchronised. */
  invalidate?(slot: Slot): void;
  /** What the slot itself says, for those who look; without it nobody knows. */
  state?(slot: Slot, which: 'masked' | 'pending'): boolean;
  /** What the device calls the interrupt; default its index. */
  deviceVisibleId?(slot: Slot): number;
}

/** @throws {Errno} EINVAL with what is wrong with it */
export function checkStore(who: string, store: ImsStore<unknown, unknown>): void {
  if (typeof store !== 'object' || store === null) throw new Errno('EINVAL', `${who}: ${String(store)} is no message store`);
  for (const callback of ['mask', 'unmask', 'writeMsg'] as const) {
    if (typeof store[callback] !== 'function') throw new Errno('EINVAL', `${who}: its message store has no ${callback}`);
  }
  if ('setAffinity' in store) {
    throw new Errno(
      'EINVAL',
      `${who}: its message store has setAffinity, which is the parent's: a CPU move arrives as a new message`,
    );
  }
  for (const [one, other] of [
    ['busLock', 'busSyncUnlock'],
    ['enable', 'disable'],
  ] as const) {
    if ((store[one] === undefined) !== (store[other] === undefined)) {
      throw new Errno('EINVAL', `${who}: its message store has only one of ${one} and ${other}: give it both or neither`);
    }
  }
}
