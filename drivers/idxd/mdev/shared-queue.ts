import type { Wq } from '../wq.js';
import type { VirtualDevice } from './virtual-device.js';
import { virtualPreset } from './virtual-profile.js';

/** A queue that virtual devices are made of: what is the same for all, and who of them is told what the real device tells. */
export class SharedQueue implements Disposable {
  /** BAR 0 of each at first. */
  readonly preset: Uint32Array;
  /** Those that somebody has open. */
  readonly #open = new Set<VirtualDevice>();
  readonly #listening: readonly (Disposable | undefined)[];

  constructor(readonly wq: Wq) {
    const { idxd } = wq;
    this.preset = virtualPreset(wq);
    this.#listening = [
      idxd.onSwError((error) => this.#tell((device) => device.swError(error))),
      idxd.onHandlesRevoked(() => this.#tell((device) => device.handlesRevoked())),
      idxd.onHalt(() => this.#tell((device) => device.halted())),
      idxd.eventLog?.onEntry((event) => this.#tell((device) => device.event(event))),
    ];
  }

  /**
   * How many more virtual devices can be made of it: one of a dedicated queue, of a shared one as many as its threshold has descriptors.
   * None when it is being unbound.
   */
  get room(): number {
    const { mode, threshold, clients, takesChildren } = this.wq;
    return takesChildren ? Math.max((mode === 'dedicated' ? 1 : threshold) - clients, 0) : 0;
  }

  opened(device: VirtualDevice): void {
    this.#open.add(device);
  }

  closed(device: VirtualDevice): void {
    this.#open.delete(device);
  }

  [Symbol.dispose](): void {
    for (const one of this.#listening) one?.[Symbol.dispose]();
  }

  #tell(what: (device: VirtualDevice) => void): void {
    for (const device of this.#open) what(device);
  }
}
