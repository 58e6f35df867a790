import { type DmaPort, type ModelLog, NO_ADDRESS } from '../../endpoint/index.js';
import * as DSA from '../../regs/dsa.js';
import type { Execution } from './execution.js';
import { CAUSE_ERROR, CAUSE_EVL, type Interrupts } from './interrupts.js';
import { type Profile, writableOf } from './profile.js';

const VALID = 1 << DSA.SWERROR.fields.valid.lsb;
const OVERFLOW = 1 << DSA.SWERROR.fields.overflow.lsb;
const DESCRIPTOR = 1 << DSA.SWERROR.fields.descriptorValid.lsb;
const WQ = 1 << DSA.SWERROR.fields.wqValid.lsb;
const BATCH = 1 << DSA.SWERROR.fields.batch.lsb;
const WRITE = 1 << DSA.SWERROR.fields.isWrite.lsb;
const PRIVILEGED = 1 << DSA.SWERROR.fields.privileged.lsb;
/** Of an entry of the event log alone: the second word of 64 bits tells more. */
const INFO = 1 << 7;
const ERROR_SHIFT = DSA.SWERROR.fields.error.lsb;
const WQ_SHIFT = DSA.SWERROR.fields.wq.lsb;
const PASID_SHIFT = DSA.SWERROR.fields.pasid.lsb - 32;

const HEADER_WORDS = 8;
const RECORD_AT = 32;
const PENDING = 1 << (DSA.EVLSTATUS.fields.pending.lsb - 32);
const MIN_ENTRIES = 64;
const EVLCFG_WORDS = 4;
/** By word of the configuration: base and address space, then size and PASID. */
const EVLCFG_WRITABLE = [
  writableOf(DSA.EVLCFG),
  writableOf(DSA.EVLCFG, 32),
  writableOf(DSA.EVLCFG_SIZE),
  writableOf(DSA.EVLCFG_SIZE, 32),
] as const;

/** What went wrong: the error register for the first that nobody has read, and the event log in memory. */
export class Errors {
  /** SWERROR, eight words. */
  readonly register = new Uint32Array(HEADER_WORDS);
  readonly #config = new Uint32Array(EVLCFG_WORDS);
  readonly #dma: DmaPort;
  readonly #log: ModelLog;
  readonly #interrupts: Interrupts;
  readonly #header = new Uint32Array(HEADER_WORDS);
  readonly #entry: Uint8Array;
  #isLogging = false;
  #head = 0;
  #tail = 0;
  #isPending = false;

  constructor(profile: Profile, dma: DmaPort, log: ModelLog, interrupts: Interrupts) {
    this.#dma = dma;
    this.#log = log;
    this.#interrupts = interrupts;
    this.#entry = new Uint8Array(profile.eventBytes);
  }

  reset(): void {
    this.register.fill(0);
    this.#config.fill(0);
    this.#isLogging = this.#isPending = false;
    this.#head = this.#tail = 0;
  }

