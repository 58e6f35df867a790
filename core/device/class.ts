import { Errno } from '../lib/errno.js';
import { enterFrame, findFrame, leaveFrame } from '../lib/frame.js';
import { ListNode, List } from '../lib/list.js';
import type { MaybePromise } from '../lib/flow.js';
import type { AttributeGroup } from './attribute.js';
import type { DeviceCore } from './core.js';
import type { Device } from './device.js';
import type { PmOps } from './driver.js';

/** Hears of the devices of a class as they come and go; must not add or remove devices of the same class. */
export interface ClassInterface {
  addDev?(dev: Device): void;
  removeDev?(dev: Device): void;
}

/** What all devices of a class have in common. */
export interface ClassOptions {
  readonly devGroups?: readonly AttributeGroup<Device>[];
  /** Adds variables to an event; a throw drops the event. */
  readonly uevent?: (dev: Device, env: Map<string, string>) => void;
  /** Called when a device without a release of its own is given up. */
  readonly devRelease?: (dev: Device) => void;
  readonly shutdownPre?: (dev: Device) => MaybePromise<void>;
  readonly pm?: PmOps;
}

/**
 * A class of devices: what they do, whatever bus they sit on.
 * @see Linux 6.12 drivers/base/class.c
 */
export class Class {
  /** @internal */
  readonly devices = new List<Device>();
  /** @internal */
  readonly interfaces = new List<ClassInterface>();
  readonly #nodes = new Map<ClassInterface, ListNode<ClassInterface>>();
  /** The core it is registered with. @internal */
  core: DeviceCore | undefined = undefined;

  constructor(
    readonly name: string,
    readonly options: ClassOptions = {},
  ) {}

  /** @internal */
  addInterface(core: DeviceCore, face: ClassInterface): void {
    const node = new ListNode(face);
    this.#nodes.set(face, node);
    this.interfaces.push(node);
    for (const dev of this.devices) this.#tell(core, dev, face, 'addDev');
  }

  /** @internal */
  removeInterface(core: DeviceCore, face: ClassInterface): void {
    const node = this.#nodes.get(face);
    if (node === undefined) return;
    this.#nodes.delete(face);
    this.interfaces.delete(node);
    for (const dev of this.devices) this.#tell(core, dev, face, 'removeDev');
  }

  /** Tells every interface of a device. @internal */
  tell(core: DeviceCore, dev: Device, what: keyof ClassInterface): void {
    for (const face of this.interfaces) this.#tell(core, dev, face, what);
  }

  /** @throws {Errno} EDEADLK from inside an interface of this class, which would wait for itself. @internal */
  refuseInside(dev: Device, what: string): void {
    const inside = findFrame((f) => f.owner === this);
    if (inside !== undefined) {
      throw new Errno(
        'EDEADLK',
        `${dev.name}: ${what} from inside an ${inside.what} of class ${this.name} would wait for itself`,
      );
    }
  }

  #tell(core: DeviceCore, dev: Device, face: ClassInterface, what: keyof ClassInterface): void {
    core.guard(dev, `interface of class ${this.name}`, () => {
      const saved = enterFrame(this, 'interface');
      try {
        face[what]?.(dev);
      } finally {
        leaveFrame(saved);
      }
    });
  }
}

/** A kind of device within its bus or class. @see Linux 6.12 include/linux/device.h struct device_type */
export interface DeviceType {
  readonly name: string;
  readonly groups?: readonly AttributeGroup<Device>[];
  readonly uevent?: (dev: Device, env: Map<string, string>) => void;
  readonly release?: (dev: Device) => void;
  readonly pm?: PmOps;
}
