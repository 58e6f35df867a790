import type { VdpaDevice, VqAddresses } from '../../core/index.js';
import { VNET_CONTROL as C, VNET_REGIONS } from './api.js';

/** The page by which the user of a mediated device sets it up, as he has written it. */
export class ControlPage {
  readonly #vdpa: VdpaDevice;
  readonly #view = new DataView(new ArrayBuffer(VNET_REGIONS.sizeBytes));
  readonly #config: Uint8Array;

  constructor(vdpa: VdpaDevice) {
    const { configBytes } = vdpa.info;
    this.#vdpa = vdpa;
    this.#config = new Uint8Array(this.#view.buffer, C.config, configBytes);
    this.clear();
  }

  /** As it is after a reset. */
  clear(): void {
    const { vqCount, vqNumMax, features } = this.#vdpa.info;
    const view = this.#view;
    new Uint8Array(view.buffer).fill(0);
    view.setUint32(C.queueCount, vqCount, true);
    view.setUint32(C.entriesMax, vqNumMax, true);
    view.setBigUint64(C.deviceFeatures, features, true);
  }

  /** @param status to be read as that */
  read(offset: number, bytes: 1 | 2 | 4, status: number): number {
    const view = this.#view;
    view.setUint32(C.status, status, true);
    view.setUint32(C.generation, this.#vdpa.generation(), true);
    this.#vdpa.getConfig(0, this.#config);
    if (bytes === 4) return view.getUint32(offset, true);
    return bytes === 2 ? view.getUint16(offset, true) : view.getUint8(offset);
  }

  /** What cannot be written stays as it is. */
  write(offset: number, bytes: 1 | 2 | 4, value: number): void {
    const isQueue = offset >= C.queue(0) && offset < C.queue(this.#vdpa.info.vqCount);
    if (!isQueue && (offset < C.driverFeatures || offset >= C.queue(0))) return;
    const view = this.#view;
    if (bytes === 4) view.setUint32(offset, value, true);
    else if (bytes === 2) view.setUint16(offset, value, true);
    else view.setUint8(offset, value);
  }

  get features(): bigint {
    return this.#view.getBigUint64(C.driverFeatures, true);
  }

  /** Entries of a queue; 0: none is to be made. */
  entries(index: number): number {
    return this.#view.getUint32(C.queue(index) + C.size, true);
  }

  isEnabled(index: number): boolean {
    return this.#view.getUint32(C.queue(index) + C.enabled, true) !== 0;
  }

  /** Where a queue is to be; what is too large for a number is none that an address can be. */
  addresses(index: number): VqAddresses {
    const at = (area: number): number => Number(this.#view.getBigUint64(C.queue(index) + area, true));
    return { descriptor: at(C.descriptor), driver: at(C.driver), device: at(C.device) };
  }
}
