import * as DSA from '../../regs/dsa.js';
import { type Profile, writableOf } from './profile.js';

const ALL = -1;
const GRP_WORDS = DSA.GRPCFG_BYTES / 4;
const GRP_ENGINES = DSA.GRP_ENGINES.offset / 4;
const GRP_FLAGS = DSA.GRP_FLAGS.offset / 4;
/** Bits that can be written, by word. Progress limits are not among the capabilities. */
const GRP_WRITABLE = new Int32Array(GRP_WORDS);
GRP_WRITABLE.fill(ALL, 0, GRP_FLAGS);
GRP_WRITABLE[GRP_FLAGS] = writableOf(DSA.GRP_FLAGS);

const WQ_SIZE = DSA.WQ_SIZE.offset / 4;
const WQ_MODE = DSA.WQ_MODE.offset / 4;
const WQ_STATUS = DSA.WQ_STATUS.offset / 4;
const WQ_OPERATIONS = DSA.WQ_OPERATIONS.offset / 4;
const WQ_WORDS_MAX = 16;
const WQ_WRITABLE = new Int32Array(WQ_WORDS_MAX);
for (const reg of [DSA.WQ_SIZE, DSA.WQ_THRESHOLD, DSA.WQ_MODE, DSA.WQ_LIMITS, DSA.WQ_OCCUPANCY_HANDLE, DSA.WQ_OCCUPANCY_LIMIT]) {
  WQ_WRITABLE[reg.offset / 4] = writableOf(reg);
}
WQ_WRITABLE.fill(ALL, WQ_OPERATIONS);
const { pasid, pasidEnable, privileged } = DSA.WQ_MODE.fields;
/** What of a queue can be written where the configuration is fixed: whose memory it works in. */
const WQ_ADDRESS_SPACE = ((2 ** 20 - 1) << pasid.lsb) | (1 << pasidEnable.lsb) | (1 << privileged.lsb);

const PERM_WORDS = DSA.MSIX_PERM_BYTES / 4;
const PERM_WRITABLE = writableOf(DSA.MSIX_PERM);

/** What the tables ask of the rest of the device: configuration is frozen while it is in use. */
export interface TableLocks {
  readonly isDisabled: boolean;
  isQueueDisabled(wq: number): boolean;
}

/** The tables that software configures the device with. They keep what is written and hold the rules of writing; no more. */
export class Tables {
  readonly #profile: Profile;
  readonly #locks: TableLocks;
  readonly #wqcfg: Uint32Array;
  readonly #grpcfg: Uint32Array;
  readonly #perm: Uint32Array;

  constructor(profile: Profile, locks: TableLocks) {
    this.#profile = profile;
    this.#locks = locks;
    this.#wqcfg = new Uint32Array(profile.workQueues * profile.wqWords);
    this.#grpcfg = new Uint32Array(profile.groups * GRP_WORDS);
    this.#perm = new Uint32Array(profile.vectors);
    this.reset();
  }

  get wqcfgBytes(): number {
    return this.#wqcfg.byteLength;
  }
  get grpcfgBytes(): number {
    return this.#grpcfg.byteLength;
  }
  get permBytes(): number {
    return this.#perm.length * DSA.MSIX_PERM_BYTES;
  }

