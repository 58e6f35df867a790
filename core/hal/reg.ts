import { Errno } from '../lib/errno.js';

/**
 * What an access does to a field: `ro` writes are dropped, `wo` reads give 0, `w1c` a written 1 clears, `w1s` a written 1
 * sets, `rc` a read clears, `rsvd` reads 0 and keeps nothing.
 */
export type FieldMode = 'rw' | 'ro' | 'wo' | 'w1c' | 'w1s' | 'rc' | 'rsvd';

/** A run of bits of one register. */
export interface Field {
  readonly name: string;
  readonly msb: number;
  readonly lsb: number;
  readonly mode: FieldMode;
  /** Value after reset, unshifted. */
  readonly reset: number;
}

/** What {@link field} gives to {@link reg32}: a field that does not know its name yet. */
export interface FieldSpec {
  readonly msb: number;
  readonly lsb: number;
  readonly mode: FieldMode;
  readonly reset: number;
}

/** A register: one line of a datasheet, from which a driver's typed access and a model's behaviour both come. */
export interface Reg<F extends string = string> {
  readonly name: string;
  /** Bytes from the start of the window. */
  readonly offset: number;
  readonly bytes: 1 | 2 | 4 | 8;
  readonly fields: { readonly [K in F]: Field };
  /** Value after reset of the bits that no field claims. */
  readonly reset: number;
  /** Mode of the bits that no field claims. */
  readonly mode: FieldMode;
}

/** Options of a register declaration. */
export interface RegOptions {
  /** Value after reset of the whole register; fields with a reset value of their own override it. */
  readonly reset?: number;
  /** Mode of a register without fields, and of the bits outside its fields; default `rw` without fields, `rsvd` with some. */
  readonly mode?: FieldMode;
}

/**
 * Declares a field: bit `msb`, or bits `msb` down to `lsb`.
 * @param msb 0 to 63; a field is at most 53 bits wide
 */
export function field(msb: number, lsb: number = msb, mode: FieldMode = 'rw', reset = 0): FieldSpec {
  if (!(Number.isInteger(msb) && Number.isInteger(lsb) && lsb >= 0 && msb >= lsb && msb <= 63 && msb - lsb < 53)) {
    throw new Errno('EINVAL', `field: bits ${msb}:${lsb} are not a field of at most 53 bits within 63:0`);
  }
  return { msb, lsb, mode, reset };
}

function declare<F extends string>(
  bytes: 1 | 2 | 4 | 8,
  name: string,
  offset: number,
  specs: { readonly [K in F]: FieldSpec },
  options: RegOptions,
): Reg<F> {
  if (!Number.isSafeInteger(offset) || offset < 0) {
    throw new Errno('EINVAL', `${name}: offset ${offset} is not a non-negative integer`);
  }
  const names = Object.keys(specs) as F[];
  const fields = {} as { [K in F]: Field };
  for (const key of names) {
    const spec = specs[key];
    if (spec.msb >= bytes * 8) {
      throw new Errno('EINVAL', `${name}.${key}: bit ${spec.msb} is outside a register of ${bytes * 8} bits`);
    }
    for (const other of Object.values<Field>(fields)) {
      if (spec.lsb <= other.msb && other.lsb <= spec.msb) {
        throw new Errno('EINVAL', `${name}.${key}: bits ${spec.msb}:${spec.lsb} overlap those of ${other.name}`);
      }
    }
    checkMode(`${name}.${key}`, spec.mode);
    checkReset(`${name}.${key}`, spec.reset, spec.msb - spec.lsb + 1);
    fields[key] = { name: key, ...spec };
  }
  const { reset = 0, mode = names.length > 0 ? 'rsvd' : 'rw' } = options;
  checkMode(name, mode);
  checkReset(name, reset, bytes * 8);
  return { name, offset, bytes, fields, reset, mode };
}

const MODES: readonly FieldMode[] = ['rw', 'ro', 'wo', 'w1c', 'w1s', 'rc', 'rsvd'];

function checkMode(who: string, mode: FieldMode): void {
  if (!MODES.includes(mode)) throw new Errno('EINVAL', `${who}: mode ${mode} is none of ${MODES.join(', ')}`);
}

function checkReset(who: string, reset: number, width: number): void {
  if (Number.isInteger(reset) && reset >= 0 && reset < 2 ** width) return;
  throw new Errno('ERANGE', `${who}: its reset value ${reset} does not fit ${width} bits`);
}

type Declare = <F extends string = never>(
  name: string,
  offset: number,
  fields?: { readonly [K in F]: FieldSpec },
  options?: RegOptions,
) => Reg<F>;

/** Declares an 8-bit register. @example `const REV = reg8('REV', 0x08, {}, { mode: 'ro' })` */
export const reg8: Declare = (name, offset, fields, options = {}) => declare(1, name, offset, fields ?? ({} as never), options);
/** Declares a 16-bit register. */
export const reg16: Declare = (name, offset, fields, options = {}) => declare(2, name, offset, fields ?? ({} as never), options);
/** Declares a 32-bit register. */
export const reg32: Declare = (name, offset, fields, options = {}) => declare(4, name, offset, fields ?? ({} as never), options);
/** Declares a 64-bit register; accessed as one 8-byte transaction. */
export const reg64: Declare = (name, offset, fields, options = {}) => declare(8, name, offset, fields ?? ({} as never), options);

