/** Configuration space that was read, by width; little-endian. What was not read is zero. */
export class ConfigDump {
  readonly #view: DataView;

  constructor(readonly bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get sizeBytes(): number {
    return this.bytes.length;
  }

  read8(offset: number): number {
    return offset < this.sizeBytes ? this.#view.getUint8(offset) : 0;
  }
  read16(offset: number): number {
    return offset + 2 <= this.sizeBytes ? this.#view.getUint16(offset, true) : 0;
  }
  read32(offset: number): number {
    return offset + 4 <= this.sizeBytes ? this.#view.getUint32(offset, true) : 0;
  }
}

/** Bits of `word` from `lsb` on. */
export const part = (word: number, lsb: number, width: number): number => Math.floor(word / 2 ** lsb) % 2 ** width;

/** `+` for a bit that is set, else `-`. */
export const sign = (word: number, bit: number): string => (part(word, bit, 1) === 1 ? '+' : '-');

/** `I/O+ Mem- ...`: each name with the sign of its bit. */
export function flags(word: number, bits: { readonly [name: string]: number }): string {
  return Object.entries(bits)
    .map(([name, bit]) => name + sign(word, bit))
    .join(' ');
}

/** What `%g` prints of a number with few digits. */
export const short = (value: number): string => String(Number(value.toPrecision(6)));

/** How fast a device answers, by its status register. */
export const devsel = (status: number): string => ['fast', 'medium', 'slow', '??'][part(status, 9, 2)]!;