  reset(): void {
    this.#perm.fill(0);
    this.#grpcfg.fill(0);
    for (let wq = 0; wq < this.#profile.workQueues; wq++) this.#presetQueue(wq, WQ_SIZE);
    if (this.#profile.isReadOnly) this.#presetGroup();
  }

  /** A queue's configuration goes back to its reset values, but for the size: that belongs to the whole device. */
  resetQueue(wq: number): void {
    this.#presetQueue(wq, WQ_SIZE + 1);
  }

  #presetQueue(wq: number, from: number): void {
    const { wqWords, isReadOnly, totalSize, workQueues, maxTransferShift, maxBatchShift } = this.#profile;
    const at = wq * wqWords;
    this.#wqcfg.fill(0, at + from, at + wqWords);
    if (!isReadOnly) return;
    if (from === WQ_SIZE) this.#wqcfg[at] = Math.floor(totalSize / workQueues);
    const { priority, dedicated } = DSA.WQ_MODE.fields;
    this.#wqcfg[at + WQ_MODE] = (1 << priority.lsb) | (1 << dedicated.lsb);
    this.#wqcfg[at + DSA.WQ_LIMITS.offset / 4] =
      (maxBatchShift << DSA.WQ_LIMITS.fields.maxBatchShift.lsb) | (maxTransferShift << DSA.WQ_LIMITS.fields.maxTransferShift.lsb);
    this.#wqcfg.fill(0xffff_ffff, at + WQ_OPERATIONS, at + wqWords);
  }

  #presetGroup(): void {
    const { workQueues, engines, readBuffers } = this.#profile;
    for (let wq = 0; wq < workQueues; wq++) this.#grpcfg[wq >>> 5]! |= 1 << (wq & 31);
    for (let engine = 0; engine < engines; engine++) this.#grpcfg[GRP_ENGINES + (engine >>> 5)]! |= 1 << (engine & 31);
    this.#grpcfg[GRP_FLAGS] = (readBuffers << DSA.GRP_FLAGS.fields.readBuffersAllowed.lsb) | 0x09;
  }

  /** A word of a queue's configuration; that of its status is the queue's own affair. */
  queueWord(wq: number, word: number): number {
    return this.#wqcfg[wq * this.#profile.wqWords + word]!;
  }
  /** Whether a queue allows an operation. */
  allows(wq: number, opcode: number): boolean {
    if (!this.#profile.opConfig) return true;
    return ((this.queueWord(wq, WQ_OPERATIONS + (opcode >>> 5)) >>> (opcode & 31)) & 1) !== 0;
  }
  /** A word of a group's configuration: 0 to 7 its queues, 8 and 9 its engines, 10 its flags. */
  groupWord(group: number, word: number): number {
    return this.#grpcfg[group * GRP_WORDS + word]!;
  }
  /** For whom a message is. */
  permission(vector: number): number {
    return this.#perm[vector]!;
  }

  readWqcfg(offset: number): number {
    return this.#wqcfg[offset >>> 2]!;
  }
  /** @param mask bits that the access has; others stay */
  writeWqcfg(offset: number, value: number, mask: number): void {
    const index = offset >>> 2;
    const wq = Math.floor(index / this.#profile.wqWords);
    const word = index % this.#profile.wqWords;
    if (!this.#locks.isQueueDisabled(wq) || (word === WQ_SIZE && !this.#locks.isDisabled)) return;
    let writable = mask & WQ_WRITABLE[word]!;
    if (this.#profile.isReadOnly) writable &= word === WQ_MODE ? WQ_ADDRESS_SPACE : 0;
    this.#wqcfg[index] = (this.#wqcfg[index]! & ~writable) | (value & writable);
  }

  readGrpcfg(offset: number): number {
    return this.#grpcfg[offset >>> 2]!;
  }
  writeGrpcfg(offset: number, value: number, mask: number): void {
    if (!this.#locks.isDisabled || this.#profile.isReadOnly) return;
    const index = offset >>> 2;
    const writable = mask & GRP_WRITABLE[index % GRP_WORDS]!;
    this.#grpcfg[index] = (this.#grpcfg[index]! & ~writable) | (value & writable);
  }

  readPerm(offset: number): number {
    const index = offset >>> 2;
    return index % PERM_WORDS === 0 ? this.#perm[index / PERM_WORDS]! : 0;
  }
  writePerm(offset: number, value: number, mask: number): void {
    const index = offset >>> 2;
    if (index % PERM_WORDS !== 0) return;
    const writable = mask & PERM_WRITABLE;
    this.#perm[index / PERM_WORDS] = (this.#perm[index / PERM_WORDS]! & ~writable) | (value & writable);
  }

  /** Whether an offset among a queue's configuration is that of its status. */
  statusOf(offset: number): number {
    const index = offset >>> 2;
    return index % this.#profile.wqWords === WQ_STATUS ? Math.floor(index / this.#profile.wqWords) : -1;
  }
}
