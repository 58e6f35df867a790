import { Devres, type DevresHooks, type DevresOwner } from '../devres/index.js';
import { Errno, describeError } from '../lib/errno.js';
import { isThenable } from '../lib/flow.js';
import { List, type ListNode } from '../lib/list.js';
import type { LogLevel } from '../lib/log.js';
import { type AttributeGroup, AttributeSet } from './attribute.js';
import type { Bus } from './bus.js';
import type { Class, DeviceType } from './class.js';
import type { DeviceCore } from './core.js';
import type { Directory } from './directory.js';
import type { Driver, DriverRecord } from './driver.js';
import type { DeviceLink, LinkStatus } from './link.js';

/** What the creator of a device says of it. */
export interface DeviceOptions {
  /** Unique under its parent, and on its bus; `/` becomes `!`. Absent: the bus's `devName` followed by `id`. */
  readonly name?: string | undefined;
  readonly parent?: Device | undefined;
  readonly bus?: Bus | undefined;
  readonly class?: Class | undefined;
  readonly type?: DeviceType | undefined;
  readonly id?: number | undefined;
  /** Binds to this driver at add, without match and probe. */
  readonly driver?: Driver | undefined;
  /** Attributes of the device itself. */
  readonly groups?: readonly AttributeGroup<Device>[] | undefined;
  /** For the driver, from who made the device. */
  readonly platformData?: unknown;
  /** Called once, when the last reference is given up. */
  readonly release?: ((dev: Device) => void) | undefined;
  /** Whether the device takes part in system sleep and device links; default true. */
  readonly pm?: boolean | undefined;
}

/** Something a driver shows to users from BOUND to unbind; see `core/class`. @internal */
export interface UpperEdge {
  appear(): void;
  vanish(): void;
}

/** What `Device.publish` needs of a class; `DeviceClass` of `core/class` is one. */
export interface Publisher<T> {
  publish(dev: Device, object: T, name?: string): void;
}

/**
 * A device: a node of the tree that a driver may be bound to.
 *
 * The object exists from `new` (one reference, the creator's) until the last `put`; it is registered between `add` and
 * `remove`, and can be added only once. It is bound between a successful probe and unbind.
 * @see Linux 6.12 include/linux/device.h struct device, drivers/base/core.c
 */
export class Device implements DevresOwner {
  #name: string;
  readonly parent: Device | undefined;
  /** Attributes of its own. @internal */
  readonly ownGroups: readonly AttributeGroup<Device>[] | undefined;
  /** Whether it takes part in system sleep. @internal */
  readonly usesPm: boolean;
  readonly #release: ((dev: Device) => void) | undefined;
  bus: Bus | undefined;
  readonly class: Class | undefined;
  readonly type: DeviceType | undefined;
  id: number | undefined;
  /** What its creator wants its driver to know. */
  readonly platformData: unknown;
  /** The driver it is being bound to, is bound to, or is being unbound from. */
  driver: Driver | undefined;
  /** What probe returned; gone after unbind. */
  state: unknown = undefined;
  /** What was acquired for the binding. */
  readonly devres: Devres;
  /** Match only the driver of this name; see `driver_override`. */
  driverOverride: string | undefined = undefined;
  /** True: no events are sent for it. */
  ueventSuppress = false;
  /** True: `offline` is refused. */
  offlineDisabled = false;
  offline = false;

