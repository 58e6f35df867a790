import type { Device } from '../device/index.js';
import { unlock, waitForLock } from '../device/lock.js';
import { Errno } from '../lib/errno.js';
import { type Flow, type MaybePromise, run, settle } from '../lib/flow.js';
import { enterFrame, leaveFrame } from '../lib/frame.js';
import type {
  Devlink,
  DevlinkInfo,
  EswitchMode,
  FunctionSettings,
  NewPort,
  ParamCmode,
  ParamValue,
  ParamView,
  PortAttributes,
  PortView,
  ReloadAction,
  ReloadOptions,
  ReporterSettings,
  ReporterView,
  ResourceView,
} from './devlink.js';
import { type DevlinkOps, type DevlinkResource, checkReload } from './devlink-ops.js';
import { type DevlinkParam, ParamItem } from './devlink-param.js';
import { DevlinkPort, type DevlinkPortOps } from './devlink-port.js';
import { DevlinkReporter, type DevlinkReporterOptions } from './devlink-reporter.js';

const MODES: readonly string[] = ['legacy', 'switchdev'] satisfies EswitchMode[];

/**
 * The instance of a device, as its driver publishes it: `dev.publish(Devlinks, node, node.handle)`.
 *
 * Operations of users hold the lock of the device, as probe and remove do: they are over before it is unbound, and the driver may add
 * and remove parts of the device in them. What the driver registers is shown at once, in the order of names and indexes.
 * @see Linux 7.2 net/devlink/core.c struct devlink
 */
export class DevlinkNode implements Devlink {
  /** `pci/0000:06:00.0`. */
  readonly handle: string;
  readonly #dev: Device;
  readonly #ops: DevlinkOps;
  readonly #driver: string;
  readonly #ports = new Map<number, DevlinkPort>();
  readonly #params = new Map<string, ParamItem>();
  readonly #resources = new Map<string, DevlinkResource>();
  readonly #reporters = new Map<string, DevlinkReporter>();
  #hasFailed = false;
  #isOver = false;

  /** @param dev bound, or being bound */
  constructor(dev: Device, ops: DevlinkOps = {}) {
    this.#dev = dev;
    this.#ops = ops;
    this.handle = `${dev.bus?.name ?? dev.class?.name ?? 'virtual'}/${dev.name}`;
    this.#driver = dev.driver?.name ?? '';
    dev.devres.adopt('devlink', this, (node) => {
      node.#isOver = true;
    });
  }

  // For the driver

