import { type Dma, type DmaBuffer, Signal, type Subscription, getField, hex } from '../../core/index.js';
import { EVLCFG, EVLCFG_SIZE, EVLSTATUS, GENCFG, GENCTRL, STATUS, SWERROR } from '../../hw/regs/dsa.js';
import type { Idxd } from './idxd.js';

/** Entries: how many there are by default, and may be. @see Linux 6.12 drivers/dma/idxd/registers.h IDXD_EVL_SIZE_MIN, _MAX */
export const MIN_EVENTS = 64;
export const MAX_EVENTS = 0xffff;

/** Where the completion record is in an entry, after the words that {@link SwError} has. */
const RECORD_AT = 32;
const PENDING_WORD = EVLSTATUS.offset + 4;
const PENDING = 2 ** (EVLSTATUS.fields.pending.lsb - 32);
const RECORD_REQUESTED = 1 << 18;
const FIRST_ERROR = 1 << 19;

/** Statuses of the log alone: a drain that found records in it, and a batch. @see Linux 6.12 include/uapi/linux/idxd.h enum dsa_completion_status */
const DRAIN_EVENTS = 0x26;
export const BATCH_EVENTS = 0x27;

/** Something that the device wrote down because the user's memory for it was missing. */
export interface LoggedEvent {
  /** Of `STATUS`. */
  readonly error: number;
  /** The queue; undefined when that is not known. */
  readonly wq: number | undefined;
  readonly pasid: number;
  readonly opcode: number;
  readonly isWrite: boolean;
  readonly isBatch: boolean;
  readonly batchId: number;
  readonly batchIndex: number;
  /** Whether it is the first error of its batch. */
  readonly isFirstError: boolean;
  /** Whether the descriptor wanted a completion record. */
  readonly wantsRecord: boolean;
  /** Where the record should have gone; exact below 2^53. */
  readonly faultAddress: number;
  /** The completion record. */
  readonly record: Uint8Array;
}

/** Errors that the owner of the user's memory mends. */
const MENDED: readonly number[] = [STATUS.completionFault, DRAIN_EVENTS, BATCH_EVENTS];

/**
 * The event log: memory that the device writes errors to. It exists while the device is enabled.
 * @see Linux 6.12 drivers/dma/idxd/device.c idxd_device_evl_setup, irq.c process_evl_entries
 */
export class EventLog {
  /** Entries it is set up with, 64 to 65,535. */
  size = MIN_EVENTS;
  readonly #idxd: Idxd;
  readonly #dma: Dma;
  readonly #entries = new Signal<[LoggedEvent]>();
  readonly #events = new Signal<[LoggedEvent]>();
  readonly #status = new Uint32Array(2);
  #buffer: DmaBuffer | undefined = undefined;
  /** Entries that nobody wants any more, by number. */
  #forgotten = new Uint8Array(0);

  constructor(idxd: Idxd, dma: Dma) {
    this.#idxd = idxd;
    this.#dma = dma;
  }

  /** Calls `listener` for each entry, in interrupt context: for who has to tell somebody else. */
  onEntry(listener: (event: LoggedEvent) => void): Subscription {
    return this.#entries.on(listener);
  }

  /** Calls `listener` for each entry that its owner can mend. */
  onEvent(listener: (event: LoggedEvent) => void): Subscription {
    return this.#events.on(listener);
  }

  /** Takes memory and lets the device log, until the end of the binding of the device as a whole. @throws {Errno} ENOMEM */
  setUp(): void {
    const { regs, dev, conf, caps } = this.#idxd;
    const take = (): DmaBuffer => this.#dma.alloc(dev, this.size * caps.eventBytes);
    const buffer = conf.devres.acquire('event log', take, (memory) => this.#tearDown(memory));
    this.#buffer = buffer;
    this.#forgotten = new Uint8Array(this.size);
    regs.write(EVLCFG, buffer.address);
    regs.write(EVLCFG_SIZE, { size: this.size });
    regs.modify(GENCTRL, { evl: 1 });
    regs.modify(GENCFG, { evlEnable: 1 });
  }

  /** Reads what is new, and tells of it. */
  drain(): void {
    const { regs } = this.#idxd;
    const buffer = this.#buffer;
    if (buffer === undefined) return;
    regs.write32(PENDING_WORD, PENDING);
    for (const entry of this.#unread()) {
      if (this.#forgotten[entry] === 0) this.#tell(buffer, entry);
      this.#forgotten[entry] = 0;
    }
    regs.write32(EVLSTATUS.offset, this.#tail);
  }

  /** Drops what is logged of a queue's client that goes, and not read yet. */
  forget(wq: number, pasid: number): void {
    const buffer = this.#buffer;
    if (buffer === undefined) return;
    for (const entry of this.#unread()) {
      const event = this.#read(buffer, entry);
      if (event.wq === wq && event.pasid === pasid) this.#forgotten[entry] = 1;
    }
  }

  /** Entries between head and tail, as the device says now; none when it is gone. */
  #unread(): number[] {
    this.#idxd.regs.read64(EVLSTATUS.offset, this.#status);
    const { size } = this;
    const head = getField(EVLSTATUS.fields.head, this.#status[0]!);
    const tail = this.#tail;
    if (head >= size || tail >= size) return [];
    return Array.from({ length: (tail - head + size) % size }, (_, i) => (head + i) % size);
  }

  get #tail(): number {
    return this.#status[1]! & 0xffff;
  }

  #tell(buffer: DmaBuffer, entry: number): void {
    const event = this.#read(buffer, entry);
    const { dev } = this.#idxd;
    this.#entries.emit(event);
    if (this.#events.active && MENDED.includes(event.error)) this.#events.emit(event);
    else {
      const whose = event.wq === undefined ? 'a queue' : `queue ${event.wq}`;
      dev.log('warn', `event of ${whose}: status 0x${hex(event.error)} at 0x${hex(event.faultAddress)}`, 'event');
    }
  }

  #read(buffer: DmaBuffer, entry: number): LoggedEvent {
    const bytes = new Uint8Array(this.#idxd.caps.eventBytes);
    buffer.read(entry * bytes.length, bytes);
    const words = new Uint32Array(bytes.buffer, 0, RECORD_AT / 4);
    const { fields } = SWERROR;
    const low = words[0]!;
    const high = words[1]!;
    const info = words[3]!;
    return {
      error: getField(fields.error, low),
      wq: getField(fields.wqValid, low) === 1 ? getField(fields.wq, low) : undefined,
      pasid: (high >>> 8) & 0xf_ffff,
      opcode: high & 0xff,
      isWrite: getField(fields.isWrite, low) === 1,
      isBatch: getField(fields.batch, low) === 1,
      batchId: low >>> 24,
      batchIndex: words[2]! & 0xffff,
      isFirstError: (info & FIRST_ERROR) !== 0,
      wantsRecord: (info & RECORD_REQUESTED) !== 0,
      faultAddress: words[5]! * 2 ** 32 + words[4]!,
      record: bytes.subarray(RECORD_AT),
    };
  }

  #tearDown(buffer: DmaBuffer): void {
    const { regs } = this.#idxd;
    regs.modify(GENCFG, { evlEnable: 0 });
    regs.modify(GENCTRL, { evl: 0 });
    regs.write64(EVLCFG.offset, 0, 0);
    regs.write64(EVLCFG_SIZE.offset, 0, 0);
    this.#buffer = undefined;
    buffer[Symbol.dispose]();
  }
}