  /** @internal */ core: DeviceCore | undefined = undefined;
  /** @internal */ record: DriverRecord | undefined = undefined;
  /** @internal */ refs = 1;
  /** @internal */ phase: 'new' | 'registered' | 'failed' | 'removed' | 'released' = 'new';
  /** @internal */ isDead = false;
  /** Its removal has begun, and may wait for the lock. @internal */ isLeaving = false;
  /** @internal */ isBound = false;
  /** @internal */ ready = false;
  /** @internal */ canMatch = false;
  /** @internal */ stateSynced = false;
  /** @internal */ busy = false;
  /** @internal */ lockQueue: (() => void)[] | undefined = undefined;
  /** Of its name, while it is registered. @internal */
  nameHash = 0;
  /** @internal */ dir: Directory | undefined = undefined;
  /** @internal */ childDir: Directory | undefined = undefined;
  /** @internal */ glue: Map<string, Directory> | undefined = undefined;
  /** @internal */ childList: List<Device> | undefined = undefined;
  /** @internal */ childNode: ListNode<Device> | undefined = undefined;
  /** @internal */ busNode: ListNode<Device> | undefined = undefined;
  /** @internal */ driverNode: ListNode<Device> | undefined = undefined;
  /** @internal */ classNode: ListNode<Device> | undefined = undefined;
  /** @internal */ orderNode: ListNode<Device> | undefined = undefined;
  /** @internal */ deferredNode: ListNode<Device> | undefined = undefined;
  /** @internal */ deferredReason: string | undefined = undefined;
  /** Deferrals in a row that its own probe turned into retries. @internal */
  retriggered = 0;
  /** @internal */ probeError: unknown = undefined;
  /** @internal */ asyncSlot: DriverRecord | undefined = undefined;
  /** Children added by the driver bound here. @internal */
  owned: List<Device> | undefined = undefined;
  /** The device whose driver added this one. @internal */
  ownedBy: Device | undefined = undefined;
  /** Told when its removal is over. @internal */
  goneWaiters: (() => void)[] | undefined = undefined;
  /** @internal */ ownedNode: ListNode<Device> | undefined = undefined;
  /** @internal */ edges: UpperEdge[] | undefined = undefined;
  /** Callbacks that were given up and have not ended. @internal */
  hung = 0;
  /** @internal */ suppliers: DeviceLink[] | undefined = undefined;
  /** @internal */ consumers: DeviceLink[] | undefined = undefined;
  /** @internal */ linkStatus: LinkStatus = 'no-driver';
  #attributes: AttributeSet<Device> | undefined = undefined;

  constructor(options: DeviceOptions = {}) {
    this.#name = treeName(options.name ?? '');
    this.parent = options.parent;
    this.bus = options.bus;
    this.class = options.class;
    this.type = options.type;
    this.id = options.id;
    this.driver = options.driver;
    this.platformData = options.platformData;
    this.ownGroups = options.groups;
    this.usesPm = options.pm !== false;
    this.#release = options.release;
    this.devres = new Devres(this);
  }

  /** Empty until it is added, when the bus is to name it. */
  get name(): string {
    return this.#name;
  }

  /** @internal */
  rename(name: string): void {
    this.#name = treeName(name);
  }

  /** Whether it is in the tree. */
  get registered(): boolean {
    return this.phase === 'registered';
  }

  /** Whether its removal has begun; not while that waits for a probe that runs. */
  get dead(): boolean {
    return this.isDead;
  }

  /** Whether a driver is bound; still true inside `remove` and while its resources are released. */
  get bound(): boolean {
    return this.isBound;
  }

  /** Whether children can be added for its driver: from the start of its probe until its unbind begins. */
  get takesChildren(): boolean {
    return this.linkStatus === 'probing' || this.linkStatus === 'driver-bound';
  }

  /** `/devices/...`; only its own name, and its children's below it, once it is out of the tree. */
  get path(): string {
    return `${this.dir?.pathOf() ?? ''}/${this.#name}`;
  }

  /** Its children, in the order they came; a child appears after its own first probe. */
  get children(): Device[] {
    return this.childList?.toArray() ?? [];
  }

  /** Its attributes, once something asked for them. @internal */
  get attributesIfAny(): AttributeSet<Device> | undefined {
    return this.#attributes;
  }

  /** What sysfs shows of it. Attributes can be added while it is registered. */
  get attributes(): AttributeSet<Device> {
    if (this.#attributes === undefined) {
      this.#attributes = new AttributeSet<Device>(this, this.#name, () => this.#refuseAttribute());
      if (this.registered && !this.isDead) this.core?.populate(this, this.#attributes);
    }
    return this.#attributes;
  }

  #refuseAttribute(): Errno | undefined {
    if (this.registered && !this.isDead) return undefined;
    return this.#violate('attribute-without-device', `attribute added while it is ${this.isDead ? 'dead' : this.phase}`);
  }

