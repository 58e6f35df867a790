import type { Window } from '../../../core/hal/index.js';
import { Endpoint, type EndpointConfig, type EndpointPort } from '../../../hw/endpoint/index.js';

/** A port that writes down what came to it. */
export class RecordingPort implements EndpointPort {
  readonly events: string[] = [];
  readonly messages: number[][] = [];
  decodes = 0;
  decodeChanged(): void {
    this.decodes++;
  }
  reset(kind: string): void {
    this.events.push(`reset ${kind}`);
  }
  intx(asserted: boolean): void {
    this.events.push(asserted ? 'assert' : 'deassert');
  }
  message(lo: number, hi: number, data: number): boolean {
    this.messages.push([lo >>> 0, hi >>> 0, data >>> 0]);
    return true;
  }
}

/** A window that reads as its offset. */
export const ECHO: Window = {
  sizeBytes: 4096,
  read8: (offset) => offset & 0xff,
  read16: (offset) => offset,
  read32: (offset) => offset,
  read64: (offset, out) => {
    out[0] = offset;
    out[1] = 0;
  },
  write8() {},
  write16() {},
  write32() {},
  write64() {},
};

export const PLAIN: EndpointConfig = { vendor: 0x1af4, device: 0x10f0, classCode: 0xff_0000 };

export function make(config: Partial<EndpointConfig> = {}): { endpoint: Endpoint; port: RecordingPort } {
  const port = new RecordingPort();
  const declared = { ...PLAIN, ...config };
  const endpoint = new Endpoint(declared, port);
  endpoint.attach(Object.fromEntries(Object.keys(declared.bars ?? {}).map((bar) => [bar, ECHO])));
  return { endpoint, port };
}
