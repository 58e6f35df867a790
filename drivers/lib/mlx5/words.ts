import type { DmaBuffer } from '../../../core/index.js';

/** Memory that a device shares, in words: live where the host can show it, else word by word. */
export class Words {
  readonly #memory: DmaBuffer;
  readonly #view: Uint32Array | undefined;

  constructor(memory: DmaBuffer) {
    this.#memory = memory;
    const view = memory.view();
    const isAligned = view !== undefined && view.byteOffset % 4 === 0;
    this.#view = isAligned ? new Uint32Array(view.buffer, view.byteOffset, view.byteLength >>> 2) : undefined;
  }

  /** @param index of a word */
  get(index: number): number {
    const view = this.#view;
    return view === undefined ? this.#memory.read32(4 * index) : view[index]!;
  }

  /** @param index of a word; @param value its low 32 bits */
  set(index: number, value: number): void {
    const view = this.#view;
    if (view === undefined) this.#memory.write32(4 * index, value >>> 0);
    else view[index] = value;
  }
}
