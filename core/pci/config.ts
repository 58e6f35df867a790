import type { Window } from '../hal/index.js';

const ABSENT = 0xffff_ffff;

/** What is not there: reads give all ones, writes vanish. */
class AbsentWindow implements Window {
  readonly sizeBytes = 0;
  read8(): number {
    return ABSENT & 0xff;
  }
  read16(): number {
    return ABSENT & 0xffff;
  }
  read32(): number {
    return ABSENT;
  }
  read64(_offset: number, out: Uint32Array): void {
    out[0] = out[1] = ABSENT;
  }
  write8(): void {}
  write16(): void {}
  write32(): void {}
  write64(): void {}
}

/**
 * The configuration space of one device. Once `cut`, it reads all ones, even if another device comes to the same place.
 */
export class ConfigWindow implements Window {
  #target: Window;

  constructor(target: Window) {
    this.#target = target;
  }

  get sizeBytes(): number {
    return this.#target.sizeBytes;
  }

  /** The device is gone. */
  cut(): void {
    this.#target = new AbsentWindow();
  }

  read8(offset: number): number {
    return this.#target.read8(offset);
  }
  read16(offset: number): number {
    return this.#target.read16(offset);
  }
  read32(offset: number): number {
    return this.#target.read32(offset);
  }
  read64(offset: number, out: Uint32Array): void {
    this.#target.read64(offset, out);
  }
  write8(offset: number, value: number): void {
    this.#target.write8(offset, value);
  }
  write16(offset: number, value: number): void {
    this.#target.write16(offset, value);
  }
  write32(offset: number, value: number): void {
    this.#target.write32(offset, value);
  }
  write64(offset: number, lo: number, hi: number): void {
    this.#target.write64(offset, lo, hi);
  }
}

/** Reads a stretch of configuration space, in words of 32 bits. @param length a multiple of 4 */
export function readConfig(config: Pick<Window, 'read32'>, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < length; at += 4) view.setUint32(at, config.read32(at), true);
  return bytes;
}
