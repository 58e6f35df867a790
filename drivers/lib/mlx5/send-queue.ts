import type { Device } from '../../../core/index.js';
import { DATA, UAR_SQ_DOORBELLS, WQE, WQE_CQ_UPDATE, WQE_OPCODES, WQ_RECORD } from '../../../hw/regs/nic.js';
import { OPCODES } from '../../../hw/regs/nic-commands.js';
import { WQC, WQ_CONTEXT } from '../../../hw/regs/nic-contexts.js';
import { setWord } from '../../../hw/regs/nic-words.js';
import type { QueueOwner } from './queue-owner.js';
import { WorkQueue, type WqKind, type WqOptions, checkLogSize } from './work-queue.js';

const UNIT_WORDS = WQE.unitBytes / 4;
const LOG_UNIT = 6;
const SEGMENTS_PER_UNIT = WQE.unitBytes / WQE.segmentBytes;
const DATA_WORDS = DATA.sizeBytes / 4;
const [BYTE_COUNT, KEY, ADDRESS_LO, ADDRESS_HI] = [DATA.byteCount / 4, DATA.key / 4, DATA.addressLo / 4, DATA.addressHi / 4];
const HIGH = 2 ** 32;
const [DOORBELL] = UAR_SQ_DOORBELLS;
const RECORD_WORD = WQ_RECORD.send / 4;
const LEAVES_VALID = 2 ** 31;
const COUNTER_MASK = 0xffff;
const KIND: WqKind = {
  name: 'sq',
  create: OPCODES.CREATE_SQ,
  modify: OPCODES.MODIFY_SQ,
  destroy: OPCODES.DESTROY_SQ,
  logStride: LOG_UNIT,
};
/** Binary logarithms of the units of a send queue. @see Linux 7.2 en.h MLX5E_PARAMS_MINIMUM_LOG_SQ_SIZE, ...MAXIMUM... */
export const LOG_SQ = { min: 6, max: 13, default: 10 } as const;
/** Segments in front of the data. */
const HEADER_SEGMENTS = WQE.data / WQE.segmentBytes;

/** What a send queue is to be. */
export interface SqOptions extends WqOptions {
  /** The port that packets leave by instead of the function's own: of a manager alone. */
  readonly leavesBy?: number;
}

/**
 * A queue of packets to be sent. An entry is as many units of 64 bytes as it needs, and never straddles the end of the ring: what is left
 * there is filled with entries that do nothing.
 *
 * ```
 *   const at = sq.begin(1);  sq.data(at, 0, address, bytes);  sq.end(at, 1);  ...  sq.notify();
 * ```
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/en/txrx.h
 */
export class SendQueue extends WorkQueue {
  /** Units that were posted. */
  producer = 0;
  /** Units that were retired. */
  consumer = 0;
  /** Entries that do nothing. */
  nops = 0;
  /** Packets that were retired, and their bytes. */
  packets = 0;
  bytes = 0;
  /** Word index of the control segment of the last entry; -1 when the device knows of it. */
  #last = -1;
  /** By unit where an entry begins: its units, and the bytes of its packet; 0 for none. */
  readonly #units: Uint8Array;
  readonly #bytes: Int32Array;

  /** Makes one, in state reset. Managed. @throws {Errno} ERANGE for its size; as the command */
  static async create(owner: QueueOwner, dev: Device, options: SqOptions): Promise<SendQueue> {
    checkLogSize(dev, 'send queue', options.logSize, LOG_SQ.min, LOG_SQ.max);
    const { leavesBy } = options;
    return new SendQueue(owner, dev, KIND, options).make(dev, options, (input) => {
      if (leavesBy !== undefined) setWord(input, WQC.leavesBy, LEAVES_VALID + leavesBy, WQ_CONTEXT);
    });
  }

  private constructor(owner: QueueOwner, dev: Device, kind: WqKind, options: SqOptions) {
    super(owner, dev, kind, options);
    this.#units = new Uint8Array(this.size);
    this.#bytes = new Int32Array(this.size);
  }

  /** Units that are free. @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/en/txrx.h mlx5e_wqc_has_room_for */
  room(): number {
    return this.size - (this.producer - this.consumer);
  }

  /** Room with which an entry of so many units fits wherever it begins. @see Linux 7.2 en/txrx.h mlx5e_stop_room_for_wqe */
  stopRoom(units: number): number {
    return 2 * units - 1;
  }

