import {
  type AddressSpace,
  type DmaMemory,
  Errno,
  type FileDevice,
  type FileOperations,
  type MmapRequest,
  POLL,
  type Task,
  type Window,
  capable,
  describeError,
  hex,
} from '../../core/index.js';
import * as DSA from '../../hw/regs/dsa.js';
import type { CompletionVector } from './completion-vector.js';
import { BATCH_EVENTS, type LoggedEvent } from './event-log.js';
import { UserPortal } from './user-portal.js';
import type { Wq } from './wq.js';

const { COMPLETION, COMPLETION_BYTES, DESCRIPTOR, DESCRIPTOR_BYTES, OPCODES } = DSA;
const WORDS = DESCRIPTOR_BYTES / 4;
/** Bytes that `read` gives: the error register, or how often it has interrupted. */
const ERROR_BYTES = 32;
const COUNT_BYTES = 4;

/** What an open file of a queue is made of. */
export interface UserFileParts {
  readonly wq: Wq;
  readonly file: FileDevice;
  /** Of the task that opened it: nobody else's is reached. */
  readonly space: AddressSpace;
  readonly pasid: number;
  /** The interrupt of its work; undefined where it has none. */
  readonly vector: CompletionVector | undefined;
  readonly memory: DmaMemory;
}

/**
 * A queue that a task has open: its portal, for work in the address space of that task alone.
 *
 * `write` takes descriptors, `mmap` gives the portal itself. `poll` says IN while an error is held that the device could tell by no
 * completion record, PRI when work has interrupted, and ERR when the device has halted; `read` gives and takes the first two: 32 bytes, the
 * error register as the device had it, or 4, how often it has interrupted since.
 * @see Linux 6.12 drivers/dma/idxd/cdev.c
 */
export class UserFile implements FileOperations {
  readonly space: AddressSpace;
  readonly pasid: number;
  readonly vector: CompletionVector | undefined;
  /** Completion records that the device could not write, and that were to be written here; and those that could not. */
  faults = 0;
  faultFailures = 0;
  /** What descriptors name their interrupt by; undefined where they have none. */
  handle: number | undefined;
  readonly #wq: Wq;
  readonly #file: FileDevice;
  readonly #memory: DmaMemory;
  readonly #portal: UserPortal;
  readonly #words = new Uint32Array(WORDS);
  /** Numbers of batches with a member whose record is missing. */
  readonly #failedBatches = new Set<number>();
  #error: Uint32Array | undefined = undefined;
  #interrupts = 0;
  /** A queue without room is part of normal work: made once. */
  readonly #full: Errno;

  constructor({ wq, file, space, pasid, vector, memory }: UserFileParts) {
    this.#wq = wq;
    this.#file = file;
    this.space = space;
    this.pasid = pasid;
    this.#memory = memory;
    this.vector = vector;
    this.handle = vector?.index;
    this.#portal = new UserPortal(wq, pasid, vector?.isIms ?? false);
    this.#full = new Errno('EAGAIN', `${wq.name}: has no room: wait for some of the work to end`);
  }

  /**
   * Submits descriptors, one after the other.
   * @returns bytes that were taken: whole descriptors; those from one that is refused on are not
   * @throws {Errno} EPERM for another task than the one that opened it; EIO while the device is not enabled; EINVAL when the first is a batch,
   *   or its completion record is not aligned; EAGAIN when a shared queue has no room for it
   */
  write(task: Task, data: Uint8Array): number {
    this.#checkOwner(task);
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    let done = 0;
    for (; done + DESCRIPTOR_BYTES <= data.length; done += DESCRIPTOR_BYTES) {
      const refusal = this.#submit(view, done);
      if (refusal === undefined) continue;
      if (done === 0) throw refusal;
      break;
    }
    return done;
  }

  /**
   * The portal of the queue.
   * @throws {Errno} EPERM without CAP_SYS_RAWIO, since the device would take anything, and for another task than the one that opened it;
   *   EINVAL for more than a page, and for a private mapping
   */
  mmap(task: Task, { sizeBytes, shared = true }: MmapRequest): Window {
    if (!capable(task, 'CAP_SYS_RAWIO')) {
      throw new Errno('EPERM', `${this.#wq.name}: ${task.name} may not have its portal without CAP_SYS_RAWIO: write descriptors`);
    }
    this.#checkOwner(task);
    if (sizeBytes > DSA.PORTAL_BYTES || !shared) {
      const what = shared ? `${sizeBytes} bytes` : 'a copy';
      throw new Errno('EINVAL', `${this.#wq.name}: a mapping of ${what}: the portal is one shared page`);
    }
    return this.#portal;
  }