  /** @internal */
  get devresHooks(): DevresHooks | undefined {
    return this.core?.devresHooks;
  }

  /** @internal */
  acquired(label: string): void {
    if (this.driver === undefined && this.bus !== undefined && this.registered && !this.isDead) {
      this.log('warn', `${label} is acquired without a driver: no probe can begin until it is released`, 'acquired_unbound');
    }
  }

  /** @internal */
  violated(rule: string, text: string): void {
    this.core?.violate(rule, this, text);
  }

  /** Takes a reference. */
  get(): this {
    if (this.phase === 'released') throw this.#violate('used-after-release', 'a reference taken after the last was given up');
    this.refs++;
    return this;
  }

  /**
   * Gives up a reference; the last one runs `release`.
   * @throws {Errno} EINVAL when there is none left to give up, or the device is still in the tree (rule `put-twice`)
   * @see Linux 6.12 drivers/base/core.c device_release
   */
  put(): void {
    if (this.refs > 1) {
      this.refs--;
      return;
    }
    if (this.phase === 'released') throw this.#violate('put-twice', 'a reference given up that nobody holds');
    if (this.phase === 'registered') throw this.#violate('put-twice', 'its last reference given up while it is registered');
    this.refs = 0;
    this.phase = 'released';
    const core = this.core;
    const finish = (): void => {
      core?.tracer?.({ kind: 'release', who: this.#name });
      const release = this.#release ?? this.type?.release ?? this.class?.options.devRelease;
      if (release === undefined) this.#violate('device-without-release', 'has no release: give it, its type or its class one');
      else if (core === undefined) release(this);
      else core.guard(this, 'release', () => release(this));
    };
    if (this.devres.size === 0) {
      finish();
      return;
    }
    try {
      const done = this.devres.releaseAll();
      if (isThenable(done)) {
        void done.then(undefined, () => {}).then(finish);
        return;
      }
    } catch {
      // What failed was logged when it did; nobody is left to be told.
    }
    finish();
  }

  /** @internal */
  releaseFailed(label: string, error: unknown): void {
    this.log('err', `release of ${label} failed: ${describeError(error)}`, 'release_failed');
    this.core?.checkErrno(this, `release of ${label}`, error);
  }

  #violate(rule: string, text: string): Errno {
    return this.core?.violate(rule, this, text) ?? new Errno('EINVAL', `${this.#name}: ${text}`);
  }

  /** Writes a line to the system's log, in the name of this device. */
  log(level: LogLevel, text: string, id?: string): void {
    this.core?.logFor(level, this.#name, text, id);
  }

  /**
   * Notes why probe fails, and gives the error back to be thrown: `throw dev.errProbe(error, 'no clk0')`.
   *
   * A deferral is kept as the reason that the report shows and is not logged; ENOMEM is not logged; anything else is, as an error.
   * @see Linux 6.12 drivers/base/core.c dev_err_probe
   */
  errProbe(error: Errno, text: string): Errno {
    if (error.code === 'EPROBE_DEFER') {
      this.deferredReason = `${this.driver?.name ?? this.bus?.name ?? ''}: ${text}`;
      this.log('debug', text, 'defer');
    } else if (error.code !== 'ENOMEM') {
      this.log('err', `${text}: ${error.code}`, 'err_probe');
    }
    return error;
  }

  /**
   * Shows an object of this device to users, from the moment the device is bound until it is unbound.
   * @param name of the published object; default by class and number
   * @returns `object`, to be returned from probe
   */
  publish<T, O extends T>(cls: Publisher<T>, object: O, name?: string): O {
    cls.publish(this, object, name);
    return object;
  }

  /** @internal */
  addChildToList(child: Device, node: ListNode<Device>): void {
    this.childList ??= new List<Device>();
    child.childNode = node;
    this.childList.push(node);
  }
}

/** A name as the tree has it: a slash would be a place of its own. */
const treeName = (name: string): string => (name.includes('/') ? name.replaceAll('/', '!') : name);
