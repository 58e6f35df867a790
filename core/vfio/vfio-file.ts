import type { Mmio } from '../hal/index.js';
import { isThenable } from '../lib/flow.js';
import { Errno, type MaybePromise } from '../lib/index.js';
import type { VfioContainer } from './container.js';
import { checkIrqSet } from './irq-set.js';
import type { VfioDeviceInfo, VfioFeature, VfioIrqInfo, VfioIrqSet, VfioOps, VfioRegionInfo } from './uapi.js';
import type { VfioDevice } from './vfio-device.js';

const PAGE = 4096;

/**
 * An open VFIO device: what a user does with it. Until it has a container nothing can be done (EINVAL); when it is closed, EBADF; when its
 * driver was unbound without waiting for him any longer, ENODEV.
 *
 * @example
 * ```ts
 * await using file = vfio.openDevice('0000:00:04.0');
 * await file.bind(vfio.container(memory));
 * file.setIrqs({ index: VFIO_PCI_IRQ.MSIX, action: 'trigger', start: 0, count: 1, eventfds: [new EventFd('queue 0')] });
 * ```
 * @see Linux 7.2 drivers/vfio/vfio_main.c vfio_device_fops
 */
export class VfioFile implements AsyncDisposable {
  readonly #device: VfioDevice;
  readonly #closed: (file: VfioFile) => void;
  readonly #isOfGroup: boolean;
  /** What it shows of the device's memory. */
  readonly #maps: Mmio[] = [];
  #isGranted: boolean;
  /** The driver's `open` is under way. */
  #binding: PromiseLike<void> | undefined = undefined;
  #isClosed = false;

  /** @internal */
  constructor(device: VfioDevice, isGranted: boolean, closed: (file: VfioFile) => void) {
    this.#device = device;
    this.#isGranted = isGranted;
    this.#isOfGroup = isGranted;
    this.#closed = closed;
    device.files.add(this);
  }