  /** @throws {Errno} EEXIST when the index is taken */
  registerPort(index: number, attributes: PortAttributes, ops: DevlinkPortOps = {}): DevlinkPort {
    const port = new DevlinkPort(index, attributes, ops, () => {
      if (this.#ports.get(index) === port) this.#ports.delete(index);
    });
    return this.#register(this.#ports, index, port, `port ${index}`);
  }

  /** @throws {Errno} EEXIST when the name is taken; EINVAL when something is missing */
  registerParams(params: readonly DevlinkParam[]): void {
    for (const param of params) {
      this.#register(this.#params, param.name, new ParamItem(this.handle, param), `parameter ${param.name}`);
    }
  }

  /** What a `driverinit` parameter is since the last start. @throws {Errno} EINVAL when there is none */
  param(name: string): ParamValue {
    return this.#param(name).current;
  }

  registerResource(resource: DevlinkResource): void {
    this.#register(this.#resources, resource.name, resource, `resource ${resource.name}`);
  }

  registerReporter(options: DevlinkReporterOptions): DevlinkReporter {
    const { name } = options;
    const reporter = new DevlinkReporter(
      options,
      this.#dev.core!.clock,
      (it) => this.#locked(`recovery of ${name}`, () => it.recover()),
      () => {
        if (this.#reporters.get(name) === reporter) this.#reporters.delete(name);
      },
    );
    return this.#register(this.#reporters, name, reporter, `health reporter ${name}`);
  }

  // For users

  info(): MaybePromise<DevlinkInfo> {
    return this.#locked('devlink info', this.#info.bind(this));
  }

  isReloadFailed(): boolean {
    return this.#hasFailed;
  }

  eswitchMode(): EswitchMode {
    return this.#eswitch.mode();
  }

  setEswitchMode(mode: EswitchMode): MaybePromise<void> {
    const eswitch = this.#eswitch;
    if (!MODES.includes(mode)) throw new Errno('EINVAL', `${this.handle}: eswitch mode ${mode}: is none of ${MODES.join(', ')}`);
    return this.#locked('devlink eswitch set', () => settle(eswitch.setMode(mode)));
  }

  ports(): readonly PortView[] {
    return [...this.#ports.values()].toSorted((a, b) => a.index - b.index).map((port) => port.view());
  }

  port(index: number): PortView {
    return this.#port(index).view();
  }

  addPort(wanted: NewPort): MaybePromise<PortView> {
    return this.#locked('devlink port add', () => this.#addPort(wanted));
  }

  deletePort(index: number): MaybePromise<void> {
    return this.#locked('devlink port del', () => this.#deletePort(index));
  }

  setPortFunction(index: number, settings: FunctionSettings): MaybePromise<void> {
    return this.#locked('devlink port function set', () => {
      const port = this.#port(index);
      port.check(settings);
      return port.apply(settings);
    });
  }

  params(): readonly ParamView[] {
    return [...this.#params.values()].map((item) => item.view());
  }

  setParam(name: string, value: ParamValue, cmode?: ParamCmode): MaybePromise<void> {
    return this.#locked('devlink param set', () => this.#param(name).set(this.handle, value, cmode));
  }

  reload(options: ReloadOptions = {}): MaybePromise<readonly ReloadAction[] | undefined> {
    return this.#locked('devlink reload', () => this.#reload(options));
  }

  resources(): readonly ResourceView[] {
    return [...this.#resources.values()].map((resource) => {
      const { name, size } = resource;
      return resource.occupied === undefined ? { name, size } : { name, size, occupied: resource.occupied() };
    });
  }

  reporters(): readonly ReporterView[] {
    return [...this.#reporters.values()].map((reporter) => reporter.view());
  }

  setReporter(name: string, settings: ReporterSettings): MaybePromise<void> {
    return this.#locked('devlink health set', () => settle(this.#reporter(name).set(settings)));
  }

  recover(name: string): MaybePromise<void> {
    return this.#locked('devlink health recover', () => this.#reporter(name).recover());
  }

  *#info(): Flow<DevlinkInfo> {
    const more = yield* settle(this.#ops.info?.());
    return { driver: this.#driver, ...more };
  }

  /** @see Linux 7.2 net/devlink/port.c devlink_nl_port_new_doit */
  *#addPort(wanted: NewPort): Flow<PortView> {
    const ops = this.#ops;
    if (ops.addPort === undefined) throw new Errno('EOPNOTSUPP', `${this.handle}: its ports are given: none can be added`);
    const { flavour, pfnum } = wanted;
    if (flavour === undefined || pfnum === undefined) throw new Errno('EINVAL', 'Port flavour or PCI PF are not specified');
    const port = yield* settle(ops.addPort({ ...wanted, flavour, pfnum }));
    return port.view();
  }

  *#deletePort(index: number): Flow<void> {
    const port = this.#port(index);
    if (port.ops.delete === undefined) throw new Errno('EOPNOTSUPP', `${this.handle}/${index}: is there for good`);
    port[Symbol.dispose]();
    yield* settle(port.ops.delete());
  }

  /** @see Linux 7.2 net/devlink/dev.c devlink_nl_reload_doit, devlink_reload */
  *#reload(options: ReloadOptions): Flow<readonly ReloadAction[] | undefined> {
    const { reload } = this.#ops;
    if (reload === undefined) throw new Errno('EOPNOTSUPP', `${this.handle}: cannot be reloaded`);
    const { action, limit } = checkReload(reload, options);
    yield* settle(reload.down(action, limit));
    if (action === 'driver_reinit') for (const item of this.#params.values()) item.loadNext();
    let done: readonly ReloadAction[];
    try {
      done = yield* settle(reload.up(action, limit));
      this.#hasFailed = false;
    } catch (error) {
      this.#hasFailed = true;
      throw error;
    }
    return options.action === undefined && options.limits === undefined ? undefined : done;
  }

  get #eswitch(): NonNullable<DevlinkOps['eswitch']> {
    const { eswitch } = this.#ops;
    if (eswitch === undefined) throw new Errno('EOPNOTSUPP', `${this.handle}: has no switch`);
    return eswitch;
  }

  #port(index: number): DevlinkPort {
    const port = this.#ports.get(index);
    if (port === undefined) throw new Errno('ENODEV', `${this.handle}/${index}: no such port`);
    return port;
  }

  #param(name: string): ParamItem {
    const item = this.#params.get(name);
    if (item === undefined) throw new Errno('EINVAL', `${this.handle}: has no parameter ${name}`);
    return item;
  }

  #reporter(name: string): DevlinkReporter {
    const reporter = this.#reporters.get(name);
    if (reporter === undefined) throw new Errno('EINVAL', `${this.handle}: has no health reporter ${name}`);
    return reporter;
  }

  #register<K, V>(all: Map<K, V>, key: K, value: V, what: string): V {
    if (all.has(key)) throw new Errno('EEXIST', `${this.handle}: ${what} is there already`);
    all.set(key, value);
    return value;
  }

  /** Runs an operation with the device locked. */
  #locked<T>(what: string, operation: () => Flow<T>): MaybePromise<T> {
    return run(this.#lockedFlow(what, operation));
  }

  *#lockedFlow<T>(what: string, operation: () => Flow<T>): Flow<T> {
    const dev = this.#dev;
    yield* waitForLock(dev, what);
    const outer = enterFrame(dev, what);
    try {
      if (this.#isOver) throw new Errno('ENODEV', `${this.handle}: is gone`);
      return yield* operation();
    } finally {
      leaveFrame(outer);
      unlock(dev);
    }
  }
}
