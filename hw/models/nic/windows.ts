import type { Window } from '../../../core/hal/index.js';
import { hex } from '../../../core/lib/index.js';
import type { ModelLog } from '../../endpoint/index.js';
import { PAGE_BYTES, UAR_CQ_ARM, UAR_CQ_KICK, UAR_EQ_ARM, UAR_EQ_CI, UAR_INTR_KICK, UAR_SQ_DOORBELLS } from '../../regs/nic.js';
import type { NicFunction } from './function.js';
import { readSegment, writeSegment } from './init-segment.js';

const ONES = 0xffff_ffff;
const PAGE_MASK = PAGE_BYTES - 1;

/**
 * A BAR: of the physical function, or windows of sub-functions side by side. Each begins with an initialisation segment; pages of
 * UAR follow. Only whole registers are written; what is read of a page of UAR is 0. Where no function is, nothing happens.
 */
export class FunctionWindows implements Window {
  readonly sizeBytes: number;
  readonly #functions: readonly (NicFunction | undefined)[];
  readonly #windowBytes: number;
  readonly #firstUar: number;
  readonly #log: ModelLog;

  /** @param functions by window, as they are at the time of the access */
  constructor(
    functions: readonly (NicFunction | undefined)[],
    count: number,
    windowBytes: number,
    firstUar: number,
    log: ModelLog,
  ) {
    this.#log = log;
    this.#functions = functions;
    this.#windowBytes = windowBytes;
    this.#firstUar = firstUar;
    this.sizeBytes = count * windowBytes;
  }

  read8(offset: number): number {
    return (this.#word(offset) >>> (8 * (offset & 3))) & 0xff;
  }
  read16(offset: number): number {
    if (offset % 2 === 0) return (this.#word(offset) >>> (8 * (offset & 3))) & 0xffff;
    this.#refuse('read of 2 bytes', offset);
    return 0xffff;
  }
  read32(offset: number): number {
    if (offset % 4 === 0) return this.#word(offset);
    this.#refuse('read of 4 bytes', offset);
    return ONES;
  }
  read64(offset: number, out: Uint32Array): void {
    const isAligned = offset % 8 === 0;
    if (!isAligned) this.#refuse('read of 8 bytes', offset);
    out[0] = isAligned ? this.#word(offset) : ONES;
    out[1] = isAligned ? this.#word(offset + 4) : ONES;
  }

  write8(offset: number): void {
    this.#refuse('write of 1 byte', offset);
  }
  write16(offset: number): void {
    this.#refuse('write of 2 bytes', offset);
  }
  write32(offset: number, value: number): void {
    const fn = this.#functions[Math.floor(offset / this.#windowBytes)];
    if (fn === undefined) return;
    const within = offset % this.#windowBytes;
    const page = Math.floor(within / PAGE_BYTES);
    const isTaken =
      page < this.#firstUar ? writeSegment(fn, within, value) : writeEventRegister(fn, page, within & PAGE_MASK, value);
    if (!isTaken) this.#refuse('write of 4 bytes', offset);
  }
  write64(offset: number, lo: number, hi: number): void {
    const fn = this.#functions[Math.floor(offset / this.#windowBytes)];
    if (fn === undefined) return;
    const within = offset % this.#windowBytes;
    const page = Math.floor(within / PAGE_BYTES);
    const register = within & PAGE_MASK;
    if (page < this.#firstUar || !isDoorbell(register)) this.#refuse('write of 8 bytes', offset);
    else if (fn.uarNumbers.has(page)) fn.device.engine.doorbell(fn, page, register, lo, hi);
    else fn.uarViolations++;
  }

  /** The word that `offset` is in. */
  #word(offset: number): number {
    const fn = this.#functions[Math.floor(offset / this.#windowBytes)];
    return readSegment(fn, (offset % this.#windowBytes) & ~3);
  }

  #refuse(what: string, offset: number): void {
    this.#log.guestError(`${what} at 0x${hex(offset)}: no register there takes it`);
  }
}

function isDoorbell(register: number): boolean {
  return register === UAR_CQ_ARM || (register >= UAR_SQ_DOORBELLS[0] && (register & 0x1ff) === 0);
}

/** A register that is about an event queue, or a message: a queue of another page does not hear of it. @returns false for what is none */
function writeEventRegister(fn: NicFunction, page: number, register: number, value: number): boolean {
  if (register === UAR_CQ_KICK) {
    const cq = fn.cqs[value];
    if (cq?.setup.uar === page) cq.setup.message?.kick();
    else fn.uarViolations++;
    return true;
  }
  if (register !== UAR_EQ_ARM && register !== UAR_EQ_CI && register !== UAR_INTR_KICK) return false;
  const eq = fn.eqs[register === UAR_INTR_KICK ? value : value >>> 24];
  if (eq === undefined || eq.setup.uar !== page) {
    fn.uarViolations++;
    return true;
  }
  if (register === UAR_EQ_ARM) eq.arm(value);
  else if (register === UAR_EQ_CI) eq.update(value);
  else eq.kick();
  return true;
}