/**
 * The same register at another place: `regAt(WQ_CFG, index, stride)`.
 * @param strideBytes distance between two of them
 * @throws {Errno} ERANGE when there is no such place
 */
export function regAt<F extends string>(reg: Reg<F>, index: number, strideBytes: number): Reg<F> {
  const offset = reg.offset + index * strideBytes;
  if (!Number.isSafeInteger(offset) || index < 0) {
    throw new Errno('ERANGE', `${reg.name}[${index}]: ${strideBytes} bytes apart: is at offset ${offset}`);
  }
  return { ...reg, name: `${reg.name}[${index}]`, offset };
}

/** The value of `f` in a register value below 2^53. Linux's `FIELD_GET`. */
export function getField(f: Field | FieldSpec, value: number): number {
  const width = f.msb - f.lsb + 1;
  if (f.msb < 32) return width === 32 ? value >>> 0 : (value >>> f.lsb) & ((1 << width) - 1);
  return Math.floor(value / 2 ** f.lsb) % 2 ** width;
}

/**
 * `value` with `f` replaced. Linux's `FIELD_PREP` and a mask.
 * @throws {Errno} ERANGE when `to` does not fit the field
 */
export function setField(f: Field | FieldSpec, value: number, to: number): number {
  const span = 2 ** (f.msb - f.lsb + 1);
  if (!(Number.isInteger(to) && to >= 0 && to < span)) {
    const name = 'name' in f ? f.name : 'field';
    throw new Errno('ERANGE', `${name}: ${to} does not fit bits ${f.msb}:${f.lsb}, at most ${span - 1}`);
  }
  return value + (to - getField(f, value)) * 2 ** f.lsb;
}

/** Puts named field values together: `packFields(CTRL, { enable: 1 })`; fields not named are 0. */
export function packFields<F extends string>(reg: Reg<F>, values: { readonly [K in F]?: number }): number {
  let word = 0;
  for (const key in values) word = setField(fieldOf(reg, key), word, values[key] ?? 0);
  return word;
}

/** @throws {Errno} EINVAL when the register has no field of this name. @internal */
export function fieldOf<F extends string>(reg: Reg<F>, name: F): Field {
  const f: Field | undefined = reg.fields[name];
  if (f === undefined) throw new Errno('EINVAL', `${reg.name}: has no field ${name}, has ${Object.keys(reg.fields).join(', ')}`);
  return f;
}

/** As {@link setField}, in the two words of a 64-bit register, low word first. @internal */
export function setField64(f: Field, words: Uint32Array, to: number): void {
  const { name, msb, lsb } = f;
  if (msb < 32) {
    words[0] = setField(f, words[0]!, to);
    return;
  }
  if (lsb >= 32) {
    words[1] = setField({ ...f, msb: msb - 32, lsb: lsb - 32 }, words[1]!, to);
    return;
  }
  if (!(Number.isInteger(to) && to >= 0 && to < 2 ** (msb - lsb + 1))) {
    throw new Errno('ERANGE', `${name}: ${to} does not fit bits ${msb}:${lsb}`);
  }
  const low = 2 ** (32 - lsb);
  words[0] = setField({ ...f, msb: 31 }, words[0]!, to % low);
  words[1] = setField({ ...f, msb: msb - 32, lsb: 0 }, words[1]!, Math.floor(to / low));
}

/** A register value taken apart by field. */
export function unpackFields<F extends string>(reg: Reg<F>, value: number): { [K in F]: number } {
  const out = {} as { [K in F]: number };
  for (const key in reg.fields) out[key] = getField(reg.fields[key], value);
  return out;
}

/**
 * A 32-bit half of a register as its declaration has it: the value after reset, and which bits are of which mode.
 * @param base its first bit
 */
export function wordOf(
  reg: Reg,
  base: 0 | 32 = 0,
): { readonly reset: number; readonly masks: Readonly<Record<FieldMode, number>> } {
  const span = Math.min(32, reg.bytes * 8 - base);
  const all = span === 32 ? 0xffff_ffff : 2 ** span - 1;
  const masks: Record<FieldMode, number> = { rw: 0, ro: 0, wo: 0, w1c: 0, w1s: 0, rc: 0, rsvd: 0 };
  let claimed = 0;
  let reset = base === 0 ? reg.reset % 2 ** 32 : Math.floor(reg.reset / 2 ** 32);
  for (const f of Object.values<Field>(reg.fields)) {
    const lsb = Math.max(f.lsb, base) - base;
    const msb = Math.min(f.msb, base + span - 1) - base;
    if (msb < 0 || lsb > msb) continue;
    const mask = ((2 ** (msb + 1) - 2 ** lsb) >>> 0) | 0;
    masks[f.mode] |= mask;
    claimed |= mask;
    if (f.reset !== 0) {
      const part = f.lsb >= base ? f.reset * 2 ** (f.lsb - base) : Math.floor(f.reset / 2 ** (base - f.lsb));
      reset = (reset & ~mask) | ((part % 2 ** 32) & mask);
    }
  }
  masks[reg.mode] |= all & ~claimed;
  return { reset: reset >>> 0, masks };
}