  /** Turns the event log on, from its beginning, or off. */
  setLogging(on: boolean): void {
    const isOn = on && this.#entry.length > 0;
    if (isOn && !this.#isLogging) this.#head = this.#tail = 0;
    this.#isLogging = isOn;
  }

  readConfig(word: number): number {
    return this.#config[word]!;
  }
  writeConfig(word: number, value: number, mask: number): void {
    if (this.#isLogging || this.#entry.length === 0) return;
    const writable = mask & EVLCFG_WRITABLE[word as 0 | 1 | 2 | 3];
    this.#config[word] = (this.#config[word]! & ~writable) | (value & writable);
  }

  get head(): number {
    return this.#head;
  }
  /** The upper word of EVLSTATUS. */
  get tailWord(): number {
    return this.#tail | (this.#isPending ? PENDING : 0);
  }
  writeHead(value: number, mask: number): void {
    const bits = mask & 0xffff;
    this.#head = (this.#head & ~bits) | (value & bits);
  }
  acknowledgeLog(value: number): void {
    if ((value & PENDING) !== 0) this.#isPending = false;
  }

  /** Valid and overflow are cleared where they are written. */
  acknowledge(value: number): void {
    this.register[0] = this.register[0]! & ~(value & (VALID | OVERFLOW));
  }

  /** An error that is of no descriptor. */
  device(error: number): void {
    this.#header.fill(0);
    this.#header[0] = VALID | (error << ERROR_SHIFT);
    this.#keep(false);
  }

  /**
   * An error of a descriptor whose completion record cannot tell it.
   * @param lo, hi the address that was refused; 0 when none was
   */
  descriptor(x: Execution, error: number, lo: number, hi: number, isWrite: boolean): void {
    const isLogging = this.#isLogging && mayLog(x, error);
    if (isLogging && this.#append(x, error, lo, hi, isWrite)) return;
    if (x.isCancelled) return;
    this.#describe(x, error, lo, hi, isWrite);
    this.#header[0] = this.#header[0]! | VALID;
    this.#header[3] = x.invalidFlags;
    this.#keep(isLogging);
  }

  /** @param isOverflow the event log had no place for it */
  #keep(isOverflow: boolean): void {
    if ((this.register[0]! & VALID) !== 0) this.register[0] = this.register[0]! | OVERFLOW;
    else {
      this.register.set(this.#header);
      if (isOverflow) this.register[0] = this.register[0]! | OVERFLOW;
    }
    this.#interrupts.raiseIf(1 << DSA.GENCTRL.fields.softwareError.lsb, CAUSE_ERROR);
  }

  #describe(x: Execution, error: number, lo: number, hi: number, isWrite: boolean): void {
    const header = this.#header;
    header[0] =
      DESCRIPTOR |
      WQ |
      (x.isMember ? BATCH : 0) |
      (isWrite ? WRITE : 0) |
      (x.isPrivileged ? PRIVILEGED : 0) |
      ((error & 0x7f) << ERROR_SHIFT) |
      (x.wq.index << WQ_SHIFT);
    header[1] = x.opcode | (x.pasid << PASID_SHIFT);
    header[2] = x.isMember ? x.batchIndex : 0;
    header[3] = 0;
    header[4] = lo;
    header[5] = hi;
    header[6] = header[7] = 0;
  }

  /** @returns false when the log has no place, or cannot be written */
  #append(x: Execution, error: number, lo: number, hi: number, isWrite: boolean): boolean {
    const size = this.#config[2]! & 0xffff;
    if (size < MIN_ENTRIES) {
      this.#log.guestError(`event log of ${size} entries: must have ${MIN_ENTRIES} or more`);
      return false;
    }
    const next = (this.#tail + 1) % size;
    if (next === this.#head) return false;
    this.#describe(x, error, lo, hi, isWrite);
    const header = this.#header;
    const { completionFault, flags, handle } = DSA.STATUS;
    if (error === flags || error === handle || error === completionFault) {
      header[0] = header[0]! | INFO;
      header[3] = error === flags ? x.invalidFlags : x.completionInfo;
    }
    const entry = this.#entry;
    for (let i = 0; i < RECORD_AT; i++) entry[i] = header[i >>> 2]! >>> (8 * (i & 3));
    for (let i = 0; i < DSA.COMPLETION_BYTES; i++) entry[RECORD_AT + i] = x.record[i]!;
    const base = this.#dma.address(this.#config[0]! & 0xffff_f000, this.#config[1]!);
    const hasPasid = (this.#config[0]! & 1) !== 0;
    const pasid = hasPasid ? (this.#config[3]! & 0xf) * 0x1_0000 + (this.#config[2]! >>> 16) : 0;
    const at = base + this.#tail * entry.length;
    if (base === NO_ADDRESS || !this.#dma.write(at, entry, 0, entry.length, pasid)) return false;
    // A reset while the entry was on its way has emptied the log.
    if (x.isCancelled) return true;
    this.#tail = next;
    this.#isPending = true;
    this.#interrupts.raiseIf(1 << DSA.GENCTRL.fields.evl.lsb, CAUSE_EVL);
    return true;
  }
}

/**
 * A completion record that could not be written is logged for the user that its PASID names; without one, as for a kernel's own
 * queue, there is nobody to whom software could hand it on, and the error register has it.
 */
function mayLog(x: Execution, error: number): boolean {
  return error !== DSA.STATUS.completionFault || (x.pasid !== 0 && !x.isPrivileged);
}
