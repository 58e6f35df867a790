import { type AttributeGroup, Device } from '../device/index.js';
import type { Host, PlatformResource } from '../hal/host.js';
import { Mmio } from '../hal/mmio.js';
import type { IrqHandle, IrqHandler, IrqSpec, Irqs, LineDomain, TriggerType } from '../irq/index.js';
import { Errno } from '../lib/errno.js';
import type { MessageSender } from '../msi/index.js';
import type { ResourceClaim } from './resource-tree.js';
import { SoftwareNode } from './software-node.js';

/** What platform devices need of a host. @internal */
export type PlatformHost = Pick<Host, 'name' | 'map' | 'requesterId'>;

/** How platform devices interrupt. @internal */
export interface PlatformInterrupts {
  readonly irqs: Irqs;
  /** The wired interrupts; undefined where there are none. */
  readonly lines: LineDomain | undefined;
}

/** What the maker of a platform device says of it. */
export interface PlatformOptions {
  /** Its name without the id. */
  readonly name: string;
  /** Absent: the name alone. `'auto'`: the lowest free number, given out when the device is added. */
  readonly id?: number | 'auto';
  /** Default: the root device `platform`. */
  readonly parent?: Device;
  readonly resources?: readonly PlatformResource[];
  /** For the driver, from who made the device. */
  readonly platformData?: unknown;
  /** What the board says of it. */
  readonly properties?: SoftwareNode;
  /** Attributes of the device itself. */
  readonly groups?: readonly AttributeGroup<Device>[];
  /** Called once, when nobody holds the device any more. */
  readonly release?: (dev: Device) => void;
}

/**
 * A device that no bus can find: somebody who knows the board says that it is there, and where.
 *
 * Its addresses are its own from `PlatformBus.add` until it is removed.
 * @see Linux 6.12 drivers/base/platform.c, include/linux/platform_device.h struct platform_device
 */
export class PlatformDevice extends Device implements MessageSender {
  declare parent: Device | undefined;
  /** Its name without the id: what drivers match. */
  readonly baseName: string;
  readonly resources: readonly PlatformResource[];
  /** What the board says of it; empty when it says nothing. */
  readonly properties: SoftwareNode;
  /** Whether the bus gives it a number. @internal */
  readonly isAuto: boolean;
  /** What it has of the resource trees, while it is added. @internal */
  claims: ResourceClaim[] = [];
  /** @internal */
  host: PlatformHost | undefined = undefined;
  /** @internal */
  interrupts: PlatformInterrupts | undefined = undefined;
  readonly #mapped = new Set<PlatformResource>();

  /** @throws {Errno} EINVAL without name; ERANGE for an id that is no integer from 0 up */
  constructor(options: PlatformOptions) {
    const { name, id, resources, release, properties, ...rest } = options;
    if (name === '') throw new Errno('EINVAL', 'platform device: has no name');
    if (typeof id === 'number' && !(Number.isSafeInteger(id) && id >= 0)) {
      throw new Errno('ERANGE', `platform device ${name}: id ${id}: must be an integer from 0 up, 'auto' or absent`);
    }
    super({
      ...rest,
      ...(typeof id === 'number' ? { id } : {}),
      ...(id === 'auto' ? {} : { name: id === undefined ? name : `${name}.${id}` }),
      release: release ?? (() => {}),
    });
    this.baseName = name;
    this.resources = resources ?? [];
    this.properties = properties ?? new SoftwareNode(name);
    this.isAuto = id === 'auto';
  }

  /**
   * A resource by kind, and by its name or its index among those of that kind.
   * @see Linux 6.12 drivers/base/platform.c platform_get_resource, platform_get_resource_byname
   */
  resource(kind: PlatformResource['kind'], which: number | string): PlatformResource | undefined {
    const ofKind = this.resources.filter((r) => r.kind === kind);
    return typeof which === 'number' ? ofKind[which] : ofKind.find((r) => r.name === which);
  }

  /**
   * The number of an interrupt, to be requested.
   * @param trigger how its line tells of it
   * @throws {Errno} ENXIO when it has no such one, or the host has no such line; EBUSY when the line is in use otherwise
   * @see Linux 6.12 platform.c platform_get_irq
   */
  irq(which: number | string, trigger: TriggerType = 'high'): number {
    const found = this.resource('irq', which);
    if (found === undefined) throw new Errno('ENXIO', `${this.name}: irq ${which} not found`);
    const { interrupts } = this;
    if (interrupts === undefined) return found.start;
    if (interrupts.lines === undefined)
      throw new Errno('ENXIO', `${this.name}: irq ${which} is line ${found.start}: the host has no lines`);
    try {
      return interrupts.lines.lineIrq(found.start, trigger);
    } catch (cause) {
      if (!Errno.is(cause, 'ERANGE')) throw cause;
      throw new Errno('ENXIO', `${this.name}: irq ${which}: ${cause.text}`, { cause });
    }
  }

  /** Requests an interrupt until unbind. @throws {Errno} as `irq` and `Irqs.request`; EOPNOTSUPP when its bus has no interrupts */
  requestIrq(which: number | string, handler: IrqHandler | IrqSpec): IrqHandle {
    if (this.interrupts === undefined) throw new Errno('EOPNOTSUPP', `${this.name}: its bus has no interrupts`);
    const trigger = typeof handler === 'function' ? undefined : handler.trigger;
    return this.interrupts.irqs.request(this, this.irq(which, trigger), handler);
  }

  /** Who its messages say they are from, as the host tells by its first address; undefined when that is not known. */
  get requesterId(): number | undefined {
    const first = this.resource('mem', 0);
    return first === undefined ? undefined : this.host?.requesterId?.(first.start);
  }

  /** It may always send. @internal */
  messagesBegin(): void {}
  /** @internal */
  messagesEnd(): void {}

  /**
   * Registers in memory space, for as long as the device is bound.
   * @throws {Errno} EINVAL when it has no such resource; EBUSY when it is mapped; EOPNOTSUPP when the host maps no addresses
   * @see Linux 6.12 drivers/base/platform.c devm_platform_ioremap_resource, devm_platform_ioremap_resource_byname
   */
  mapMem(which: number | string): Mmio {
    return this.#map('mem', which);
  }

  /** Registers in I/O space; as `mapMem`. */
  mapIo(which: number | string): Mmio {
    return this.#map('io', which);
  }

  #map(kind: 'io' | 'mem', which: number | string): Mmio {
    const label = `${kind} ${which}`;
    const what = `${this.name}: ${label}`;
    const found = this.resource(kind, which);
    if (found === undefined) throw new Errno('EINVAL', `${what}: no such resource`);
    if (this.#mapped.has(found)) throw new Errno('EBUSY', `${what}: is mapped already`);
    const { host } = this;
    if (host?.map === undefined) throw new Errno('EOPNOTSUPP', `${what}: ${host?.name ?? 'no'} host maps no addresses`);
    const map = (): Mmio => {
      const window = host.map!(kind, found.start, found.sizeBytes);
      this.#mapped.add(found);
      return new Mmio(window, what, (used) => this.core?.report('use-after-unbind', this, `${used} used after unbind`));
    };
    return this.devres.acquire(label, map, (mmio) => {
      this.#mapped.delete(found);
      mmio.revoke();
    });
  }
}
