/** Fields of a descriptor of the accelerator; addresses below 2^53. */
export interface Desc {
  readonly op?: number;
  readonly flags?: number;
  readonly pasid?: number;
  readonly completion?: number;
  readonly source?: number;
  readonly destination?: number;
  readonly size?: number;
  readonly handle?: number;
  /** Bytes of the operation, from offset 40 on: `[offset, bytes, value]`. */
  readonly own?: readonly (readonly [at: number, bytes: 1 | 2 | 4 | 8, value: number])[] | undefined;
}

/** The 64 bytes of a descriptor; what is not said is 0. */
export function descriptorBytes(desc: Desc): Uint8Array {
  const view = new DataView(new ArrayBuffer(64));
  const put64 = (at: number, value: number): void => {
    view.setUint32(at, value % 2 ** 32, true);
    view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
  };
  view.setUint32(0, desc.pasid ?? 0, true);
  view.setUint32(4, (((desc.op ?? 0) << 24) | (desc.flags ?? 0)) >>> 0, true);
  put64(8, desc.completion ?? 0);
  put64(16, desc.source ?? 0);
  put64(24, desc.destination ?? 0);
  view.setUint32(32, desc.size ?? 0, true);
  view.setUint16(36, desc.handle ?? 0, true);
  for (const [at, bytes, value] of desc.own ?? []) {
    if (bytes === 1) view.setUint8(at, value);
    else if (bytes === 2) view.setUint16(at, value, true);
    else if (bytes === 4) view.setUint32(at, value, true);
    else put64(at, value);
  }
  return new Uint8Array(view.buffer);
}

/** Bytes as the words of a store. */
export function wordsOf(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Uint32Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i, true));
}
