/** Memory in one flat buffer, with room behind it that bytes pass through on their way to others. */
export interface Stretch {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  /** `bytes`, and the room behind. */
  readonly whole: Uint8Array;
  /** By length: views of the room, from its start on. */
  readonly staged: Map<number, Uint8Array>;
}

/** Of the room: more than the longest packet has. */
const ROOM_BYTES = 0x4000;
/** As much is copied faster word by word than by the runtime, which has to be called: it does so with an object for each part. */
const LOOP_BYTES = { read: 128, write: 64 } as const;
/** Words of a line of the CPU's cache, which are copied without a loop. */
const LINE_WORDS = 16;
/** Buffers whose views are kept. */
const KEPT = 16;

/** Memory that is larger has no room behind it: a buffer may have no more than this. */
const MOST_BYTES = 2 ** 31;
/** Views of the room that are kept, and of a buffer. */
const MOST_VIEWS = 256;

/** Views of a buffer, made once. */
class Views {
  readonly buffer: Uint8Array;
  /** All of it in words; undefined when a loop over those would not be the same: it is not aligned, may change its length, or may overlap. */
  readonly words: Int32Array | undefined;
  readonly #heads = new Map<number, Uint8Array>();
  /** The one that was asked for last. */
  #head: Uint8Array;

  constructor(buffer: Uint8Array, isMemory: boolean) {
    this.buffer = buffer;
    this.#head = buffer;
    const { buffer: home, byteOffset, length } = buffer;
    const isLoop = (byteOffset & 3) === 0 && !isMemory && !isResizable(home);
    this.words = isLoop ? new Int32Array(home, byteOffset, length >>> 2) : undefined;
  }

  /** Its first bytes. */
  head(length: number): Uint8Array {
    const last = this.#head;
    if (last.length === length) return last;
    return (this.#head = this.#heads.get(length) ?? keep(this.#heads, length, this.buffer.subarray(0, length)));
  }
}

/**
 * Copies between memory and buffers. What copies a part of a buffer needs a view of it, and a view is an object: here they are kept, for the
 * few buffers that devices use again and again.
 */
export class Transfer {
  readonly #memory = new WeakSet<ArrayBufferLike>();
  readonly #views: (Views | undefined)[] = Array.from({ length: KEPT }, () => undefined);
  #next = 0;
  #last: Views = new Views(new Uint8Array(0), false);

  /** Makes memory of so many bytes, a multiple of 4. */
  stretch(sizeBytes: number): Stretch {
    const buffer = new ArrayBuffer(sizeBytes <= MOST_BYTES ? sizeBytes + ROOM_BYTES : sizeBytes);
    this.#memory.add(buffer);
    return {
      bytes: new Uint8Array(buffer, 0, sizeBytes),
      words: new Int32Array(buffer, 0, sizeBytes / 4),
      whole: new Uint8Array(buffer),
      staged: new Map(),
    };
  }

  /** Out of memory: `length` bytes at `from` go to `offset` of a buffer. */
  read(memory: Stretch, from: number, buffer: Uint8Array, offset: number, length: number): void {
    if (length <= LOOP_BYTES.read && ((from | offset | length) & 3) === 0) {
      const last = this.#last;
      const { words } = last.buffer === buffer ? last : this.#find(buffer);
      if (words !== undefined) {
        copyWords(memory.words, from >>> 2, words, offset >>> 2, length >>> 2);
        return;
      }
    }
    if (length <= memory.whole.length - memory.bytes.length) {
      const { bytes, whole, staged } = memory;
      whole.copyWithin(bytes.length, from, from + length);
      buffer.set(staged.get(length) ?? keep(staged, length, whole.subarray(bytes.length, bytes.length + length)), offset);
    } else {
      buffer.set(memory.bytes.subarray(from, from + length), offset);
    }
  }

  /** Into memory: `length` bytes from `offset` of a buffer on go to `to`. */
  write(memory: Stretch, to: number, buffer: Uint8Array, offset: number, length: number): void {
    if (length <= LOOP_BYTES.write && ((to | offset | length) & 3) === 0) {
      const last = this.#last;
      const { words } = last.buffer === buffer ? last : this.#find(buffer);
      if (words !== undefined) {
        copyWords(words, offset >>> 2, memory.words, to >>> 2, length >>> 2);
        return;
      }
    }
    const { bytes } = memory;
    if (length === buffer.length) bytes.set(buffer, to);
    else if (offset === 0 && length <= ROOM_BYTES) bytes.set(this.#find(buffer).head(length), to);
    else bytes.set(buffer.subarray(offset, offset + length), to);
  }

  #find(buffer: Uint8Array): Views {
    if (this.#last.buffer === buffer) return this.#last;
    const views = this.#views;
    for (let n = 0; n < KEPT; n++) {
      const one = views[n];
      if (one !== undefined && one.buffer === buffer) return (this.#last = one);
    }
    const n = this.#next;
    this.#next = (n + 1) % KEPT;
    return (this.#last = views[n] = new Views(buffer, this.#memory.has(buffer.buffer)));
  }
}

/** Keeps a view by its length; where there are many, those before are forgotten. */
function keep(views: Map<number, Uint8Array>, length: number, view: Uint8Array): Uint8Array {
  if (views.size >= MOST_VIEWS) views.clear();
  views.set(length, view);
  return view;
}

function copyWords(from: Int32Array, at: number, to: Int32Array, offset: number, count: number): void {
  let n = 0;
  for (; n + LINE_WORDS <= count; n += LINE_WORDS) copyLine(from, at + n, to, offset + n);
  for (; n < count; n++) to[offset + n] = from[at + n]!;
}

/** {@link LINE_WORDS} of them. */
function copyLine(from: Int32Array, at: number, to: Int32Array, offset: number): void {
  to[offset] = from[at]!;
  to[offset + 1] = from[at + 1]!;
  to[offset + 2] = from[at + 2]!;
  to[offset + 3] = from[at + 3]!;
  to[offset + 4] = from[at + 4]!;
  to[offset + 5] = from[at + 5]!;
  to[offset + 6] = from[at + 6]!;
  to[offset + 7] = from[at + 7]!;
  to[offset + 8] = from[at + 8]!;
  to[offset + 9] = from[at + 9]!;
  to[offset + 10] = from[at + 10]!;
  to[offset + 11] = from[at + 11]!;
  to[offset + 12] = from[at + 12]!;
  to[offset + 13] = from[at + 13]!;
  to[offset + 14] = from[at + 14]!;
  to[offset + 15] = from[at + 15]!;
}

/** Whether it may come to have another length. @see ECMA-262 (2024) 25.1.6.6 get ArrayBuffer.prototype.resizable */
function isResizable(home: ArrayBufferLike): boolean {
  return 'resizable' in home ? home.resizable === true : 'growable' in home && home.growable === true;
}
