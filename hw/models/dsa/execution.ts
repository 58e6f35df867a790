import { type DmaPort, NO_ADDRESS } from '../../endpoint/index.js';
import * as DSA from '../../regs/dsa.js';
import type { Profile } from './profile.js';
import { WORDS, type WorkQueue } from './queues.js';

const { STATUS, FLAGS } = DSA;
/** Bytes that an engine has in its hands at a time. */
export const CHUNK = 0x4000;
const ADDRESS_END = 2 ** 53;
/** The status, and what is written with it. */
export const STATUS_BYTES = 4;

/**
 * One descriptor being worked on, with what came of it. An engine has one, and one more for the batch that it may be in.
 *
 * Whatever is asked of memory may bring an abort or a reset with it; then `isCancelled` is set for ever, the engine gets another
 * object, and what still runs finds that nothing more can be read or written.
 */
export class Execution {
  readonly words = new Uint32Array(WORDS);
  /** The completion record, and what of it is behind the word that has the status. */
  readonly record = new Uint8Array(DSA.COMPLETION_BYTES);
  readonly recordRest = this.record.subarray(STATUS_BYTES);
  readonly #view = new DataView(this.record.buffer);
  #first: Uint8Array | undefined = undefined;
  #firstView: DataView | undefined = undefined;
  #second: Uint8Array | undefined = undefined;
  isCancelled = false;

  wq!: WorkQueue;
  isIms = false;
  isMember = false;
  batchIndex = 0;
  /** The address space; 0 for none. */
  pasid = 0;
  isPrivileged = false;
  opcode = 0;
  flags = 0;
  size = 0;

  status = 0;
  result = 0;
  bytesDone = 0;
  invalidFlags = 0;
  faultLo = 0;
  faultHi = 0;
  isFaultWrite = false;
  /** What the operation adds to the record, from byte 16 on. */
  readonly extra = new Uint32Array(4);

  constructor(
    readonly profile: Profile,
    readonly dma: DmaPort,
  ) {}

