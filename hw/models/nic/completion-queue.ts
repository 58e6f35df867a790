import {
  CQE,
  CQE_OPCODES,
  CQ_ARM_WORD,
  CQ_ERROR_ACCESS,
  CQ_ERROR_OVERRUN,
  CQ_RECORD,
  EQE,
  EVENTS,
  SYNDROMES,
} from '../../regs/nic.js';
import { CQ_STATES, EQ_STATUS } from '../../regs/nic-contexts.js';
import type { QueueMessage } from './queue-message.js';
import type { EventQueue } from './event-queue.js';
import type { NicFunction } from './function.js';
import { Moderation } from './moderation.js';
import type { Ring } from './ring.js';

const INDEX_MASK = 0xff_ffff;
const NO_SN = -1;
const ONES = 0xffff_ffff;
/** The word that has the owner: it is written last. */
const LAST_WORD = CQE.sizeBytes - 4;
const [RSS_HASH, SOURCE_VPORT, BYTE_COUNT] = [CQE.rssHash / 4, CQE.sourceVport / 4, CQE.byteCount / 4];
const [TIMESTAMP_LO, TIMESTAMP_HI, OPCODE_QUEUE] = [CQE.timestampLo / 4, CQE.timestampHi / 4, CQE.opcodeQueue / 4];
/** In the word of {@link TIMESTAMP_HI}. */
const SYNDROME_SHIFT = 24;
const { armed: ARMED, solicited: SOLICITED_ONLY, error: FAILED } = CQ_STATES;
const { sendError: SEND_ERROR, receiveError: RECEIVE_ERROR } = CQE_OPCODES;
const SN_SHIFT = CQ_ARM_WORD.fields.sn.lsb;
const SOLICITED = 1 << CQ_ARM_WORD.fields.solicited.lsb;

/** How a completion queue is made. */
export interface CompletionQueueSetup {
  readonly uar: number;
  readonly eq: EventQueue;
  readonly logSize: number;
  readonly ring: Ring;
  /** As the context has it. */
  readonly logPage: number;
  /** Address of its doorbell record. */
  readonly record: number;
  /** Of its ring and record; 0: none. */
  readonly pasid: number;
  readonly ignoresOverrun: boolean;
  /** Sent in place of events; undefined: it tells `eq`. */
  readonly message: QueueMessage | undefined;
}

/** The completion that a device is writing, where memory does not show itself: all but its last word, of which it is exactly as long. */
export class CompletionEntry {
  readonly words = new Int32Array(LAST_WORD / 4);
  readonly bytes = new Uint8Array(this.words.buffer);
}

/**
 * A completion queue. Between two arms it makes one event.
 *
 * ```
 *            completion: event, when moderation says so
 *   armed ---------------------------------------------> fired
 *     ^    arm with the next number, all is seen           |
 *     +----------------------------------------------------+
 *          arm with the next number, something has come: event at once
 * ```
 */
export class CompletionQueue {
  readonly fn: NicFunction;
  readonly number: number;
  readonly setup: CompletionQueueSetup;
  readonly moderation: Moderation;
  /** 24 bits each; `consumer` is the one that software has told last. */
  producer = 0;
  consumer = 0;
  /** `CQ_STATES`. */
  state: number = CQ_STATES.fired;
  /** `EQ_STATUS`, as the context has it. */
  status: number = EQ_STATUS.ok;
  /** Work queues that report here: with any, it cannot be destroyed. */
  users = 0;
  readonly #size: number;
  /** Numbers of the arm in force, and of the last one that an event has answered. */
  #sn = NO_SN;
  #firedSn = NO_SN;
  #isGone = false;

