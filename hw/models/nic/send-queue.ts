import { NO_ADDRESS } from '../../endpoint/index.js';
import { CQE_OPCODES, CQE_SYNDROMES, DATA, FRAME, WQE, WQE_CQ_UPDATE, WQE_OPCODES, WQ_RECORD } from '../../regs/nic.js';
import { WQ_STATES } from '../../regs/nic-contexts.js';
import { TX_ERRORS, count } from './counters.js';
import type { NicFunction } from './function.js';
import { COUNTER_MASK, WorkQueue, type WorkQueueSetup } from './work-queue.js';

/** Units that are executed before another queue has its turn. */
export const BATCH = 64;
/** Segments of an entry at most: 16 units. */
const MAX_SEGMENTS = 63;
const SEGMENTS_PER_UNIT = WQE.unitBytes / WQE.segmentBytes;
const UNIT_WORDS = WQE.unitBytes / 4;
const SEGMENT_WORDS = WQE.segmentBytes / 4;
/** Words of an entry, and of a segment of data. */
const [INDEX_OPCODE, QUEUE_SEGMENTS, FLAGS, FIRST_DATA] = [
  WQE.indexOpcode / 4,
  WQE.queueSegments / 4,
  WQE.flags / 4,
  WQE.data / 4,
];
const [BYTE_COUNT, ADDRESS_LO, ADDRESS_HI] = [DATA.byteCount / 4, DATA.addressLo / 4, DATA.addressHi / 4];
const { ready: READY, error: ERROR } = WQ_STATES;
const { nop: NOP, send: SEND } = WQE_OPCODES;
/** Header, tag and data. */
export const MAX_FRAME_BYTES = FRAME.maxMtu + FRAME.headerBytes + FRAME.tagBytes;

/** So short a piece of a packet is taken from memory word by word, where that shows itself. */
const SHORT_BYTES = 128;

/** The entries that are being executed, and the packet that one of them sends. */
export class SendScratch {
  readonly entries = new Int32Array(BATCH * UNIT_WORDS);
  readonly bytes = new Uint8Array(this.entries.buffer);
  readonly frame = new Uint8Array(MAX_FRAME_BYTES);
  readonly words = new Int32Array(this.frame.buffer, 0, MAX_FRAME_BYTES >>> 2);
}

/** A send queue: its engine gives it a turn when it has been rung. */
export class SendQueue extends WorkQueue {
  /** The next one that has work; and whether it is waiting for its turn itself. */
  next: SendQueue | undefined = undefined;
  isWaiting = false;
  #isRung = false;

  constructor(fn: NicFunction, number: number, setup: WorkQueueSetup) {
    super(fn, number, setup, WQ_RECORD.send, CQE_OPCODES.sendError);
  }

