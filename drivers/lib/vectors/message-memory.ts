import {
  type Device,
  type Dma,
  type DmaBuffer,
  Errno,
  IMS_ADDRESS_HI,
  IMS_ADDRESS_LO,
  IMS_CONTROL,
  IMS_DATA,
  IMS_SLOT_BYTES,
  type ImsStore,
  type MsiMsg,
  packFields,
} from '../../../core/index.js';

const PAGE = 4096;
const SLOTS_PER_PAGE = PAGE / IMS_SLOT_BYTES;
const MASK = packFields(IMS_CONTROL, { mask: 1 });

/** Memory for a message that the caller has: beside the queue that it is of, say. */
export interface MessagePlace {
  readonly buffer: DmaBuffer;
  /** Where in there its 16 bytes begin: a multiple of 16. */
  readonly offset: number;
}

/** What belongs to one message. @internal */
export interface MessageCookie {
  readonly memory: MessagePlace | undefined;
  /** What has the device look at the message again. */
  readonly kicks: Set<() => void>;
}

/** A page of messages. */
interface Page {
  readonly buffer: DmaBuffer;
  /** Offsets of its slots that are free. */
  readonly free: number[];
}

/** One message. */
class Slot implements MessagePlace {
  isMasked = true;

  constructor(
    readonly index: number,
    readonly buffer: DmaBuffer,
    readonly offset: number,
    /** Of ours; undefined where the caller has the memory. */
    readonly page: Page | undefined,
    readonly kicks: ReadonlySet<() => void>,
  ) {}

  set control(value: number) {
    this.buffer.write32(this.offset + IMS_CONTROL.offset, value);
  }
}

const NO_KICKS: ReadonlySet<() => void> = new Set();

/**
 * A message store without table: the device is told where in memory the message of each of its queues is, and reads it there each time it
 * sends. Pages of 256 messages come when they are needed and go when they are empty.
 *
 * A message is masked while it changes, and the device is told to look once it is whole again.
 *
 * ```
 *  byte 0   address 31:0
 *       4   address 63:32
 *       8   data
 *      12   bit 0: masked
 * ```
 * @see Linux 6.2 include/linux/msi.h struct msi_instance_cookie, by which a driver finds the memory of a queue
 */
export class MessageMemory implements ImsStore<MessageCookie, Slot> {
  readonly name = 'IMS';
  readonly slots: number;
  readonly #dev: Device;
  readonly #dma: Dma;
  /** Pages that have room. */
  readonly #open = new Set<Page>();
  #pageCount = 0;
  readonly #slots: (Slot | undefined)[] = [];

  /** @param dev whose memory it is @param slots how many messages at most; 0 when memory alone limits them */
  constructor(dev: Device, dma: Dma, slots = 0) {
    this.#dev = dev;
    this.#dma = dma;
    this.slots = slots;
  }

  /** Pages that are in use. */
  get pageCount(): number {
    return this.#pageCount;
  }

  /** Where the device finds a message. @throws {Errno} ENOENT when there is none of that index */
  addressOf(index: number): number {
    const slot = this.#slots[index];
    if (slot === undefined) throw new Errno('ENOENT', `${this.#dev.name}: no message ${index}`);
    return slot.buffer.address + slot.offset;
  }

  /** @throws {Errno} EINVAL for a place that cannot be; ENOMEM */
  prepare(index: number, cookie: MessageCookie | undefined): Slot {
    const kicks = cookie?.kicks ?? NO_KICKS;
    const slot = cookie?.memory === undefined ? this.#place(index, kicks) : this.#placeAt(index, cookie.memory, kicks);
    this.#slots[index] = slot;
    slot.control = MASK;
    return slot;
  }

  mask(slot: Slot): void {
    slot.isMasked = true;
    slot.control = MASK;
  }

  unmask(slot: Slot): void {
    slot.isMasked = false;
    slot.control = 0;
    for (const kick of slot.kicks) kick();
  }

  writeMsg(slot: Slot, { addressLo, addressHi, data }: MsiMsg): void {
    const { buffer, offset } = slot;
    slot.control = MASK;
    buffer.write32(offset + IMS_ADDRESS_LO.offset, addressLo);
    buffer.write32(offset + IMS_ADDRESS_HI.offset, addressHi);
    buffer.write32(offset + IMS_DATA.offset, data);
    if (!slot.isMasked) this.unmask(slot);
  }

  state({ buffer, offset }: Slot, which: 'masked' | 'pending'): boolean {
    return which === 'masked' && (buffer.read32(offset + IMS_CONTROL.offset) & MASK) !== 0;
  }

  free({ index, page, offset }: Slot): void {
    this.#slots[index] = undefined;
    if (page === undefined) return;
    page.free.push(offset);
    if (page.free.length < SLOTS_PER_PAGE) {
      this.#open.add(page);
      return;
    }
    this.#open.delete(page);
    this.#pageCount--;
    page.buffer[Symbol.dispose]();
  }

  #place(index: number, kicks: ReadonlySet<() => void>): Slot {
    const [page = this.#newPage()] = this.#open;
    const offset = page.free.pop()!;
    if (page.free.length === 0) this.#open.delete(page);
    return new Slot(index, page.buffer, offset, page, kicks);
  }

  #newPage(): Page {
    const buffer = this.#dma.alloc(this.#dev, PAGE);
    const page = { buffer, free: Array.from({ length: SLOTS_PER_PAGE }, (_, n) => PAGE - (n + 1) * IMS_SLOT_BYTES) };
    this.#open.add(page);
    this.#pageCount++;
    return page;
  }

  #placeAt(index: number, { buffer, offset }: MessagePlace, kicks: ReadonlySet<() => void>): Slot {
    if (Number.isInteger(offset) && offset >= 0 && offset % IMS_SLOT_BYTES === 0 && offset + IMS_SLOT_BYTES <= buffer.sizeBytes) {
      return new Slot(index, buffer, offset, undefined, kicks);
    }
    const text = `a message at ${offset} of ${buffer.sizeBytes} bytes: must be at a multiple of ${IMS_SLOT_BYTES}, inside`;
    throw new Errno('EINVAL', `${this.#dev.name}: ${text}`);
  }
}
