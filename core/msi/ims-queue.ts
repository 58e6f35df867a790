import { IMS_ADDRESS_HI, IMS_ADDRESS_LO, IMS_CONTROL, IMS_DATA, type MsiMsg, NO_MSG, packFields } from '../hal/index.js';
import { Errno } from '../lib/errno.js';
import type { ImsStore } from './ims-store.js';

const MASK = packFields(IMS_CONTROL, { mask: 1 });

/** Memory of a queue that the device reads: a `DmaBuffer` is one. */
export interface QueueMemory {
  write32(offset: number, value: number): void;
}

/** Which queue a slot belongs to. */
export interface QueueCookie {
  readonly memory: QueueMemory;
  /** Where in there the 16 bytes of the slot begin; default 0. */
  readonly offset?: number;
}

/** Options of {@link imsQueue}. */
export interface ImsQueueOptions<Cookie extends QueueCookie> {
  /** In names of chips; default `IMS`. */
  readonly name?: string;
  /** Default 0: as many as there are queues. */
  readonly slots?: number;
  /**
   * Has the device read the slot's memory, and waits until it has; it may poll the clock.
   * @throws when the device does not: the queue is broken, and the interrupt has failed
   */
  kick(slot: QueueSlot<Cookie>): void;
  /** What the device calls the interrupt: the number of its queue; default the index. */
  deviceVisibleId?(slot: QueueSlot<Cookie>): number;
}

/** The slot of one queue: what it is to hold, and what the device was last told. */
export class QueueSlot<Cookie extends QueueCookie = QueueCookie> {
  msg = NO_MSG;
  isMasked = true;
  /** What the device has of it; undefined when that is not known. @internal */
  synced: { readonly msg: MsiMsg; readonly isMasked: boolean } | undefined = undefined;
  /** @internal */
  isLocked = false;

  constructor(
    readonly index: number,
    readonly cookie: Cookie,
  ) {}
}

/**
 * A message store without a table: each slot is in the memory of a queue, and what is written there counts once the device has
 * been told to read it.
 *
 * Only what the slot is to hold is changed at first. After each management operation it is compared with what the device has,
 * written to memory and made effective by `kick`, if they differ. What an interrupt has masked waits for the next one.
 * @throws {Errno} EINVAL without `kick`
 * @example `imsQueue({ kick: (slot) => commands.updateQueue(slot.cookie.queue) })`, then `domain.alloc({ cookie: { memory, queue } })`
 */
export function imsQueue<Cookie extends QueueCookie = QueueCookie>(
  options: ImsQueueOptions<Cookie>,
): ImsStore<Cookie, QueueSlot<Cookie>> {
  if (typeof options.kick !== 'function') {
    throw new Errno('EINVAL', 'ims queue: has no kick: the device would never read what is written');
  }
  return new ImsQueue(options);
}

class ImsQueue<Cookie extends QueueCookie> implements ImsStore<Cookie, QueueSlot<Cookie>> {
  readonly name: string;
  readonly slots: number;
  readonly #options: ImsQueueOptions<Cookie>;

  constructor(options: ImsQueueOptions<Cookie>) {
    this.#options = options;
    this.name = options.name ?? 'IMS';
    this.slots = options.slots ?? 0;
  }

  /** @throws {Errno} EINVAL without a queue to be in */
  prepare(index: number, cookie: Cookie | undefined): QueueSlot<Cookie> {
    if (typeof cookie?.memory?.write32 !== 'function')
      throw new Errno('EINVAL', `ims queue: slot ${index} is in no queue: allocate it with a cookie that has its memory`);
    const slot = new QueueSlot(index, cookie);
    // Masked from the start: the device may read the queue before anything is requested.
    store(slot);
    slot.synced = { msg: slot.msg, isMasked: true };
    return slot;
  }

  mask(slot: QueueSlot<Cookie>): void {
    slot.isMasked = true;
  }

  unmask(slot: QueueSlot<Cookie>): void {
    slot.isMasked = false;
  }

  writeMsg(slot: QueueSlot<Cookie>, msg: MsiMsg): void {
    slot.msg = msg;
  }

  /** @throws {Errno} EDEADLK from inside `kick` */
  busLock(slot: QueueSlot<Cookie>): void {
    if (slot.isLocked) throw new Errno('EDEADLK', `ims queue: slot ${slot.index} changed while its kick runs`);
    slot.isLocked = true;
  }

  busSyncUnlock(slot: QueueSlot<Cookie>): void {
    try {
      if (isSynced(slot)) return;
      // Until the device has read it, what it has is not known.
      slot.synced = undefined;
      const { msg, isMasked } = slot;
      store(slot);
      this.#options.kick(slot);
      slot.synced = { msg, isMasked };
    } finally {
      slot.isLocked = false;
    }
  }

  invalidate(slot: QueueSlot<Cookie>): void {
    slot.synced = undefined;
  }

  deviceVisibleId(slot: QueueSlot<Cookie>): number {
    return this.#options.deviceVisibleId?.(slot) ?? slot.index;
  }
}

function isSynced({ msg, isMasked, synced }: QueueSlot): boolean {
  if (synced === undefined || synced.isMasked !== isMasked) return false;
  const { addressLo, addressHi, data } = synced.msg;
  return msg.addressLo === addressLo && msg.addressHi === addressHi && msg.data === data;
}

/** Laid out as a slot of an array is. */
function store({ cookie, msg, isMasked }: QueueSlot): void {
  const { memory, offset = 0 } = cookie;
  memory.write32(offset + IMS_ADDRESS_LO.offset, msg.addressLo);
  memory.write32(offset + IMS_ADDRESS_HI.offset, msg.addressHi);
  memory.write32(offset + IMS_DATA.offset, msg.data);
  memory.write32(offset + IMS_CONTROL.offset, isMasked ? MASK : 0);
}
