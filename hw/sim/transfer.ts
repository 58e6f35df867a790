/** Memory in one flat buffer, with room behind it that bytes pass through on their way to others. */
export interface Stretch {
  /** What `bytes`, and all views of them, are of. */
  readonly buffer: ArrayBuffer;
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  /** `bytes`, and the room behind. */
  readonly whole: Uint8Array;
  /** By length: views of the room, from its start on. */
  readonly staged: Map<number, Uint8Array>;
}

/** Of the room: more than the longest packet has. */
const ROOM_BYTES = 0x4000;
/** As much is copied faster word by word than by the runtime, which has to be called. */
const LOOP_BYTES = 256;
/** Buffers whose views are kept. */
const KEPT = 16;

/** Memory that is larger has no room behind it: a buffer may have no more than this. */
const MOST_BYTES = 2 ** 31;
/** Views of the room that are kept, and of a buffer. */
const MOST_VIEWS = 256;

/** Makes memory of so many bytes, a multiple of 4. */
export function stretch(sizeBytes: number): Stretch {
  const buffer = new ArrayBuffer(sizeBytes <= MOST_BYTES ? sizeBytes + ROOM_BYTES : sizeBytes);
  return {
    buffer,
    bytes: new Uint8Array(buffer, 0, sizeBytes),
    words: new Int32Array(buffer, 0, sizeBytes / 4),
    whole: new Uint8Array(buffer),
    staged: new Map(),
  };
}

/** Views of a buffer, made once. */
class Views {
  /** What the buffer is a view of. */
  readonly home: ArrayBufferLike;
  readonly #words: Int32Array | undefined;
  readonly #buffer: Uint8Array;
  readonly #heads = new Map<number, Uint8Array>();

  constructor(buffer: Uint8Array) {
    this.#buffer = buffer;
    this.home = buffer.buffer;
    const isAligned = (buffer.byteOffset & 3) === 0;
    this.#words = isAligned ? new Int32Array(this.home, buffer.byteOffset, buffer.length >>> 2) : undefined;
  }

  /** All of it in words; undefined when it is not aligned, or has another length by now. */
  get words(): Int32Array | undefined {
    const words = this.#words;
    return words !== undefined && words.length === this.#buffer.length >>> 2 ? words : undefined;
  }

  /** Its first bytes. */
  head(length: number): Uint8Array {
    const present = this.#heads.get(length);
    if (present !== undefined) return present;
    return keep(this.#heads, length, this.#buffer.subarray(0, length));
  }
}

/**
 * Copies between memory and buffers. What copies a part of a buffer needs a view of it, and a view is an object: here they are kept, for the
 * few buffers that devices use again and again.
 */
export class Transfer {
  readonly #buffers: (Uint8Array | undefined)[] = Array.from({ length: KEPT }, () => undefined);
  readonly #views: (Views | undefined)[] = Array.from({ length: KEPT }, () => undefined);
  #next = 0;

  /** Out of memory: `length` bytes at `from` go to `offset` of a buffer. */
  read(memory: Stretch, from: number, buffer: Uint8Array, offset: number, length: number): void {
    const views = length <= LOOP_BYTES ? this.#viewsOf(buffer) : undefined;
    // A loop goes upwards, and what overlaps would be written over before it is read.
    if (views !== undefined && views.home !== memory.buffer) {
      const words = ((from | offset) & 3) === 0 ? views.words : undefined;
      const start = words === undefined ? 0 : copyWords(memory.words, from >>> 2, words, offset >>> 2, length >>> 2);
      const { bytes } = memory;
      for (let n = start; n < length; n++) buffer[offset + n] = bytes[from + n]!;
    } else if (length <= memory.whole.length - memory.bytes.length) {
      const { bytes, whole, staged } = memory;
      whole.copyWithin(bytes.length, from, from + length);
      buffer.set(staged.get(length) ?? keep(staged, length, whole.subarray(bytes.length, bytes.length + length)), offset);
    } else {
      buffer.set(memory.bytes.subarray(from, from + length), offset);
    }
  }

  /** Into memory: `length` bytes from `offset` of a buffer on go to `to`. */
  write(memory: Stretch, to: number, buffer: Uint8Array, offset: number, length: number): void {
    const { bytes } = memory;
    const views = length <= LOOP_BYTES ? this.#viewsOf(buffer) : undefined;
    if (views !== undefined && views.home !== memory.buffer) {
      const words = ((to | offset) & 3) === 0 ? views.words : undefined;
      const start = words === undefined ? 0 : copyWords(words, offset >>> 2, memory.words, to >>> 2, length >>> 2);
      for (let n = start; n < length; n++) bytes[to + n] = buffer[offset + n]!;
    } else if (length === buffer.length) {
      bytes.set(buffer, to);
    } else if (offset === 0 && length <= ROOM_BYTES) {
      bytes.set(this.#viewsOf(buffer).head(length), to);
    } else {
      bytes.set(buffer.subarray(offset, offset + length), to);
    }
  }

  #viewsOf(buffer: Uint8Array): Views {
    const buffers = this.#buffers;
    for (let n = 0; n < KEPT; n++) if (buffers[n] === buffer) return this.#views[n]!;
    const n = this.#next;
    this.#next = (n + 1) % KEPT;
    buffers[n] = buffer;
    return (this.#views[n] = new Views(buffer));
  }
}

/** Keeps a view by its length; where there are many, those before are forgotten. */
function keep(views: Map<number, Uint8Array>, length: number, view: Uint8Array): Uint8Array {
  if (views.size >= MOST_VIEWS) views.clear();
  views.set(length, view);
  return view;
}

/** @returns bytes that were copied */
function copyWords(from: Int32Array, at: number, to: Int32Array, offset: number, count: number): number {
  for (let n = 0; n < count; n++) to[offset + n] = from[at + n]!;
  return 4 * count;
}
