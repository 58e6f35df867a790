import type { Device, DeviceCore } from '../device/index.js';
import type { DmaMemory, IommuHardware } from '../hal/index.js';
import type { AddressSpace, Iommu } from '../iommu/index.js';
import type { Irqs } from '../irq/index.js';
import { Errno, type MaybePromise, collect, joinErrors } from '../lib/index.js';
import { NameTable } from '../lib/name-table.js';
import { IrqBypass } from './bypass.js';
import { VfioContainer, type ContainerParts } from './container.js';
import type { EmulatedDevice } from './emulated.js';
import { EmulatedOps } from './emulated-ops.js';
import { VfioGroup, VfioGroupFile } from './group.js';
import { Guest, type GuestOptions } from './guest.js';
import { PostedCpus } from './posted-cpus.js';
import type { VfioOps } from './uapi.js';
import { VfioDevice } from './vfio-device.js';
import { VfioFile } from './vfio-file.js';

/** How devices are handed to users. */
export interface VfioPolicy {
  /** Also those whose messages could be forged, since nothing isolates them; default false. Linux's `allow_unsafe_interrupts`. */
  readonly allowUnsafeInterrupts?: boolean;
  /** Mappings of a container; default 65,535. Linux's `dma_entry_limit`. */
  readonly dmaEntryLimit?: number;
}

/** What VFIO stands on. @internal */
export interface VfioPorts {
  readonly memory: DmaMemory;
  readonly iommu: Iommu;
  readonly hardware: IommuHardware | undefined;
  readonly irqs: Irqs;
  /** Whether a message of a device reaches only what it was allocated. */
  readonly hasIsolatedMsi: boolean;
}

/** How an emulated device is registered. */
export interface EmulatedOptions {
  /** Its hardware sends a PASID with its accesses, which then go by what the user maps: `device.pasid`, while it is open. */
  readonly pasid?: boolean;
}

const endDevice = (device: VfioDevice): MaybePromise<void> => device.end();

/**
 * Devices for users: drivers register what they hand out, users open it. A service: `@inject(Vfio) private readonly vfio: Vfio`.
 * @see Linux 7.2 drivers/vfio/vfio_main.c
 */
export class Vfio {
  /** Brings vectors and guests together. */
  readonly bypass: IrqBypass;
  readonly #core: DeviceCore;
  readonly #ports: VfioPorts;
  readonly #policy: VfioPolicy;
  readonly #devices = new Map<Device, VfioDevice>();
  /** One of each name. */
  readonly #byName = new NameTable<VfioDevice>();
  readonly #groups = new Map<string, VfioGroup>();
  readonly #files = new Set<AsyncDisposable>();
  readonly #cpus: PostedCpus;
  #emulated = 0;

  constructor(core: DeviceCore, ports: VfioPorts, policy: VfioPolicy = {}) {
    this.#core = core;
    this.#ports = ports;
    this.#policy = policy;
    this.bypass = new IrqBypass(core);
    this.#cpus = new PostedCpus(ports.irqs);
  }

  // For drivers

  /**
   * Hands a device to users, until it is unbound: its DMA goes by its requester id. Managed: in the ledger it is `vfio device`. Its driver
   * says `managesDma`, and ends it in `remove`, before it stops the device: `return device.unregister()`.
   * @throws {Errno} EEXIST when it is registered; EINVAL when no IOMMU translates for it
   * @see Linux 7.2 drivers/vfio/vfio_main.c vfio_register_group_dev
   */
  register(dev: Device, ops: VfioOps): VfioDevice {
    if (this.#ports.iommu.group(dev) === undefined)
      throw new Errno('EINVAL', `${dev.name}: no IOMMU keeps it from memory that is not its user's`);
    return this.#register(dev, ops, {});
  }

  /**
   * Hands an emulated device to users, until it is unbound: its DMA is done by its driver, or with a PASID. Managed: in the ledger it is
   * `vfio device`. A mediated device has no users any more when its driver's `remove` is called; the driver of another ends it there, as
   * one of {@link register} does.
   * @throws {Errno} EEXIST when it is registered
   * @see Linux 7.2 drivers/vfio/vfio_main.c vfio_register_emulated_iommu_dev
   */
  registerEmulated(dev: Device, device: EmulatedDevice, options: EmulatedOptions = {}): VfioDevice {
    const emulated = new EmulatedOps(dev, device, this.#ports.irqs, this.bypass);
    return this.#register(dev, emulated, { emulated, usesPasid: options.pasid ?? false });
  }

  #register(dev: Device, ops: VfioOps, how: { readonly emulated?: EmulatedOps; readonly usesPasid?: boolean }): VfioDevice {
    const { devres } = dev;
    devres.faultPoint('vfio device');
    if (this.#devices.has(dev)) throw new Errno('EEXIST', `${dev.name}: is a VFIO device already`);
    const { emulated, usesPasid = false } = how;
    const group = emulated === undefined ? this.#groupOf(dev) : this.#newGroup(`emulated-${this.#emulated++}`);
    const device = new VfioDevice({
      core: this.#core,
      dev,
      ops,
      group,
      isEmulated: emulated !== undefined,
      usesPasid,
      signal: (index, vector) => emulated?.signal(index, vector),
      gone: (it) => this.#gone(it),
    });
    group.devices.push(device);
    this.#devices.set(dev, device);
    this.#byName.add(dev.name, device, dev.nameHash);
    (dev.edges ??= []).push(device);
    device.entry = devres.enter('vfio device', device, endDevice);
    if (dev.bound) device.appear();
    return device;
  }

  /** What a device was registered as. */
  deviceOf(dev: Device): VfioDevice | undefined {
    return this.#devices.get(dev);
  }

  #groupOf(dev: Device): VfioGroup {
    const iommuGroup = this.#ports.iommu.group(dev)!;
    const name = String(iommuGroup.id);
    const group = this.#groups.get(name) ?? this.#newGroup(name);
    group.iommuGroup = iommuGroup;
    return group;
  }

  #newGroup(name: string): VfioGroup {
    const group = new VfioGroup(name);
    this.#groups.set(name, group);
    return group;
  }

