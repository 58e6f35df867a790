import { NO_ADDRESS } from '../../endpoint/index.js';
import { SYNDROMES } from '../../regs/nic.js';
import { MESSAGE } from '../../regs/nic-contexts.js';
import type { NicFunction } from './function.js';

const NOTHING = new Uint8Array(0);

/** The interrupt of a queue: an entry of the MSI-X table, or a message in memory, which is read each time. */
export class QueueMessage {
  readonly #fn: NicFunction;
  readonly #vector: number;
  readonly #address: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** It was masked when it was to be sent. */
  #isHeld = false;
  #isGone = false;

  /** @param vector entry of the MSI-X table; @param address of its message; `NO_ADDRESS`: it has `vector` */
  constructor(fn: NicFunction, vector: number, address: number) {
    this.#fn = fn;
    this.#vector = vector;
    this.#address = address;
    this.#bytes = address === NO_ADDRESS ? NOTHING : new Uint8Array(MESSAGE.sizeBytes);
    this.#view = new DataView(this.#bytes.buffer);
    if (address !== NO_ADDRESS) fn.device.messages++;
  }

  /** It is sent no more; harmless when that was done. */
  destroy(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    if (this.#address !== NO_ADDRESS) this.#fn.device.messages--;
  }

  /** It is not held any more. @returns whether it was */
  release(): boolean {
    const wasHeld = this.#isHeld;
    this.#isHeld = false;
    return wasHeld;
  }

  /** The message was changed or unmasked: if it was held, it is sent now. */
  kick(): void {
    if (this.release()) this.send();
  }

  /** Sends it, which may bring anything with it: the last thing that a call does. */
  send(): void {
    const { irq, dma } = this.#fn.device;
    if (this.#isGone) return;
    if (this.#address === NO_ADDRESS) {
      irq.msix(this.#vector);
      return;
    }
    const isRead = dma.read(this.#address, this.#bytes, 0, MESSAGE.sizeBytes);
    if (this.#isGone) return;
    if (!isRead) {
      this.#fn.health.report(SYNDROMES.fetch);
      return;
    }
    const view = this.#view;
    if ((view.getUint32(MESSAGE.control, true) & MESSAGE.masked) !== 0) {
      this.#isHeld = true;
      return;
    }
    const lo = view.getInt32(MESSAGE.addressLo, true);
    irq.post(lo & ~3, view.getInt32(MESSAGE.addressHi, true), view.getInt32(MESSAGE.data, true));
  }
}
