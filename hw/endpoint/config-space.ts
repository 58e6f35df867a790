import { type Field, PCI, type Reg, type Window, getField, readSized, wordOf } from '../../core/hal/index.js';

/** Called after a write that touched the bytes it was registered for. */
export type ConfigHook = () => void;

interface Hooked {
  readonly start: number;
  readonly end: number;
  readonly hook: ConfigHook;
}

/**
 * The configuration space of one function: every bit is read-only, writable, or cleared by writing 1.
 *
 * Accesses are 1, 2 or 4 bytes, aligned; others read all ones and write nothing, and so do offsets beyond the space.
 */
export class ConfigSpace implements Window {
  readonly #data: DataView;
  readonly #reset: DataView;
  readonly #writable: DataView;
  readonly #w1c: DataView;
  readonly #hooks: Hooked[] = [];

  /** @param sizeBytes 256, or 4096 for a function of PCI Express */
  constructor(readonly sizeBytes: typeof PCI.CONFIG_BYTES | typeof PCI.EXTENDED_CONFIG_BYTES = PCI.CONFIG_BYTES) {
    this.#data = zeros(sizeBytes);
    this.#reset = zeros(sizeBytes);
    this.#writable = zeros(sizeBytes);
    this.#w1c = zeros(sizeBytes);
  }

  /** Lays down one byte: its value now and after reset, which bits can be written, and which are cleared by writing 1. */
  define8(offset: number, value: number, writable = 0, w1c = 0): void {
    this.#data.setUint8(offset, value);
    this.#reset.setUint8(offset, value);
    this.#writable.setUint8(offset, writable);
    this.#w1c.setUint8(offset, w1c);
  }

  define16(offset: number, value: number, writable = 0, w1c = 0): void {
    this.#define(offset, 2, value, writable, w1c);
  }

  define32(offset: number, value: number, writable = 0, w1c = 0): void {
    this.#define(offset, 4, value, writable, w1c);
  }

  /** Lays down a register of at most 32 bits: its modes say what software can change. @param value default the declared one */
  define(reg: Reg, value?: number): void {
    const { reset, masks } = wordOf(reg);
    this.#define(reg.offset, reg.bytes, value ?? reset, masks.rw, masks.w1c);
  }

  #define(offset: number, bytes: number, value: number, writable: number, w1c: number): void {
    for (let i = 0; i < bytes; i++) this.define8(offset + i, value >>> (8 * i), writable >>> (8 * i), w1c >>> (8 * i));
  }

  /** The value of one field. @param at offset of the capability that `reg` is in */
  field<F extends string>(reg: Reg<F>, name: F, at = 0): number {
    const field: Field = reg.fields[name];
    return getField(field, readSized(this, at + reg.offset, reg.bytes));
  }

  /** Changes the bits of `mask` in a 16-bit register, whatever their mode: the device's own side. No hook is called. */
  set16(offset: number, mask: number, value: number): void {
    this.#data.setUint16(offset, (this.#data.getUint16(offset, true) & ~mask) | (value & mask), true);
  }

  /** As `set16`, of a 32-bit register. */
  set32(offset: number, mask: number, value: number): void {
    this.#data.setUint32(offset, (this.#data.getUint32(offset, true) & ~mask) | (value & mask), true);
  }

  /** Calls `hook` after each write that touches any of `length` bytes from `offset` on. */
  onWrite(offset: number, length: number, hook: ConfigHook): void {
    this.#hooks.push({ start: offset, end: offset + length, hook });
  }

  /** Puts every byte back to its reset value; hooks are not called. */
  reset(): void {
    bytesOf(this.#data).set(bytesOf(this.#reset));
  }

  read8(offset: number): number {
    return this.#decodes(offset, 1) ? this.#data.getUint8(offset) : 0xff;
  }
  read16(offset: number): number {
    return this.#decodes(offset, 2) ? this.#data.getUint16(offset, true) : 0xffff;
  }
  read32(offset: number): number {
    return this.#decodes(offset, 4) ? this.#data.getUint32(offset, true) : 0xffff_ffff;
  }
  read64(_offset: number, out: Uint32Array): void {
    out[0] = out[1] = 0xffff_ffff;
  }
  write8(offset: number, value: number): void {
    this.#write(offset, 1, value);
  }
  write16(offset: number, value: number): void {
    this.#write(offset, 2, value);
  }
  write32(offset: number, value: number): void {
    this.#write(offset, 4, value);
  }
  write64(): void {}

  #decodes(offset: number, bytes: number): boolean {
    return offset >= 0 && offset <= this.sizeBytes - bytes && offset % bytes === 0;
  }

  #write(offset: number, bytes: number, value: number): void {
    if (!this.#decodes(offset, bytes)) return;
    for (let i = 0; i < bytes; i++) {
      const at = offset + i;
      const written = (value >>> (8 * i)) & 0xff;
      const writable = this.#writable.getUint8(at);
      const kept = this.#data.getUint8(at) & ~writable & ~(written & this.#w1c.getUint8(at));
      this.#data.setUint8(at, kept | (written & writable));
    }
    for (const { start, end, hook } of this.#hooks) if (offset < end && start < offset + bytes) hook();
  }
}

function zeros(sizeBytes: number): DataView {
  return new DataView(new ArrayBuffer(sizeBytes));
}

function bytesOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer);
}