  #gone(device: VfioDevice): void {
    const { dev, group } = device;
    this.#devices.delete(dev);
    if (this.#byName.get(dev.name, dev.nameHash) === device) this.#byName.delete(dev.name, dev.nameHash);
    const edge = dev.edges?.indexOf(device) ?? -1;
    if (edge >= 0) dev.edges!.splice(edge, 1);
    group.devices.splice(group.devices.indexOf(device), 1);
    if (group.devices.length > 0) return;
    group.end();
    this.#groups.delete(group.name);
  }

  // For users

  /** What can be opened, in the order it was registered. */
  list(): VfioDevice[] {
    return [...this.#devices.values()].filter((device) => device.isVisible);
  }

  /** A device by the name of its device. @throws {Errno} ENODEV when there is none */
  get(name: string): VfioDevice {
    const known = this.#byName.get(name);
    // Devices of two buses may have one name, and only the other be there for users.
    const found = known?.isVisible === true ? known : this.list().find((device) => device.name === name);
    if (found === undefined) throw new Errno('ENODEV', `${name}: no VFIO device: bind it to a driver that hands it out`);
    return found;
  }

  /**
   * What devices of one user can reach: Linux's `/dev/vfio/vfio`.
   * @param memory of the user: what `vaddr` means in its mappings
   */
  container(memory: AddressSpace): VfioContainer {
    const { hardware, iommu, memory: host, hasIsolatedMsi } = this.#ports;
    const parts: ContainerParts = {
      core: this.#core,
      hardware,
      iommu,
      host,
      isSafe: hasIsolatedMsi || this.#policy.allowUnsafeInterrupts === true,
      entryLimit: this.#policy.dmaEntryLimit ?? DMA_ENTRY_LIMIT,
    };
    return this.#opened(new VfioContainer(memory, parts, (it) => this.#files.delete(it)));
  }

  /**
   * Opens the group of a device: Linux's `/dev/vfio/12`.
   * @param name `vfio.get('0000:00:04.0').group.name`
   * @throws {Errno} ENODEV when no VFIO device is in it; EBUSY while it is open, or one of its devices was opened by itself
   * @see Linux 7.2 drivers/vfio/group.c vfio_group_fops_open
   */
  openGroup(name: string): VfioGroupFile {
    const group = this.#groups.get(name);
    if (group === undefined) throw new Errno('ENODEV', `vfio group ${name}: has no VFIO device`);
    return this.#opened(new VfioGroupFile(group, this, (it) => this.#files.delete(it)));
  }

  /**
   * Opens a device by itself: Linux's `/dev/vfio/devices/vfio0`. Before `bind` nothing can be done with it.
   * @throws {Errno} ENODEV when there is none
   * @see Linux 7.2 drivers/vfio/device_cdev.c vfio_device_fops_cdev_open
   */
  openDevice(name: string): VfioFile {
    return this.fileOf(this.get(name), false);
  }

  /** @internal */
  fileOf(device: VfioDevice, isGranted: boolean): VfioFile {
    return this.#opened(new VfioFile(device, isGranted, (it) => this.#files.delete(it)));
  }

  /** Makes a virtual machine, for whose CPUs interrupts can be posted. @throws {Errno} as `Guest` */
  guest(options: GuestOptions = {}): Guest {
    const { irqs, memory } = this.#ports;
    const closed = (it: Guest): void => void this.#files.delete(it);
    return this.#opened(new Guest({ core: this.#core, irqs, memory, bypass: this.bypass, cpus: this.#cpus, closed }, options));
  }

  #opened<T extends AsyncDisposable>(it: T): T {
    this.#files.add(it);
    return it;
  }

  /** The system stops: its users are gone before its devices. @internal */
  async close(): Promise<void> {
    const errors: unknown[] = [];
    for (const it of [...this.#files].reverse()) await collect(errors, () => it[Symbol.asyncDispose]());
    if (errors.length > 0) throw joinErrors(errors, 'closing what users of devices have open');
  }
}

/** @see Linux 7.2 drivers/vfio/vfio_iommu_type1.c dma_entry_limit */
const DMA_ENTRY_LIMIT = 65_535;
