import type { WirePort } from '../../../hw/endpoint/index.js';

/** A port that keeps what comes. */
export class FakePort implements WirePort {
  readonly frames: Uint8Array[] = [];
  readonly links: boolean[] = [];

  receive(frame: Uint8Array, offset: number, length: number): void {
    this.frames.push(Uint8Array.from(frame.subarray(offset, offset + length)));
  }
  setLink(isUp: boolean): void {
    this.links.push(isUp);
  }
}
