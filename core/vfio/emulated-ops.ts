import type { Device, DeviceCore } from '../device/index.js';
import type { Mmio } from '../hal/index.js';
import type { Irqs } from '../irq/index.js';
import { isThenable } from '../lib/flow.js';
import { Errno, type MaybePromise } from '../lib/index.js';
import type { IrqBypass } from './bypass.js';
import type { EmulatedDevice, EmulatedIrq } from './emulated.js';
import { LineTrigger } from './line-trigger.js';
import { SingleTrigger } from './single-trigger.js';
import {
  VFIO_PCI_IRQ,
  VFIO_PCI_IRQS,
  VFIO_PCI_REGIONS,
  type VfioDeviceInfo,
  type VfioFeature,
  type VfioIrqInfo,
  type VfioIrqSet,
  type VfioOps,
  type VfioRegionInfo,
} from './uapi.js';
import { type VectorBackend, VectorIrqs } from './vector-irqs.js';

const { INTX, MSIX, ERR, REQ } = VFIO_PCI_IRQ;
/** What interrupts are called. */
const LABELS: readonly string[] = ['', 'vfio-msi', 'vfio-msix'];

/** The operations of an {@link EmulatedDevice}: accesses in pieces, interrupts by eventfd. */
export class EmulatedOps implements VfioOps {
  readonly name: string;
  readonly info: Omit<VfioDeviceInfo, 'reset'> = { pci: true, regions: VFIO_PCI_REGIONS, irqs: VFIO_PCI_IRQS };
  readonly reset: (() => MaybePromise<void>) | undefined;
  readonly mmap: ((region: number, offset: number, sizeBytes: number) => Mmio) | undefined;
  readonly dmaUnmap: ((iova: number, sizeBytes: number) => void) | undefined;
  readonly feature: ((feature: VfioFeature) => unknown) | undefined;
  readonly #dev: Device;
  readonly #device: EmulatedDevice;
  readonly #vectors: VectorIrqs;
  readonly #line: LineTrigger;
  readonly #error: SingleTrigger;
  readonly #request: SingleTrigger;

  constructor(dev: Device, device: EmulatedDevice, irqs: Irqs, bypass: IrqBypass) {
    this.#dev = dev;
    this.#device = device;
    this.name = dev.driver?.name ?? dev.name;
    this.reset = device.reset && (() => device.reset!());
    this.mmap = device.mmap && ((region, offset, sizeBytes) => device.mmap!(region, offset, sizeBytes));
    this.dmaUnmap = device.dmaUnmap && ((iova, sizeBytes) => device.dmaUnmap!(iova, sizeBytes));
    this.feature = device.feature && ((feature) => device.feature!(feature));
    this.#vectors = new VectorIrqs(dev, irqs, bypass, new TakenVectors(irqs.core.device, dev, device));
    this.#line = new LineTrigger(dev.name);
    this.#error = new SingleTrigger(dev.name);
    this.#request = new SingleTrigger(dev.name);
  }

  open(): MaybePromise<void> {
    return this.#device.open?.();
  }

  /** The device stops first: what is under way until then interrupts. @see Linux 7.2 drivers/vfio/pci/vfio_pci_core.c vfio_pci_core_disable */
  close(): MaybePromise<void> {
    const end = (): void => {
      this.#vectors.disable();
      this.#line.disable();
      this.#error.clear();
      this.#request.clear();
    };
    let done: MaybePromise<void>;
    try {
      done = this.#device.close?.();
    } catch (error) {
      end();
      throw error;
    }
    return isThenable(done) ? Promise.resolve(done).finally(end) : end();
  }

  regionInfo(index: number): VfioRegionInfo {
    const region = this.#device.regions.find((one) => one.index === index);
    const { sizeBytes = 0, access = 'rw', mmap = false } = region ?? {};
    const isThere = sizeBytes > 0;
    return { index, sizeBytes, read: isThere && access.includes('r'), write: isThere && access.includes('w'), mmap };
  }

