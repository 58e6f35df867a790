import type { Window } from '../../../core/hal/index.js';
import { PAGE_BYTES, UAR_CQ_ARM, UAR_CQ_KICK, UAR_EQ_ARM, UAR_EQ_CI, UAR_INTR_KICK, UAR_SQ_DOORBELLS } from '../../regs/nic.js';
import type { NicFunction } from './function.js';
import { readSegment, writeSegment } from './init-segment.js';

const ONES = 0xffff_ffff;
const PAGE_MASK = PAGE_BYTES - 1;

/**
 * A BAR: of the physical function, or windows of sub-functions side by side. Each begins with an initialisation segment; pages of
 * UAR follow. Only whole registers are written; what is read of a page of UAR is 0.
 */
export class FunctionWindows implements Window {
  readonly sizeBytes: number;
  readonly #functions: readonly (NicFunction | undefined)[];
  readonly #windowBytes: number;
  readonly #firstUar: number;

  /** @param functions by window, as they are at the time of the access */
  constructor(functions: readonly (NicFunction | undefined)[], count: number, windowBytes: number, firstUar: number) {
    this.#functions = functions;
    this.#windowBytes = windowBytes;
    this.#firstUar = firstUar;
    this.sizeBytes = count * windowBytes;
  }

  read8(offset: number): number {
    return (this.#word(offset) >>> (8 * (offset & 3))) & 0xff;
  }
  read16(offset: number): number {
    return offset % 2 === 0 ? (this.#word(offset) >>> (8 * (offset & 3))) & 0xffff : 0xffff;
  }
  read32(offset: number): number {
    return offset % 4 === 0 ? this.#word(offset) : ONES;
  }
  read64(offset: number, out: Uint32Array): void {
    const isAligned = offset % 8 === 0;
    out[0] = isAligned ? this.#word(offset) : ONES;
    out[1] = isAligned ? this.#word(offset + 4) : ONES;
  }

  write8(): void {}
  write16(): void {}
  write32(offset: number, value: number): void {
    if (offset % 4 !== 0) return;
    const fn = this.#functions[Math.floor(offset / this.#windowBytes)];
    if (fn === undefined) return;
    const within = offset % this.#windowBytes;
    const page = Math.floor(within / PAGE_BYTES);
    if (page < this.#firstUar) writeSegment(fn, within, value);
    else writeEventRegister(fn, page, within & PAGE_MASK, value);
  }
  write64(offset: number, lo: number, hi: number): void {
    const fn = this.#functions[Math.floor(offset / this.#windowBytes)];
    if (fn === undefined) return;
    const within = offset % this.#windowBytes;
    const page = Math.floor(within / PAGE_BYTES);
    const register = within & PAGE_MASK;
    if (page < this.#firstUar || !isDoorbell(register)) return;
    if (fn.uarNumbers.has(page)) fn.device.engine.doorbell(fn, page, register, lo, hi);
    else fn.uarViolations++;
  }

  /** The word that `offset` is in. */
  #word(offset: number): number {
    const fn = this.#functions[Math.floor(offset / this.#windowBytes)];
    return readSegment(fn, (offset % this.#windowBytes) & ~3);
  }
}

function isDoorbell(register: number): boolean {
  return register === UAR_CQ_ARM || (register >= UAR_SQ_DOORBELLS[0] && (register & 0x1ff) === 0);
}

/** A register that is about an event queue, or a message: a queue of another page does not hear of it. */
function writeEventRegister(fn: NicFunction, page: number, register: number, value: number): void {
  if (register === UAR_CQ_KICK) {
    const cq = fn.cqs[value];
    if (cq?.setup.uar === page) cq.setup.message?.kick();
    else fn.uarViolations++;
    return;
  }
  if (register !== UAR_EQ_ARM && register !== UAR_EQ_CI && register !== UAR_INTR_KICK) return;
  const eq = fn.eqs[register === UAR_INTR_KICK ? value : value >>> 24];
  if (eq === undefined || eq.setup.uar !== page) {
    fn.uarViolations++;
    return;
  }
  if (register === UAR_EQ_ARM) eq.arm(value);
  else if (register === UAR_EQ_CI) eq.update(value);
  else eq.kick();
}