  constructor(fn: NicFunction, number: number, setup: CompletionQueueSetup) {
    this.fn = fn;
    this.number = number;
    this.setup = setup;
    this.#size = 2 ** setup.logSize;
    this.moderation = new Moderation(fn.device.clock, () => this.#fire());
    setup.eq.cqs++;
  }

  /** It takes and tells nothing any more. */
  destroy(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.moderation.clear();
    this.setup.eq.cqs--;
    this.setup.message?.destroy();
  }

  /** Whether nothing can be completed here any more. */
  get isBroken(): boolean {
    return this.#isGone || this.state === FAILED;
  }

  /**
   * What a queue has done. Numbers may be signed.
   * @param opcode one of `CQE_OPCODES`
   * @param opcodeQueue opcode of what was sent, and the queue
   * @param counter which entry of the work queue: 16 bits
   * @param source of a packet for a representor: the port it is from
   */
  post(opcode: number, opcodeQueue: number, counter: number, byteCount: number, hash: number, source: number): void {
    if (!this.#hasRoom()) return;
    const { timestampLo, timestampHi } = this.fn.device.engine;
    this.#write(opcode, opcodeQueue, counter, byteCount, hash, source, timestampLo, timestampHi);
  }

  /** What a queue could not do; it has no time. @param syndrome one of `CQE_SYNDROMES` */
  postError(opcode: number, opcodeQueue: number, counter: number, syndrome: number): void {
    if (this.#hasRoom()) this.#write(opcode, opcodeQueue, counter, 0, 0, 0, 0, syndrome << SYNDROME_SHIFT);
  }

  /** Software wants an event. @param word {@link CQ_ARM_WORD} */
  arm(word: number): void {
    if (this.isBroken) return;
    const sn = (word >>> SN_SHIFT) & 3;
    // Its event has not been handled yet.
    if (sn === this.#firedSn) return;
    this.#sn = sn;
    this.consumer = word & INDEX_MASK;
    this.moderation.clear();
    const isSolicited = (word & SOLICITED) !== 0;
    this.state = isSolicited ? CQ_STATES.solicited : CQ_STATES.armed;
    // It may be what was solicited.
    if (this.producer !== this.consumer) this.#fire();
  }

  /** Changes when its events come; see {@link Moderation.set}. */
  moderate(periodUs: number, maxCount: number): void {
    if (this.moderation.set(periodUs, maxCount)) this.#fire();
  }

  /** Whether an entry is free. Asks software only when all seem taken; one that has none left is an error, or is written over. */
  #hasRoom(): boolean {
    if (this.isBroken) return false;
    if (((this.producer - this.consumer) & INDEX_MASK) < this.#size) return true;
    const { record, pasid, ignoresOverrun } = this.setup;
    if (ignoresOverrun) return true;
    const word = this.fn.dma.read32(record + CQ_RECORD.consumer, pasid);
    if (this.isBroken) return false;
    // An index has 24 bits: this is what a read gives that failed.
    if (word === ONES) {
      this.#fail(CQ_ERROR_ACCESS);
      return false;
    }
    this.consumer = word & INDEX_MASK;
    if (((this.producer - this.consumer) & INDEX_MASK) < this.#size) return true;
    this.#fail(CQ_ERROR_OVERRUN);
    return false;
  }

  /** The next entry is software's: the word with its owner is written last. @param high the high word of the time, or the syndrome */
  #write(
    opcode: number,
    opcodeQueue: number,
    counter: number,
    byteCount: number,
    hash: number,
    source: number,
    timestampLo: number,
    high: number,
  ): void {
    const { setup, producer } = this;
    const { dma, device } = this.fn;
    const { ring, pasid } = setup;
    const address = ring.address((producer & (this.#size - 1)) * CQE.sizeBytes);
    const last = (((opcode << 4) | ((producer >>> setup.logSize) & 1)) << 24) | (counter & 0xffff);
    // What its writes bring with them finds the entry taken.
    this.producer = (producer + 1) & INDEX_MASK;
    const seen = dma.peek?.(address, CQE.sizeBytes, true, pasid);
    const words = seen === undefined ? device.engine.cqe.words : seen.words;
    // A ring is aligned to its page, and so to words.
    const at = seen === undefined ? 0 : seen.offset >>> 2;
    words[at] = words[at + 1] = words[at + 2] = 0;
    words[at + RSS_HASH] = hash;
    words[at + 4] = words[at + 5] = words[at + 6] = words[at + 7] = words[at + 8] = 0;
    words[at + SOURCE_VPORT] = source;
    words[at + 10] = 0;
    words[at + BYTE_COUNT] = byteCount;
    words[at + TIMESTAMP_LO] = timestampLo;
    words[at + TIMESTAMP_HI] = high;
    words[at + OPCODE_QUEUE] = opcodeQueue;
    let isWritten = true;
    if (seen === undefined) {
      const { bytes } = device.engine.cqe;
      isWritten = dma.write(address, bytes, 0, LAST_WORD, pasid) && dma.write32(address + LAST_WORD, last, pasid);
    } else {
      words[at + LAST_WORD / 4] = last;
    }
    if (this.isBroken) return;
    if (!isWritten) this.#fail(CQ_ERROR_ACCESS);
    else if (this.state === ARMED) {
      if (this.moderation.add()) this.#fire();
    } else if (this.state === SOLICITED_ONLY) {
      if (opcode === SEND_ERROR || opcode === RECEIVE_ERROR) this.#fire();
    }
  }

  /** Makes the event that was asked for. */
  #fire(): void {
    this.moderation.clear();
    if (this.isBroken) return;
    this.state = CQ_STATES.fired;
    this.#firedSn = this.#sn;
    const { eq, message } = this.setup;
    if (message === undefined) eq.postCompletion(this.number);
    else message.send();
  }

  #fail(syndrome: number): void {
    this.state = CQ_STATES.error;
    this.status = syndrome === CQ_ERROR_OVERRUN ? EQ_STATUS.overrun : EQ_STATUS.writeFailed;
    this.moderation.clear();
    // Memory of a user is that user's affair: the function goes on.
    if (syndrome === CQ_ERROR_ACCESS && this.setup.pasid === 0) this.fn.health.report(SYNDROMES.fetch, this.number);
    this.fn.event(EVENTS.cqError, 0, (eqe) => {
      eqe.setUint32(EQE.errorCqn, this.number, true);
      eqe.setUint8(EQE.errorSyndrome, syndrome);
    });
  }
}