  protected override entered(state: number): void {
    this.#isRung = state === ERROR;
    if (this.#isRung) this.fn.device.engine.wake(this);
  }

  /** Software has given entries. */
  ring(): void {
    if (!this.#isAtWork) return;
    this.#isRung = true;
    this.fn.device.engine.wake(this);
  }

  /** Has its turn: reads up to {@link BATCH} units, not beyond the end of the ring, and executes them. @returns whether there is more to do */
  run(): boolean {
    // It may have been put into reset, or destroyed, since it was rung.
    if (!this.#isAtWork) return false;
    if (this.#isRung) {
      this.#isRung = false;
      if (!this.look()) return this.#isRung;
    }
    if (this.pending === 0) return false;
    if (this.setup.cq.isBroken && this.state === READY) this.setState(ERROR);
    const { generation, consumer, size, setup, fn } = this;
    const first = consumer & (size - 1);
    const count = Math.min(BATCH, this.pending, size - first);
    const { entries, bytes } = fn.device.engine.sending;
    const isRead = setup.ring.read(fn.dma, first * UNIT_WORDS * 4, bytes, count * UNIT_WORDS * 4, setup.pasid);
    if (generation !== this.generation) return this.#isRung;
    if (!isRead) {
      this.#give(this.pending, CQE_SYNDROMES.protection);
      return this.#isRung;
    }
    for (let done = 0; done < count && generation === this.generation;) {
      const at = done * UNIT_WORDS;
      const segments = entries[at + QUEUE_SEGMENTS]! & MAX_SEGMENTS;
      const units = segments <= SEGMENTS_PER_UNIT ? 1 : Math.ceil(segments / SEGMENTS_PER_UNIT);
      const isWhole = done + units <= count;
      // What goes on behind what was read is read again; an entry that is not whole then, never is.
      if (!isWhole && done > 0) break;
      this.#execute(at, isWhole ? units : 1, isWhole);
      done += units;
    }
    return this.pending > 0 || this.#isRung;
  }

  /** Whether it executes entries, or flushes them. */
  get #isAtWork(): boolean {
    return this.state === READY || this.state === ERROR;
  }

  /** Executes the entry at word `at`. */
  #execute(at: number, units: number, isWhole: boolean): void {
    const { entries, frame } = this.fn.device.engine.sending;
    const { consumer, generation, fn, setup } = this;
    const control = entries[at + INDEX_OPCODE]!;
    const target = entries[at + QUEUE_SEGMENTS]!;
    const flags = entries[at + FLAGS]!;
    const opcode = control & 0xff;
    const segments = target & 0xff;
    if (this.state === ERROR) {
      this.advance(units);
      this.complain(consumer, CQE_SYNDROMES.flushed, opcode);
      return;
    }
    const isOurs = target >>> 8 === this.number && ((control >>> 8) & COUNTER_MASK) === consumer;
    const isKnown = opcode === NOP || opcode === SEND;
    if (!isWhole || !isOurs || !isKnown || segments > MAX_SEGMENTS) {
      this.#give(units, CQE_SYNDROMES.localQueue, opcode);
      return;
    }
    let bytes = 0;
    if (opcode === SEND) {
      bytes = this.#gather(at, segments);
      if (generation !== this.generation) return;
      if (bytes < 0) {
        this.#give(units, -bytes, opcode);
        return;
      }
      fn.device.engine.send(this, frame, bytes);
      if (generation !== this.generation) return;
    }
    this.advance(units);
    if ((flags & WQE_CQ_UPDATE) !== 0) {
      setup.cq.post(CQE_OPCODES.sent, (opcode << 24) | this.number, consumer, bytes, 0, 0);
    }
  }

  /** Puts the packet of an entry together. @returns its bytes; or a syndrome, negative */
  #gather(at: number, segments: number): number {
    const { entries, frame } = this.fn.device.engine.sending;
    const { generation, fn } = this;
    const end = at + segments * SEGMENT_WORDS;
    let length = 0;
    for (let data = at + FIRST_DATA; data < end; data += SEGMENT_WORDS) {
      const bytes = entries[data + BYTE_COUNT]! >>> 0;
      if (bytes === 0) continue;
      if (bytes > frame.length - length) return -CQE_SYNDROMES.localLength;
      const address = fn.dma.address(entries[data + ADDRESS_LO]!, entries[data + ADDRESS_HI]!);
      if (address === NO_ADDRESS || !this.#fetch(address, length, bytes)) return -CQE_SYNDROMES.protection;
      if (generation !== this.generation) return 0;
      length += bytes;
    }
    return length < FRAME.minBytes ? -CQE_SYNDROMES.localLength : length;
  }

  /** Reads a piece of a packet, which goes to `offset` of it. @returns false when memory refused */
  #fetch(address: number, offset: number, bytes: number): boolean {
    const { dma, device } = this.fn;
    const { pasid } = this.setup;
    const { frame, words } = device.engine.sending;
    const seen = bytes <= SHORT_BYTES ? dma.peek?.(address, bytes, false, pasid) : undefined;
    if (seen === undefined || ((seen.offset | offset) & 3) !== 0) return dma.read(address, frame, offset, bytes, pasid);
    const { words: memory } = seen;
    const from = seen.offset >>> 2;
    const to = offset >>> 2;
    // The last word may be no part of it: what is behind a packet is nobody's.
    const count = Math.min((bytes + 3) >>> 2, words.length - to);
    for (let n = 0; n < count; n++) words[to + n] = memory[from + n]!;
    return true;
  }

  /** Units that could not be executed: the first error is told of, and all behind it is flushed. */
  #give(units: number, syndrome: number, opcode = 0): void {
    const { consumer } = this;
    this.advance(units);
    if (this.state !== READY) return;
    const { vport } = this.fn;
    if (vport !== undefined) count(vport.counters, TX_ERRORS);
    this.fail(consumer, syndrome, opcode);
  }
}