  /** What an operation has in its hands: two pieces, of {@link CHUNK} bytes. */
  get first(): Uint8Array {
    return (this.#first ??= new Uint8Array(CHUNK));
  }
  get firstView(): DataView {
    return (this.#firstView ??= new DataView(this.first.buffer));
  }
  get second(): Uint8Array {
    return (this.#second ??= new Uint8Array(CHUNK));
  }

  /** Takes a descriptor of 16 words from `at` on. @param batch the batch it is a member of */
  begin(words: Uint32Array, at: number, wq: WorkQueue, isIms: boolean, batch?: Execution, index = 0): void {
    for (let i = 0; i < WORDS; i++) this.words[i] = words[at + i]!;
    this.wq = wq;
    this.isIms = isIms;
    this.isMember = batch !== undefined;
    this.batchIndex = index;
    const { isDedicated, pasid, isPrivileged } = wq.settings;
    // The members of a batch work where the batch does.
    this.pasid = batch !== undefined ? batch.pasid : isDedicated ? pasid : this.words[0]! & 0xf_ffff;
    this.isPrivileged = batch !== undefined ? batch.isPrivileged : isDedicated ? isPrivileged : this.words[0]! >>> 31 === 1;
    this.opcode = this.words[1]! >>> 24;
    this.flags = this.words[1]! & 0xff_ffff;
    this.size = this.words[8]!;
    this.clearOutcome();
  }

  /** As if nothing had been done yet. */
  clearOutcome(): void {
    this.status = STATUS.success;
    this.result = this.bytesDone = this.invalidFlags = this.faultLo = this.faultHi = 0;
    this.isFaultWrite = false;
    for (let i = 0; i < this.extra.length; i++) this.extra[i] = 0;
  }

  has(flag: number): boolean {
    return (this.flags & flag) !== 0;
  }

  /** A byte, 16-bit or 32-bit field of the descriptor, by its offset. */
  u8(at: number): number {
    return (this.words[at >>> 2]! >>> (8 * (at & 3))) & 0xff;
  }
  u16(at: number): number {
    return (this.words[at >>> 2]! >>> (8 * (at & 2))) & 0xffff;
  }
  u32(at: number): number {
    return this.words[at >>> 2]!;
  }

  get handle(): number {
    return this.u16(DSA.DESCRIPTOR.handle);
  }

  /** For an event log: 15:0 handle, 16 an interrupt was asked for, 17 of the store, 18 a record was asked for. */
  get completionInfo(): number {
    return (
      this.handle |
      (this.has(FLAGS.requestInterrupt) ? 0x1_0000 : 0) |
      (this.isIms ? 0x2_0000 : 0) |
      (this.has(FLAGS.requestCompletion) ? 0x4_0000 : 0)
    );
  }

  /** The address in the descriptor at offset `at`; what no bus can carry is a page fault. */
  place(at: number, isWrite: boolean): number {
    const lo = this.words[at >>> 2]!;
    const hi = this.words[(at >>> 2) + 1]!;
    const address = this.dma.address(lo, hi);
    if (address === NO_ADDRESS) this.#fault(lo, hi, isWrite);
    return address;
  }

  /** @returns bytes that were read; fewer than `length` after a page fault */
  load(address: number, buffer: Uint8Array, offset: number, length: number): number {
    if (this.isCancelled) return 0;
    const end = Math.min(length, ADDRESS_END - address);
    if (end === length && this.dma.read(address, buffer, offset, length, this.pasid)) return this.isCancelled ? 0 : length;
    const there = this.reach(address, end, false);
    const isRead = there > 0 && this.dma.read(address, buffer, offset, there, this.pasid);
    return this.#stop(address, isRead ? there : 0, length, false);
  }

  /** @returns bytes that were written; fewer than `length` after a page fault */
  store(address: number, buffer: Uint8Array, offset: number, length: number): number {
    if (this.isCancelled) return 0;
    const end = Math.min(length, ADDRESS_END - address);
    if (end === length && this.dma.write(address, buffer, offset, length, this.pasid)) return this.isCancelled ? 0 : length;
    const there = this.reach(address, end, true);
    const isWritten = there > 0 && this.dma.write(address, buffer, offset, there, this.pasid);
    return this.#stop(address, isWritten ? there : 0, length, true);
  }

  /** Bytes that can be accessed from `address` on, up to `length`. */
  reach(address: number, length: number, isWrite: boolean): number {
    if (this.isCancelled) return 0;
    const there = this.dma.reach(address, Math.min(length, ADDRESS_END - address), isWrite, this.pasid);
    return this.isCancelled ? 0 : there;
  }

  /** Memory to memory. @returns false when a part is missing; what is before it may have been copied */
  copy(source: number, destination: number, length: number): boolean {
    return !this.isCancelled && this.dma.copy(source, destination, length, this.pasid);
  }

  /** Ends the operation: `address` cannot be accessed. */
  pageFault(address: number, isWrite: boolean): void {
    this.#fault(address % 2 ** 32, Math.floor(address / 2 ** 32), isWrite);
  }

  #stop(address: number, done: number, length: number, isWrite: boolean): number {
    if (this.isCancelled) return 0;
    if (done < length) this.pageFault(address + done, isWrite);
    return done;
  }

  #fault(lo: number, hi: number, isWrite: boolean): void {
    this.status = STATUS.pageFault | (isWrite ? DSA.STATUS_WRITE : 0);
    this.faultLo = lo;
    this.faultHi = hi;
    this.isFaultWrite = isWrite;
  }

  /** The word of the completion record that has the status. */
  get statusWord(): number {
    return this.status | (this.result << (8 * DSA.COMPLETION.result));
  }

  /** Fills in the completion record. */
  writeRecord(): void {
    const { COMPLETION } = DSA;
    const view = this.#view;
    const { extra } = this;
    view.setUint32(COMPLETION.status, this.statusWord, true);
    view.setUint32(COMPLETION.bytes, this.bytesDone, true);
    view.setUint32(COMPLETION.faultAddress, this.faultLo, true);
    view.setUint32(COMPLETION.faultAddress + 4, this.faultHi, true);
    for (let i = 0; i < extra.length; i++) view.setUint32(COMPLETION.crc + 4 * i, extra[i]!, true);
    if (this.status === STATUS.flags) view.setUint32(COMPLETION.invalidFlags, this.invalidFlags, true);
  }
}
