import { type Attribute, type Device, Errno, type ErrnoCode, hex } from '../../core/index.js';
import type { Idxd } from './idxd.js';
import type { Wq } from './wq.js';

/** What is written to an attribute: one word, or one line. */
export const trimmed = (text: string): string => text.trim();

/** A value with its final newline. */
export const line = (value: string | number): string => `${value}\n`;

const DECIMAL = /^[+-]?\d+$/;
const TRUE: readonly string[] = ['1', 'y', 'Y', 't', 'T', 'on', 'On', 'ON'];
const FALSE: readonly string[] = ['0', 'n', 'N', 'f', 'F', 'off', 'Off', 'OFF'];

/** @throws {Errno} EINVAL for what is no integer in decimal. @see Linux 6.12 lib/kstrtox.c kstrtol */
export function integer(dev: Device, text: string): number {
  const word = trimmed(text);
  if (!DECIMAL.test(word)) throw invalid(dev, `${JSON.stringify(word)} is no integer`);
  return Number(word);
}

/** As {@link integer}, also in hexadecimal after `0x`, and in octal after `0`. @see Linux 6.12 lib/kstrtox.c kstrtoull with base 0 */
export function integerOfAnyBase(dev: Device, text: string): number {
  const word = trimmed(text);
  if (/^0[xX][0-9a-fA-F]+$/.test(word)) return Number(word);
  return /^0[0-7]+$/.test(word) ? Number.parseInt(word, 8) : integer(dev, word);
}

/** @throws {Errno} EINVAL for an integer outside `min` to `max` */
export function checked(dev: Device, value: number, min: number, max: number): number {
  if (value < min || value > max) throw invalid(dev, `${value} is not ${min} to ${max}`);
  return value;
}

/** @throws {Errno} EINVAL for what is neither. @see Linux 6.12 lib/kstrtox.c kstrtobool */
export function flag(dev: Device, text: string): boolean {
  const word = trimmed(text);
  if (!TRUE.includes(word) && !FALSE.includes(word)) throw invalid(dev, `${JSON.stringify(word)} is neither 0 nor 1`);
  return TRUE.includes(word);
}

/** @throws {Errno} EINVAL for a word that is none of these */
export function oneOf<T extends string>(dev: Device, text: string, words: readonly T[]): T {
  const word = trimmed(text);
  const found = words.find((one) => one === word);
  if (found === undefined) throw invalid(dev, `${JSON.stringify(word)} is none of ${words.join(', ')}`);
  return found;
}

/** Words of 32 bits as Linux prints a bitmap: the highest first, 8 digits each, with commas between. */
export const bitmapText = (words: Uint32Array): string =>
  Array.from(words, (word) => hex(word, 8))
    .reverse()
    .join(',');

/** Undefined for what is no bitmap of at most so many words. @see Linux 6.12 lib/bitmap-str.c bitmap_parse */
export function parseBitmap(text: string, words: number): Uint32Array | undefined {
  const parts = trimmed(text).split(',').reverse();
  if (parts.length > words || !parts.every((part) => /^[0-9a-fA-F]{1,8}$/.test(part))) return undefined;
  const bits = new Uint32Array(words);
  parts.forEach((part, i) => (bits[i] = Number.parseInt(part, 16)));
  return bits;
}

/** As {@link parseBitmap}. @throws {Errno} EINVAL for what is no such bitmap */
export function bitmap(dev: Device, text: string, words: number): Uint32Array {
  const bits = parseBitmap(text, words);
  if (bits !== undefined) return bits;
  throw invalid(dev, `${JSON.stringify(trimmed(text))} is no bitmap of ${words} words of 8 hexadecimal digits`);
}

/** Whether each bit of a bitmap is one of another of its length. */
export const isWithin = (bits: Uint32Array, all: Uint32Array): boolean => bits.every((word, i) => (word & ~all[i]!) === 0);

export const invalid = (dev: Device, what: string): Errno => new Errno('EINVAL', `${dev.name}: ${what}`);

/** @throws {Errno} EPERM for a device whose configuration is its own */
export function needConfigurable(dev: Device, idxd: Idxd): void {
  if (!idxd.caps.isConfigurable) throw new Errno('EPERM', `${dev.name}: the configuration of ${idxd.name} is read-only`);
}

/** @throws {Errno} EPERM while the device is enabled, and as {@link needConfigurable} */
export function needDisabledDevice(dev: Device, idxd: Idxd): void {
  needConfigurable(dev, idxd);
  if (idxd.isBusy) throw new Errno('EPERM', `${dev.name}: ${idxd.name} is enabled: disable it first`);
}

/** @throws {Errno} EPERM, or `code`, while the queue is enabled */
export function needDisabledWq(wq: Wq, code: ErrnoCode = 'EPERM'): void {
  if (wq.isBusy) throw new Errno(code, `${wq.name}: is enabled: disable it first`);
}

/** An attribute that shows a number or a word. */
export const shown = <O>(name: string, value: (owner: O) => string | number): Attribute<O> => ({
  name,
  show: (owner) => line(value(owner)),
});

/** The same attribute under its name of before. */
export const alias = <O>(name: string, attribute: Attribute<O>): Attribute<O> => ({ ...attribute, name });