  /**
   * Begins an entry; there must be {@link stopRoom} for it.
   * @param segments of data
   * @returns the index of its first word in {@link words}
   */
  begin(segments: number): number {
    const units = unitsOf(segments);
    const left = this.size - (this.producer & this.mask);
    if (left < units) for (let n = 0; n < left; n++) this.#nop();
    return (this.producer & this.mask) * UNIT_WORDS;
  }

  /** Sets a data segment of the entry that was begun at `at`. @param n which, from 0 on */
  data(at: number, n: number, address: number, bytes: number): void {
    const { words } = this;
    const to = at + (HEADER_SEGMENTS + n) * DATA_WORDS;
    words.set(to + BYTE_COUNT, bytes);
    words.set(to + KEY, 0);
    words.set(to + ADDRESS_LO, address);
    words.set(to + ADDRESS_HI, Math.floor(address / HIGH));
  }

  /** Says where the data of an entry is that has one segment, and begins at unit `index`. It stays so: such an entry needs {@link setBytes}. */
  setBuffer(index: number, address: number): void {
    this.data(index * UNIT_WORDS, 0, address, 0);
  }

  /** Sets how long the data is, of the entry that was begun at `at`: see {@link setBuffer}. */
  setBytes(at: number, bytes: number): void {
    this.words.set(at + HEADER_SEGMENTS * DATA_WORDS + BYTE_COUNT, bytes);
  }

  /**
   * Ends the entry: it is posted, and the device knows of it with the next {@link notify}.
   * @param bytes of the packet, at least 1
   */
  end(at: number, segments: number, bytes: number): void {
    const { words, mask } = this;
    const count = HEADER_SEGMENTS + segments;
    words.set(at, ((this.producer & COUNTER_MASK) << 8) | WQE_OPCODES.send);
    words.set(at + 1, (this.number << 8) | count);
    words.set(at + 2, 0);
    const index = this.producer & mask;
    const units = unitsOf(segments);
    this.#units[index] = units;
    this.#bytes[index] = bytes;
    this.producer += units;
    this.#last = at;
  }

  /** Whether there are entries that the device does not know of. */
  get isPending(): boolean {
    return this.#last >= 0;
  }

  /** Tells the device of all entries, and asks for a completion of the last. @see Linux 7.2 en/txrx.h mlx5e_notify_hw */
  notify(): void {
    const at = this.#last;
    if (at < 0) return;
    this.#last = -1;
    const { words } = this;
    words.set(at + 2, WQE_CQ_UPDATE);
    this.memory.setRecord(RECORD_WORD, this.producer & COUNTER_MASK);
    this.uar.write64(DOORBELL, words.get(at) >>> 0, words.get(at + 1) >>> 0);
  }

  /** What has been posted up to this entry is done: {@link packets} and {@link bytes} count it. @param counter of its completion */
  retire(counter: number): void {
    for (;;) {
      if (this.consumer === this.producer) return;
      const isLast = (this.consumer & COUNTER_MASK) === counter;
      this.#retireOne();
      if (isLast) return;
    }
  }

  /** Gives up what the device will not complete. @returns packets */
  retireAll(): number {
    const before = this.packets;
    while (this.consumer !== this.producer) this.#retireOne();
    this.#last = -1;
    return this.packets - before;
  }

  /** After the state reset: the ring begins at its start again. @see Linux 7.2 en/reporter_tx.c mlx5e_reset_txqsq_cc_pc */
  restart(): void {
    this.producer = this.consumer = 0;
    this.#last = -1;
  }

  #retireOne(): void {
    const index = this.consumer & this.mask;
    const bytes = this.#bytes[index]!;
    this.consumer += this.#units[index]!;
    if (bytes === 0) return;
    this.packets++;
    this.bytes += bytes;
  }

  #nop(): void {
    const { words, mask } = this;
    const index = this.producer & mask;
    const at = index * UNIT_WORDS;
    words.set(at, ((this.producer & COUNTER_MASK) << 8) | WQE_OPCODES.nop);
    words.set(at + 1, (this.number << 8) | 1);
    words.set(at + 2, 0);
    this.#units[index] = 1;
    this.#bytes[index] = 0;
    this.producer++;
    this.nops++;
  }
}

/** @param segments of data */
const unitsOf = (segments: number): number => Math.ceil((HEADER_SEGMENTS + segments) / SEGMENTS_PER_UNIT);