  irqInfo(index: number): VfioIrqInfo {
    const own = irqOf(this.#device, index);
    if (index === ERR && own === undefined) throw new Errno('EINVAL', `${this.#dev.name}: tells of no errors`);
    const isLine = index === INTX;
    const count = index === REQ ? 1 : (own?.count ?? 0);
    return { index, count, eventfd: true, maskable: isLine, automasked: isLine, noResize: !isLine && index !== MSIX };
  }

  setIrqs(set: VfioIrqSet): number {
    const { index, action } = set;
    if (index === REQ) return this.#request.set(set);
    if (index === ERR) return this.#error.set(set);
    if (index === INTX) return this.#line.set(set, this.#vectors.active !== undefined);
    if (action !== 'trigger') throw new Errno('ENOTTY', `${this.#dev.name}: interrupts of index ${index} have no ${action}`);
    return this.#vectors.trigger(set, this.#line.isEnabled);
  }

  /** See `VfioDevice.signal`. */
  signal(index: number, vector: number): void {
    if (index === REQ) this.#request.signal();
    else if (index === ERR) this.#error.signal();
    else if (index === INTX) this.#line.signal();
    else this.#vectors.signal(index, vector);
  }

  /** In naturally aligned pieces of 4, 2 and 1 bytes. @see Linux 7.2 samples/vfio-mdev/mtty.c mtty_read */
  read(index: number, offset: number, out: Uint8Array): number {
    for (let done = 0; done < out.length;) {
      const bytes = piece(offset + done, out.length - done);
      const value = this.#device.readRegion(index, offset + done, bytes);
      for (let n = 0; n < bytes; n++) out[done + n] = value >>> (n * 8);
      done += bytes;
    }
    return out.length;
  }

  write(index: number, offset: number, data: Uint8Array): number {
    for (let done = 0; done < data.length;) {
      const bytes = piece(offset + done, data.length - done);
      let value = 0;
      for (let n = 0; n < bytes; n++) value |= data[done + n]! << (n * 8);
      this.#device.writeRegion(index, offset + done, bytes, value >>> 0);
      done += bytes;
    }
    return data.length;
  }

  request(count: number): void {
    const device = this.#device;
    if (device.request !== undefined) device.request(count);
    else if (!this.#request.signal() && count === 0) {
      this.#dev.log('warn', 'no device request channel registered, blocked until released by user', 'vfio_blocked');
    }
  }
}

/** How wide the next access is. */
function piece(at: number, left: number): 1 | 2 | 4 {
  if (left >= 4 && at % 4 === 0) return 4;
  return left >= 2 && at % 2 === 0 ? 2 : 1;
}

const irqOf = (device: EmulatedDevice, index: number): EmulatedIrq | undefined => device.irqs.find((irq) => irq.index === index);

/** The vectors of an emulated device: what its driver has taken for each. */
class TakenVectors implements VectorBackend {
  readonly #core: DeviceCore;
  readonly #dev: Device;
  readonly #device: EmulatedDevice;
  /** The interrupt of each vector that is ready; undefined for one that is signalled by software. */
  readonly #taken = new Map<number, number | undefined>();

  constructor(core: DeviceCore, dev: Device, device: EmulatedDevice) {
    this.#core = core;
    this.#dev = dev;
    this.#device = device;
  }

  enable(index: number, count: number): number {
    if (count === 0) throw new Errno('ERANGE', `${this.#dev.name}: no vectors at all to enable`);
    try {
      for (let vector = 0; vector < count; vector++) this.virq(index, vector);
      return count;
    } catch (error) {
      const had = this.#taken.size;
      this.disable(index);
      if (!Errno.is(error, 'ENOSPC') || had === 0) throw error;
      return had;
    }
  }

  virq(index: number, vector: number): number | undefined {
    if (this.#taken.has(vector)) return this.#taken.get(vector);
    try {
      const virq = irqOf(this.#device, index)?.take?.(vector);
      this.#taken.set(vector, virq);
      return virq;
    } catch (error) {
      if (!Errno.is(error, 'EBUSY')) throw error;
      throw new Errno('ENOSPC', `${this.#dev.name}: no interrupt is left for vector ${vector}`, { cause: error });
    }
  }

  disable(index: number): void {
    const irq = irqOf(this.#device, index);
    for (const [vector, virq] of [...this.#taken].reverse()) {
      this.#taken.delete(vector);
      if (virq !== undefined) this.#core.guard(this.#dev, `give of vector ${vector}`, () => irq?.give?.(vector, virq));
    }
  }

  label(index: number, vector: number): string {
    return `${LABELS[index]}[${vector}](${this.#dev.name})`;
  }
}
