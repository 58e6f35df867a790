import { VIRTIO_NET_CONFIG } from '../../core/index.js';
import { VNET_CONFIG, configBytes } from './api.js';

/** The configuration of a device, as its user reads it. */
export class NetConfig {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** Grows with every change. */
  generation = 0;
  /** Who is told of changes. */
  callback: (() => void) | undefined = undefined;

  constructor(queues: number) {
    this.#bytes = new Uint8Array(configBytes(queues));
    this.#view = new DataView(this.#bytes.buffer);
    this.#view.setUint16(VIRTIO_NET_CONFIG.maxVirtqueuePairs, queues / 2, true);
  }

  get sizeBytes(): number {
    return this.#bytes.length;
  }

  read(offset: number, buffer: Uint8Array): void {
    buffer.set(this.#bytes.subarray(offset, offset + buffer.length));
  }

  setPort(mac: Uint8Array, mtu: number): void {
    this.#bytes.set(mac, VIRTIO_NET_CONFIG.mac);
    this.#view.setUint16(VIRTIO_NET_CONFIG.mtu, mtu, true);
  }

  /** Tells its user of a change. */
  setLink(isUp: boolean): void {
    const status = isUp ? VIRTIO_NET_CONFIG.linkUp : 0;
    if (this.#view.getUint16(VIRTIO_NET_CONFIG.status, true) === status) return;
    this.#view.setUint16(VIRTIO_NET_CONFIG.status, status, true);
    this.changed();
  }

  /** By which numbers the hardware has a queue; 0: it has none. */
  setQueue(index: number, workQueue: number, completionQueue: number): void {
    const at = VNET_CONFIG.queues + index * VNET_CONFIG.queueBytes;
    this.#view.setUint32(at + VNET_CONFIG.workQueue, workQueue, true);
    this.#view.setUint32(at + VNET_CONFIG.completionQueue, completionQueue, true);
  }

  changed(): void {
    this.generation++;
    this.callback?.();
  }
}
