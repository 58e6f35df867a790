import { NO_ADDRESS } from '../../endpoint/index.js';
import { CQE_OPCODES, CQE_SYNDROMES, DATA, PAGE_BYTES, WQ_RECORD } from '../../regs/nic.js';
import { WQ_STATES } from '../../regs/nic-contexts.js';
import type { NicFunction } from './function.js';
import { COUNTER_MASK, WorkQueue, type WorkQueueSetup } from './work-queue.js';

/** Bytes of an entry, as a binary logarithm. */
export const LOG_STRIDE = { min: 4, max: 10 } as const;

/** What has become of a packet. */
export const RECEIVED = { ok: 0, outOfBuffer: 1, error: 2, dropped: 3 } as const;

const { ready: READY, error: ERROR } = WQ_STATES;
const SEGMENT_WORDS = DATA.sizeBytes / 4;
const [BYTE_COUNT, ADDRESS_LO, ADDRESS_HI] = [DATA.byteCount / 4, DATA.addressLo / 4, DATA.addressHi / 4];

/** Entries are read ahead up to so many bytes, or one. */
const AHEAD_BYTES = 256;
const PAGE_MASK = PAGE_BYTES - 1;

/** A receive queue: software only counts what it gives, and the device looks when it needs one. */
export class ReceiveQueue extends WorkQueue {
  /** Packets for which there was no entry. */
  outOfBuffer = 0;
  /** A packet is being put into memory: another that comes with that finds no place here. */
  #isBusy = false;
  /** Entries that have been read, made with the first: from which counter on, and how many. */
  #entries: Int32Array | undefined = undefined;
  #bytes = new Uint8Array(0);
  #first = 0;
  #count = 0;

  constructor(fn: NicFunction, number: number, setup: WorkQueueSetup) {
    super(fn, number, setup, WQ_RECORD.receive, CQE_OPCODES.receiveError);
  }

  protected override entered(state: number): void {
    this.#count = 0;
    if (state === ERROR) this.#flush();
  }

  /**
   * Takes a packet of `length` bytes.
   * @param hash signed
   * @param source port that it is from, for a representor
   * @returns one of {@link RECEIVED}
   */
  receive(frame: Uint8Array, offset: number, length: number, hash: number, source: number): number {
    if (this.state !== READY || this.#isBusy) return RECEIVED.dropped;
    this.#isBusy = true;
    const outcome = this.#receive(frame, offset, length, hash, source);
    this.#isBusy = false;
    return outcome;
  }

  #receive(frame: Uint8Array, offset: number, length: number, hash: number, source: number): number {
    const { cq } = this.setup;
    if (cq.isBroken) this.setState(ERROR);
    else if (this.pending === 0) this.look();
    if (this.state !== READY) return RECEIVED.error;
    if (this.pending === 0) {
      this.outOfBuffer++;
      return RECEIVED.outOfBuffer;
    }
    const { generation, consumer } = this;
    const isRead = ((consumer - this.#first) & COUNTER_MASK) < this.#count || this.#readAhead();
    if (generation !== this.generation) return RECEIVED.error;
    this.advance(1);
    const syndrome = isRead ? this.#scatter(consumer, frame, offset, length) : CQE_SYNDROMES.protection;
    if (generation !== this.generation) return RECEIVED.error;
    if (syndrome !== 0) {
      this.fail(consumer, syndrome);
      return RECEIVED.error;
    }
    cq.post(CQE_OPCODES.received, this.number, consumer, length, hash, source);
    return RECEIVED.ok;
  }

  /** Reads the next entry, and those behind it that software has given and that are in its page. @returns false when memory refused */
  #readAhead(): boolean {
    const { setup, consumer, generation } = this;
    const offset = (consumer & (this.size - 1)) << setup.logStride;
    const most = Math.max(1, Math.min(AHEAD_BYTES, PAGE_BYTES - (offset & PAGE_MASK)) >> setup.logStride);
    const count = Math.min(most, this.pending, this.size - (consumer & (this.size - 1)));
    if (this.#entries === undefined) {
      this.#bytes = new Uint8Array(Math.max(AHEAD_BYTES, 1 << setup.logStride));
      this.#entries = new Int32Array(this.#bytes.buffer);
    }
    this.#count = 0;
    const isRead = setup.ring.read(this.fn.dma, offset, this.#bytes, count << setup.logStride, setup.pasid);
    if (!isRead || generation !== this.generation) return false;
    this.#first = consumer;
    this.#count = count;
    return true;
  }

  /** Puts a packet into the buffers of an entry. @returns a syndrome, or 0 */
  #scatter(counter: number, frame: Uint8Array, offset: number, length: number): number {
    const { setup, fn, generation } = this;
    const entries = this.#entries!;
    const start = (((counter - this.#first) & COUNTER_MASK) << setup.logStride) >>> 2;
    const end = start + ((1 << setup.logStride) >>> 2);
    let done = 0;
    for (let data = start; data < end && done < length; data += SEGMENT_WORDS) {
      const part = Math.min(entries[data + BYTE_COUNT]! >>> 0, length - done);
      if (part === 0) continue;
      const address = fn.dma.address(entries[data + ADDRESS_LO]!, entries[data + ADDRESS_HI]!);
      if (address === NO_ADDRESS || !fn.dma.write(address, frame, offset + done, part, setup.pasid))
        return CQE_SYNDROMES.protection;
      if (generation !== this.generation) return 0;
      done += part;
    }
    return done < length ? CQE_SYNDROMES.localLength : 0;
  }

  /** Completes all that software has given, without having done it. */
  #flush(): void {
    if (!this.look()) return;
    const { generation } = this;
    while (this.pending > 0 && generation === this.generation) {
      const { consumer } = this;
      this.advance(1);
      this.complain(consumer, CQE_SYNDROMES.flushed);
    }
  }
}
