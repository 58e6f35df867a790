import type { Device, MdevBus, MdevDevice, MdevDriver, Vfio } from '../../core/index.js';
import { type VnetParts, VnetVfio } from './vnet-vfio.js';

/** The kind of mediated device that there is: all queues of a device. */
const QUEUES = { name: 'queues', prettyName: 'virtio network queues' } as const;

/**
 * The driver of mediated devices that have the queues of a vDPA device, for users of VFIO; its state is the {@link VnetVfio}. The queues
 * have one user, so each device can make one.
 */
export class VnetMdevDriver implements MdevDriver<VnetVfio> {
  readonly name = 'vnet_mdev';
  readonly deviceApi = 'vfio-pci';
  readonly maxInstances = 1;
  readonly #mdevs: MdevBus;
  readonly #vfio: Vfio;
  readonly #parts = new WeakMap<Device, VnetParts>();

  constructor(mdevs: MdevBus, vfio: Vfio) {
    this.#mdevs = mdevs;
    this.#vfio = vfio;
  }

  /** Lets a mediated device be made of `dev`, until its binding ends. */
  offer(dev: Device, parts: VnetParts): void {
    this.#parts.set(dev, parts);
    this.#mdevs.registerParent(dev, this, [QUEUES]);
  }

  probe(dev: MdevDevice): VnetVfio {
    const device = new VnetVfio(dev, this.#parts.get(dev.mdevParent.dev)!);
    device.registered(this.#vfio.registerEmulated(dev, device, { pasid: true }));
    return device;
  }
}
