import type { Device } from '../../../core/index.js';
import { DATA, WQ_RECORD } from '../../../hw/regs/nic.js';
import { OBJECT, OPCODES } from '../../../hw/regs/nic-commands.js';
import { WQC, WQ_CONTEXT } from '../../../hw/regs/nic-contexts.js';
import { getWord, setWord } from '../../../hw/regs/nic-words.js';
import type { QueueOwner } from './queue-owner.js';
import { WorkQueue, type WqKind, type WqOptions, checkLogSize } from './work-queue.js';

const ENTRY_WORDS = DATA.sizeBytes / 4;
const LOG_ENTRY = 4;
const HIGH = 2 ** 32;
const RECORD_WORD = WQ_RECORD.receive / 4;
const COUNTER_MASK = 0xffff;
const KIND: WqKind = {
  name: 'rq',
  create: OPCODES.CREATE_RQ,
  modify: OPCODES.MODIFY_RQ,
  destroy: OPCODES.DESTROY_RQ,
  logStride: LOG_ENTRY,
};
/** Binary logarithms of the entries of a receive queue. */
export const LOG_RQ = { min: 6, max: 13, default: 10 } as const;

/** A queue of buffers for packets that come; each entry is one buffer. */
export class ReceiveQueue extends WorkQueue {
  /** Buffers that were posted. */
  producer = 0;
  /** Buffers that came back. */
  consumer = 0;

  /** Makes one, in state reset. Managed. @throws {Errno} ERANGE for its size; as the command */
  static async create(owner: QueueOwner, dev: Device, options: WqOptions): Promise<ReceiveQueue> {
    checkLogSize(dev, 'receive queue', options.logSize, LOG_RQ.min, LOG_RQ.max);
    return new ReceiveQueue(owner, dev, KIND, options).make(dev, options, () => {});
  }

  /** Entries without a buffer. */
  room(): number {
    return this.size - (this.producer - this.consumer);
  }

  /** Says which buffer an entry is. @param index of the entry, 0 to `size` - 1 */
  setBuffer(index: number, address: number, bytes: number): void {
    const { words } = this;
    const at = index * ENTRY_WORDS;
    words.set(at + DATA.byteCount / 4, bytes);
    words.set(at + DATA.key / 4, 0);
    words.set(at + DATA.addressLo / 4, address);
    words.set(at + DATA.addressHi / 4, Math.floor(address / HIGH));
  }

  /** Gives the device the next entries, as many as that; it sees them with {@link notify}. @param count at most {@link room} */
  post(count: number): void {
    this.producer += count;
  }

  /** Tells the device, which looks when it needs a buffer. @see Linux 7.2 en_rx.c mlx5e_post_rx_wqes */
  notify(): void {
    this.memory.setRecord(RECORD_WORD, this.producer & COUNTER_MASK);
  }

  /** After the state reset: the ring begins at its start again. */
  restart(): void {
    this.producer = this.consumer = 0;
    this.notify();
  }

  /** Packets for which there was no buffer. @throws {Errno} as the command */
  async outOfBuffer(): Promise<number> {
    const input = new Uint32Array(4);
    setWord(input, OBJECT, this.number);
    const output = await this.owner.exec(OPCODES.QUERY_RQ, input, new Uint32Array((WQ_CONTEXT + WQC.sizeBytes) / 4));
    return getWord(output, WQC.outOfBuffer, WQ_CONTEXT);
  }
}
