import type { FileDevice } from '../../core/index.js';
import { RDMA_EVENT } from './api.js';

/** One thing that may happen, and how often it has: made beforehand, so that what happens allocates nothing, and nothing grows. */
export class EventCount {
  count = 0;
  next: EventCount | undefined = undefined;

  constructor(
    /** One of `RDMA_EVENTS`. */
    readonly type: number,
    /** The queue; 0: the device. */
    readonly element: number,
  ) {}
}

/** What has happened for one open file and was not read, oldest first; each thing is there once, with its count. */
export class EventList {
  #first: EventCount | undefined = undefined;
  #last: EventCount | undefined = undefined;
  readonly #file: FileDevice;

  constructor(file: FileDevice) {
    this.#file = file;
  }

  get isEmpty(): boolean {
    return this.#first === undefined;
  }

  /** It has happened, once more. In any context. */
  add(event: EventCount): void {
    if (event.count++ === 0) {
      if (this.#last === undefined) this.#first = event;
      else this.#last.next = event;
      this.#last = event;
    }
    this.#file.wake();
  }

  /** Nobody is to read of it. */
  remove(event: EventCount): void {
    if (event.count === 0) return;
    let before: EventCount | undefined;
    for (let at = this.#first; at !== event && at !== undefined; at = at.next) before = at;
    if (before === undefined) this.#first = event.next;
    else before.next = event.next;
    if (this.#last === event) this.#last = before;
    event.count = 0;
    event.next = undefined;
  }

  /** Moves as many as fit. @returns bytes */
  read(buffer: Uint8Array): number {
    const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    let at = 0;
    for (let event = this.#first; event !== undefined && at + RDMA_EVENT.sizeBytes <= buffer.length; event = this.#first) {
      view.setUint32(at + RDMA_EVENT.type, event.type, true);
      view.setUint32(at + RDMA_EVENT.element, event.element, true);
      view.setUint32(at + RDMA_EVENT.count, event.count, true);
      view.setUint32(at + RDMA_EVENT.sizeBytes - 4, 0, true);
      at += RDMA_EVENT.sizeBytes;
      this.remove(event);
    }
    return at;
  }
}
