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
/** Header, tag and data. */
export const MAX_FRAME_BYTES = FRAME.maxMtu + FRAME.headerBytes + FRAME.tagBytes;

/** The entries that are being executed, and the packet that one of them sends. */
export class SendScratch {
  readonly entries = new Uint8Array(BATCH * WQE.unitBytes);
  readonly view = new DataView(this.entries.buffer);
  readonly frame = new Uint8Array(MAX_FRAME_BYTES);
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
    this.#isRung = state === WQ_STATES.error;
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
    if (this.setup.cq.isBroken && this.state === WQ_STATES.ready) this.setState(WQ_STATES.error);
    const { generation, consumer, size, setup, fn } = this;
    const first = consumer & (size - 1);
    const count = Math.min(BATCH, this.pending, size - first);
    const { entries, view } = fn.device.engine.sending;
    const isRead = setup.ring.read(fn.dma, first * WQE.unitBytes, entries, count * WQE.unitBytes, setup.pasid);
    if (generation !== this.generation) return this.#isRung;
    if (!isRead) {
      this.#give(this.pending, CQE_SYNDROMES.protection);
      return this.#isRung;
    }
    for (let done = 0; done < count && generation === this.generation;) {
      const segments = view.getUint8(done * WQE.unitBytes + WQE.queueSegments) & MAX_SEGMENTS;
      const units = Math.max(1, Math.ceil(segments / SEGMENTS_PER_UNIT));
      const isWhole = done + units <= count;
      // What goes on behind what was read is read again; an entry that is not whole then, never is.
      if (!isWhole && done > 0) break;
      this.#execute(done * WQE.unitBytes, isWhole ? units : 1, isWhole);
      done += units;
    }
    return this.pending > 0 || this.#isRung;
  }

  /** Whether it executes entries, or flushes them. */
  get #isAtWork(): boolean {
    return this.state === WQ_STATES.ready || this.state === WQ_STATES.error;
  }

  /** Executes the entry at byte `at`. */
  #execute(at: number, units: number, isWhole: boolean): void {
    const { view, frame } = this.fn.device.engine.sending;
    const { consumer, generation, fn, setup } = this;
    const control = view.getInt32(at + WQE.indexOpcode, true);
    const target = view.getInt32(at + WQE.queueSegments, true);
    const flags = view.getInt32(at + WQE.flags, true);
    const opcode = control & 0xff;
    const segments = target & 0xff;
    if (this.state === WQ_STATES.error) {
      this.advance(units);
      this.complain(consumer, CQE_SYNDROMES.flushed, opcode);
      return;
    }
    const isOurs = target >>> 8 === this.number && ((control >>> 8) & COUNTER_MASK) === consumer;
    const isKnown = opcode === WQE_OPCODES.nop || opcode === WQE_OPCODES.send;
    if (!isWhole || !isOurs || !isKnown || segments > MAX_SEGMENTS) {
      this.#give(units, CQE_SYNDROMES.localQueue, opcode);
      return;
    }
    let bytes = 0;
    if (opcode === WQE_OPCODES.send) {
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
    const { view, frame } = this.fn.device.engine.sending;
    const { generation, setup, fn } = this;
    const end = at + segments * WQE.segmentBytes;
    let length = 0;
    for (let data = at + WQE.data; data < end; data += DATA.sizeBytes) {
      const bytes = view.getUint32(data + DATA.byteCount, true);
      if (bytes === 0) continue;
      if (bytes > frame.length - length) return -CQE_SYNDROMES.localLength;
      const address = fn.dma.address(view.getUint32(data + DATA.addressLo, true), view.getUint32(data + DATA.addressHi, true));
      if (address === NO_ADDRESS || !fn.dma.read(address, frame, length, bytes, setup.pasid)) return -CQE_SYNDROMES.protection;
      if (generation !== this.generation) return 0;
      length += bytes;
    }
    return length < FRAME.minBytes ? -CQE_SYNDROMES.localLength : length;
  }

  /** Units that could not be executed: the first error is told of, and all behind it is flushed. */
  #give(units: number, syndrome: number, opcode = 0): void {
    const { consumer } = this;
    this.advance(units);
    if (this.state !== WQ_STATES.ready) return;
    const { vport } = this.fn;
    if (vport !== undefined) count(vport.counters, TX_ERRORS);
    this.fail(consumer, syndrome, opcode);
  }
}
