import type { Window } from '../hal/index.js';

/** A window on plain memory: what the driver writes stays and can be looked at. Outside it, all ones. */
export class BufferWindow implements Window {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(readonly sizeBytes: number) {
    this.bytes = new Uint8Array(sizeBytes);
    this.#view = new DataView(this.bytes.buffer);
  }

  #has(offset: number, bytes: number): boolean {
    return offset >= 0 && offset + bytes <= this.sizeBytes;
  }

  read8(offset: number): number {
    return this.#has(offset, 1) ? this.#view.getUint8(offset) : 0xff;
  }
  read16(offset: number): number {
    return this.#has(offset, 2) ? this.#view.getUint16(offset, true) : 0xffff;
  }
  read32(offset: number): number {
    return this.#has(offset, 4) ? this.#view.getUint32(offset, true) : 0xffff_ffff;
  }
  read64(offset: number, out: Uint32Array): void {
    out[0] = this.read32(offset);
    out[1] = this.read32(offset + 4);
  }
  write8(offset: number, value: number): void {
    if (this.#has(offset, 1)) this.#view.setUint8(offset, value);
  }
  write16(offset: number, value: number): void {
    if (this.#has(offset, 2)) this.#view.setUint16(offset, value, true);
  }
  write32(offset: number, value: number): void {
    if (this.#has(offset, 4)) this.#view.setUint32(offset, value, true);
  }
  write64(offset: number, lo: number, hi: number): void {
    if (!this.#has(offset, 8)) return;
    this.#view.setUint32(offset, lo, true);
    this.#view.setUint32(offset + 4, hi, true);
  }
}