  poll(task: Task): number {
    if (task.mm !== this.space) return POLL.NVAL;
    const hasHalted = this.#wq.idxd.state === 'halted';
    const isReadable = this.#error !== undefined;
    return (hasHalted ? POLL.ERR : 0) | (isReadable ? POLL.IN | POLL.RDNORM : 0) | (this.#interrupts === 0 ? 0 : POLL.PRI);
  }

  /** @throws {Errno} EPERM for another task; EAGAIN when there is nothing to tell; EINVAL for less than 4 bytes */
  read(task: Task, buffer: Uint8Array): number {
    this.#checkOwner(task);
    if (buffer.length < COUNT_BYTES) {
      throw new Errno(
        'EINVAL',
        `${this.#wq.name}: read of ${buffer.length} bytes: an error has ${ERROR_BYTES}, a count ${COUNT_BYTES}`,
      );
    }
    const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    if (buffer.length < ERROR_BYTES) {
      if (this.#interrupts === 0) throw new Errno('EAGAIN', `${this.#wq.name}: has not interrupted`);
      view.setUint32(0, this.#interrupts, true);
      this.#interrupts = 0;
      return COUNT_BYTES;
    }
    const error = this.#error;
    if (error === undefined) throw new Errno('EAGAIN', `${this.#wq.name}: has no error`);
    error.forEach((word, i) => view.setUint32(4 * i, word, true));
    this.#error = undefined;
    return ERROR_BYTES;
  }

  /** Its work has interrupted. */
  interrupted(): void {
    this.#interrupts++;
    this.wake();
  }

  /** Those who wait look again. */
  wake(): void {
    this.#file.wake();
  }

  /** The device has had an error; a later one replaces it. @param words SWERROR */
  failed(words: Uint32Array): void {
    this.#error = words;
    this.wake();
  }

  /**
   * A completion record that the device could not write to the memory of the task is written there. That of a batch says that it failed
   * when one of its members' could not be.
   * @see Linux 6.12 drivers/dma/idxd/irq.c idxd_evl_fault_work
   */
  logged({ error, isBatch, isFirstError, batchId, wantsRecord, faultAddress, record }: LoggedEvent): void {
    const isMissing = error === DSA.STATUS.completionFault;
    const hasFailed = error === BATCH_EVENTS && this.#failedBatches.delete(batchId);
    if (hasFailed) record[COMPLETION.result] = 1;
    if (isMissing && isBatch && isFirstError) this.#failedBatches.add(batchId);
    this.faults++;
    if (!(isMissing || hasFailed || wantsRecord) || this.#copy(faultAddress, record)) return;
    this.faultFailures++;
    if (isMissing && isBatch) this.#failedBatches.add(batchId);
  }

  /** The status comes last: who polls for it finds the rest. */
  #copy(address: number, record: Uint8Array): boolean {
    // An aligned record is in one page.
    if (address % COMPLETION_BYTES !== 0 || !this.#getPage(address)) return false;
    const paddr = this.space.physicalOf(address, true);
    if (paddr === undefined) return false;
    const rest = COMPLETION.status + 1;
    this.#memory.write(paddr + rest, record, rest, COMPLETION_BYTES - rest);
    this.#memory.write(paddr + COMPLETION.status, record, COMPLETION.status, 1);
    return true;
  }

  /** The errors of the others are not to be lost by one who throws. */
  #getPage(address: number): boolean {
    try {
      return this.space.fault(address, true);
    } catch (error) {
      this.#wq.log('warn', `page 0x${hex(address)} of ${this.space.name}: ${describeError(error)}`, 'page_fault');
      return false;
    }
  }

  /** @returns why it is refused */
  #submit(view: DataView, at: number): Errno | undefined {
    const { name, idxd, mode, enqcmdsRetries } = this.#wq;
    const words = this.#words;
    for (let i = 0; i < WORDS; i++) words[i] = view.getUint32(at + 4 * i, true);
    if (idxd.state !== 'enabled') return new Errno('EIO', `${name}: the device is ${idxd.state}`);
    // What its members do, nobody could look at.
    if (words[DESCRIPTOR.flags / 4]! >>> 24 === OPCODES.batch) return new Errno('EINVAL', `${name}: a batch: submit its members`);
    if (words[DESCRIPTOR.completion / 4]! % COMPLETION_BYTES !== 0) {
      return new Errno('EINVAL', `${name}: a completion record must be aligned to ${COMPLETION_BYTES} bytes`);
    }
    if (mode === 'dedicated') {
      this.#portal.movdir64b(0, words);
      return undefined;
    }
    for (let left = enqcmdsRetries; this.#portal.enqcmd(0, words); left--) {
      if (left === 0) return this.#full;
      idxd.dev.clock.relax();
    }
    return undefined;
  }

  #checkOwner(task: Task): void {
    if (task.mm === this.space) return;
    throw new Errno('EPERM', `${this.#wq.name}: ${task.name} is not the task that has opened it: open it yourself`);
  }
}