  /** The device that was opened. */
  get name(): string {
    return this.#device.name;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Gives the device the container whose mappings it is to reach, and this user access to it. The container becomes one of type 1.
   * @throws {Errno} EINVAL for a device that was opened through its group, that was bound before, or is bound by another descriptor; EBUSY
   *   while its group is open; what attaching to the container threw, or the driver's `open`
   * @see Linux 7.2 drivers/vfio/device_cdev.c vfio_df_ioctl_bind_iommufd, vfio_df_ioctl_attach_pt
   */
  bind(container: VfioContainer): MaybePromise<void> {
    const device = this.#device;
    if (this.#isClosed) throw this.#bad();
    if (this.#isOfGroup) throw new Errno('EINVAL', `${this.name}: was opened through its group, which has the container`);
    if (this.#isGranted || device.boundBy === this) throw new Errno('EINVAL', `${this.name}: is bound already`);
    if (device.group.file !== undefined) throw new Errno('EBUSY', `${this.name}: its group ${device.group.name} is open`);
    if (device.boundBy !== undefined) throw new Errno('EINVAL', `${this.name}: is bound by another descriptor`);
    const { group } = device;
    container.attachDirectly(group);
    group.directUsers++;
    device.boundBy = this;
    const failed = (error: unknown): never => {
      this.#binding = undefined;
      this.#leaveGroup(container);
      throw error;
    };
    const bound = (): void => {
      this.#binding = undefined;
      this.#isGranted = true;
    };
    try {
      const done = this.#enter(() => device.open(container));
      if (!isThenable(done)) return bound();
      this.#binding = done.then(bound, failed);
      return this.#binding;
    } catch (error) {
      return failed(error);
    }
  }

  #leaveGroup(container: VfioContainer): void {
    const { group } = this.#device;
    this.#device.boundBy = undefined;
    if (--group.directUsers === 0) container.removeGroup(group);
  }

  /** DEVICE_GET_INFO. @throws {Errno} EINVAL without access */
  info(): VfioDeviceInfo {
    const { info, reset } = this.#ops();
    return { ...info, reset: reset !== undefined };
  }

  /** DEVICE_GET_REGION_INFO. @throws {Errno} EINVAL without access, and for an index that there is not */
  regionInfo(index: number): VfioRegionInfo {
    return this.#region(this.#ops(), index);
  }

  /** DEVICE_GET_IRQ_INFO. @throws {Errno} EINVAL without access, and for an index that there is not */
  irqInfo(index: number): VfioIrqInfo {
    const ops = this.#ops();
    if (!isBelow(index, ops.info.irqs)) throw new Errno('EINVAL', `${this.name}: has no interrupts of index ${index}`);
    return ops.irqInfo(index);
  }

  /**
   * DEVICE_SET_IRQS.
   * @returns 0; or, positive, how many vectors could be had when those were fewer than asked for: none is allocated then
   * @throws {Errno} EINVAL for what is out of range or shape, and in an interrupt handler; EBADF for an eventfd that is closed; ENOTTY for
   *   what those interrupts cannot; what the driver threw
   * @see Linux 7.2 drivers/vfio/vfio_main.c vfio_set_irqs_validate_and_prepare; drivers/vfio/pci/vfio_pci_intrs.c
   */
  setIrqs(set: VfioIrqSet): number {
    const ops = this.#ops();
    checkIrqSet(this.name, set, ops);
    return this.#enter(() => ops.setIrqs(set));
  }

  /** DEVICE_RESET. @throws {Errno} ENOTTY when it cannot be reset */
  reset(): MaybePromise<void> {
    const ops = this.#ops();
    if (ops.reset === undefined) throw new Errno('ENOTTY', `${this.name}: cannot be reset`);
    return this.#enter(() => ops.reset!());
  }

  /**
   * Reads a region from `offset` on.
   * @returns bytes that were read: fewer than `out` has at the end of the region
   * @throws {Errno} EINVAL for a region that there is not or cannot be read, and from its end on
   */
  read(region: number, offset: number, out: Uint8Array): number {
    const ops = this.#ops();
    const length = this.#range(this.#region(ops, region), 'read', offset, out.length);
    const { sections } = this.#device.core;
    sections.enter();
    try {
      return ops.read!(region, offset, length === out.length ? out : out.subarray(0, length));
    } finally {
      sections.leave();
    }
  }

  /** Writes a region from `offset` on. @returns bytes that were written @throws {Errno} as {@link read} */
  write(region: number, offset: number, data: Uint8Array): number {
    const ops = this.#ops();
    const length = this.#range(this.#region(ops, region), 'write', offset, data.length);
    const { sections } = this.#device.core;
    sections.enter();
    try {
      return ops.write!(region, offset, length === data.length ? data : data.subarray(0, length));
    } finally {
      sections.leave();
    }
  }

  /**
   * Shows pages of a region, until the descriptor is closed.
   * @throws {Errno} EINVAL for a region that cannot be shown, and for what is not whole pages inside it
   * @see Linux 7.2 drivers/vfio/pci/vfio_pci_core.c vfio_pci_core_mmap
   */
  mmap(region: number, offset: number, sizeBytes: number): Mmio {
    const ops = this.#ops();
    const info = this.#region(ops, region);
    if (!info.mmap || ops.mmap === undefined) throw new Errno('EINVAL', `${this.name}: region ${region} cannot be mapped`);
    const end = Math.ceil(info.sizeBytes / PAGE) * PAGE;
    const isWhole = Number.isSafeInteger(offset) && offset >= 0 && offset % PAGE === 0 && sizeBytes > 0 && sizeBytes % PAGE === 0;
    if (!isWhole || offset + sizeBytes > end) {
      throw new Errno(
        'EINVAL',
        `${this.name}: ${sizeBytes} bytes at ${offset} of region ${region}: no whole pages of its ${end} bytes`,
      );
    }
    const mmio = ops.mmap(region, offset, sizeBytes);
    this.#maps.push(mmio);
    return mmio;
  }

  /**
   * DEVICE_FEATURE.
   * @returns what `get` gives
   * @throws {Errno} EINVAL for `get` with `set` but without `probe`, and for neither of them; ENOTTY when there is no such feature
   * @see Linux 7.2 drivers/vfio/vfio_main.c vfio_ioctl_device_feature
   */
  feature(feature: VfioFeature): unknown {
    const ops = this.#ops();
    const { index, get = false, set = false, probe = false } = feature;
    if (get && set && !probe) throw new Errno('EINVAL', `${this.name}: feature ${index}: to get and to set at once`);
    if (!get && !set && !probe)
      throw new Errno('EINVAL', `${this.name}: feature ${index}: neither to get nor to set nor to probe`);
    const result = ops.feature?.(feature);
    if (result === undefined) throw new Errno('ENOTTY', `${this.name}: has no feature ${index}`);
    return result;
  }

  /**
   * Closes it, when a `bind` that is under way is over; the last one ends what users have of the device. Harmless when it is closed.
   * @throws {Errno} EINVAL in an interrupt handler, and it is open still; what the driver's `close` threw
   */
  close(): MaybePromise<void> {
    if (this.#isClosed) return;
    this.#device.core.sections.check?.();
    if (this.#binding !== undefined) {
      const again = (): MaybePromise<void> => this.close();
      return this.#binding.then(again, again);
    }
    this.#isClosed = true;
    for (const mmio of this.#maps.splice(0)) mmio.revoke();
    const device = this.#device;
    const { container } = device;
    const gone = (): void => {
      if (this.#isOfGroup) device.group.file?.fileClosed();
      else if (device.boundBy === this && container !== undefined) this.#leaveGroup(container);
      this.#closed(this);
      device.fileClosed(this);
    };
    let done: MaybePromise<void>;
    try {
      done = this.#isGranted ? this.#enter(() => device.close()) : undefined;
    } catch (error) {
      gone();
      throw error;
    }
    if (!isThenable(done)) return gone();
    return Promise.resolve(done).finally(gone);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Interrupts come when the call returns. @throws {Errno} EINVAL in an interrupt handler */
  #enter<T>(call: () => T): T {
    const { sections } = this.#device.core;
    sections.enterOperation();
    try {
      return call();
    } finally {
      sections.leave();
    }
  }

  /** @throws {Errno} EBADF, ENODEV, EINVAL */
  #ops(): VfioOps {
    if (this.#isClosed) throw this.#bad();
    if (!this.#isGranted) throw new Errno('EINVAL', `${this.name}: no access yet: bind it to a container`);
    if (!this.#device.isLive)
      throw new Errno('ENODEV', `${this.name}: its driver has not waited for its user any longer: close it`);
    return this.#device.ops;
  }

  #region(ops: VfioOps, index: number): VfioRegionInfo {
    if (!isBelow(index, ops.info.regions)) throw new Errno('EINVAL', `${this.name}: has no region ${index}`);
    return ops.regionInfo(index);
  }

  /** How much of an access is inside the region. */
  #range(region: VfioRegionInfo, way: 'read' | 'write', offset: number, length: number): number {
    const { index, sizeBytes } = region;
    if (!region[way] || this.#device.ops[way] === undefined) {
      throw new Errno('EINVAL', `${this.name}: region ${index} has no ${way}`);
    }
    if (!isBelow(offset, sizeBytes)) {
      throw new Errno('EINVAL', `${this.name}: offset ${offset} of region ${index}, which has ${sizeBytes} bytes`);
    }
    return Math.min(length, sizeBytes - offset);
  }

  #bad(): Errno {
    return new Errno('EBADF', `${this.name}: the descriptor is closed`);
  }
}

const isBelow = (value: number, end: number): boolean => Number.isInteger(value) && value >= 0 && value < end;
