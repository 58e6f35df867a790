import type { Attribute, Device } from '../device/index.js';
import type { DevresEntry } from '../devres/index.js';
import { type MaybePromise, chain } from '../lib/index.js';
import { List } from '../lib/list.js';
import type { MdevDevice } from './mdev-device.js';
import type { MdevDriver } from './mdev-driver.js';

/** A kind of mediated device, as a driver describes it. @see Linux 7.2 include/linux/mdev.h struct mdev_type */
export interface MdevTypeSpec {
  /** Without the name of the parent's driver, which is put in front: `dsa-1dwq-v1`. */
  readonly name: string;
  /** For people; default `name`. */
  readonly prettyName?: string;
}

/** Makes and forgets devices for the types of a parent. @internal */
export interface MdevCreator {
  create(type: MdevType, text: string): MaybePromise<MdevDevice>;
}

/** A kind of mediated device that a parent offers: a folder of its attribute group `mdev_supported_types`. */
export class MdevType {
  /** With the name of the parent's driver: `idxd-dsa-1dwq-v1`. */
  readonly name: string;
  /** @internal */
  readonly list = new List<MdevDevice>();

  /** @internal */
  constructor(
    readonly parent: MdevParent,
    /** As the driver gave it. */
    readonly spec: MdevTypeSpec,
  ) {
    const { driver, bus } = parent.dev;
    this.name = `${driver?.name ?? bus?.name ?? ''}-${spec.name}`;
  }

  /** Those that exist, in the order they came. */
  get devices(): MdevDevice[] {
    return this.list.toArray();
  }

  /** How many {@link devices} there are. */
  get count(): number {
    return this.list.size;
  }

  /** The group of its attributes. */
  get group(): string {
    return `mdev_supported_types/${this.name}`;
  }

  /** Where it is in the tree. */
  get path(): string {
    return `${this.parent.dev.path}/${this.group}`;
  }

  /** How many more can be created. */
  get available(): number {
    const { parent } = this;
    return parent.driver.getAvailable?.(this) ?? parent.available;
  }

  /** What sysfs shows of it. @see Linux 7.2 drivers/vfio/mdev/mdev_sysfs.c @internal */
  attributes(creator: MdevCreator): Attribute<Device>[] {
    const { driver } = this.parent;
    const all: Attribute<Device>[] = [
      {
        name: 'create',
        mode: 0o200,
        store: (_dev, text) => chain(creator.create(this, text), () => {}),
      },
      { name: 'device_api', show: () => `${driver.deviceApi}\n` },
      { name: 'name', show: () => `${this.spec.prettyName ?? this.spec.name}\n` },
      { name: 'available_instances', show: () => `${this.available}\n` },
    ];
    if (driver.showDescription !== undefined) {
      all.push({ name: 'description', show: () => driver.showDescription?.(this) ?? '' });
    }
    return all;
  }
}

/**
 * A device whose driver can make mediated devices of it.
 * @see Linux 7.2 include/linux/mdev.h struct mdev_parent
 */
export class MdevParent {
  readonly types: readonly MdevType[];
  /** Devices that can still be created, unless the driver's `getAvailable` says it. */
  available: number;
  /** Whether devices can be created; not from the moment it is unregistered. */
  registered = true;
  /** In the ledger. @internal */
  entry: DevresEntry | undefined = undefined;

  /** @internal */
  constructor(
    readonly dev: Device,
    readonly driver: MdevDriver,
    types: readonly MdevTypeSpec[],
  ) {
    this.available = driver.maxInstances;
    this.types = types.map((spec) => new MdevType(this, spec));
  }

  /** The devices of all its types. */
  get devices(): MdevDevice[] {
    return this.types.flatMap((type) => type.devices);
  }

  /** The type of this name, with or without the name of the driver. */
  type(name: string): MdevType | undefined {
    return this.types.find((type) => type.name === name || type.spec.name === name);
  }

  /** Removes its devices and its types now, waiting for users; harmless when that was done. */
  unregister(): MaybePromise<void> {
    const { entry } = this;
    return entry?.ledger?.releaseEntry(entry);
  }
}
