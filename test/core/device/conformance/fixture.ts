import {
  type AttributeSet,
  Bus,
  type CoreOptions,
  Device,
  DeviceCore,
  type DeviceOptions,
  type Driver,
  type ProbeType,
  type AttributeGroup,
} from '../../../../core/device/index.js';
import type { DevresHandle } from '../../../../core/devres/index.js';
import { VirtualClock } from '../../../../core/hal/virtual-clock.js';
import { Errno, type ErrnoCode, defer } from '../../../../core/lib/errno.js';
import { type MaybePromise, isThenable } from '../../../../core/lib/flow.js';

/*
 * The standard fixture of the conformance scenarios, and the words their traces are written in.
 *
 * M(d,A)=r match; DC(d), DX(d) dma configure, cleanup; N:BIND(d) ... bus notifier; U:bind(d) ... event; P(d,A)=r probe;
 * R(d,A) remove; dm(x) managed action; SS(d), SH(d) sync_state, shutdown; REL(d) release; L:level:id a line of the log from
 * `warn` up; WARN:rule a broken rule. Results are 0, 1 or `-CODE`.
 */

export const M = (d: string, a: string, r: string | number = 1): string => `M(${d},${a})=${r}`;
export const P = (d: string, a: string, r: string | number = 0): string => `P(${d},${a})=${r}`;
const dm = (names: readonly string[]): string[] => names.map((x) => `dm(${x})`);
/** What a deferral comes to. */
export const DEFER = '-EPROBE_DEFER';
const QUIET = ['-ENODEV', '-ENXIO', DEFER];

export const ADD = (d: string): string[] => [`N:ADD(${d})`, `U:add(${d})`];
export const BIND = (d: string, a: string): string[] => [`DC(${d})`, `N:BIND(${d})`, P(d, a), `N:BOUND(${d})`, `U:bind(${d})`];
/** @param error such as `-EIO` */
export const FAIL = (d: string, a: string, error: string, ...released: string[]): string[] => [
  `DC(${d})`,
  `N:BIND(${d})`,
  P(d, a, error),
  ...(QUIET.includes(error) ? [] : ['L:err:probe_failed']),
  `N:NOT_BOUND(${d})`,
  `DX(${d})`,
  ...dm(released),
];
export const UNB = (d: string, a: string, ...released: string[]): string[] => [
  `N:UNBIND(${d})`,
  `R(${d},${a})`,
  `DX(${d})`,
  ...dm(released),
  `N:UNBOUND(${d})`,
  `U:unbind(${d})`,
];
/** @param body the `UNB` of a bound device, or `dm(x)` of an unbound one */
export const GONE = (d: string, ...body: string[]): string[] => [
  `N:DEL(${d})`,
  ...body,
  `N:REMOVED(${d})`,
  `U:remove(${d})`,
  `REL(${d})`,
];

/** What one call of probe does: 0 succeeds, a code is thrown, a function is called and its result is probe's. */
export type Step = 0 | ErrnoCode | ((dev: Device) => unknown);

/** A driver of the fixture: its probe follows a script, whose last step repeats. */
export class TestDriver implements Driver {
  readonly script: Step[];
  probeType: ProbeType = 'default';
  suppressBindAttrs = false;
  groups: readonly AttributeGroup<Driver>[] = [];
  devGroups: readonly AttributeGroup<Device>[] = [];
  /** Instead of comparing the prefix. */
  onMatch: ((dev: Device) => unknown) | undefined = undefined;
  onRemove: ((dev: Device, state: unknown) => MaybePromise<void>) | undefined = undefined;
  onShutdown: ((dev: Device) => MaybePromise<void>) | undefined = undefined;
  declare syncState?: (dev: Device) => void;
  probed = 0;

  constructor(
    readonly name: string,
    readonly prefix: string,
    script: readonly Step[] = [],
  ) {
    this.script = [...script];
  }

  probe(dev: Device): unknown {
    const step = this.script[Math.min(this.probed++, this.script.length - 1)] ?? 0;
    if (step === 0) return undefined;
    if (typeof step === 'function') return step(dev);
    throw step === 'EPROBE_DEFER' ? defer() : new Errno(step, `${dev.name}: scripted`);
  }

  remove(dev: Device, state: unknown): MaybePromise<void> {
    return this.onRemove?.(dev, state);
  }

  shutdown(dev: Device): MaybePromise<void> {
    return this.onShutdown?.(dev);
  }
}

/** A driver that prefers to be probed asynchronously; not registered yet. */
export function asyncDriver(fx: Fixture, name: string, prefix: string, ...script: Step[]): TestDriver {
  const driver = fx.driver(name, prefix, ...script);
  driver.probeType = 'prefer-asynchronous';
  return driver;
}

/** Lets promises run. */
export async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await Promise.resolve();
}

/** Kinds of tokens that can be left out. */
export type TokenKind = 'M' | 'L' | 'N' | 'U' | 'DC' | 'DX';

export interface FixtureOptions extends Partial<CoreOptions> {
  readonly skip?: readonly TokenKind[];
}

/** A system's core with buses tb, nb and ob, whose steps are recorded as tokens. */
export class Fixture {
  readonly clock = new VirtualClock({ mode: 'manual' });
  readonly core: DeviceCore;
  /** Matches by prefix; with notifier, events, dma_configure and dma_cleanup. */
  readonly tb: Bus;
  /** Everything matches; its tokens N and U are not recorded. */
  readonly nb = new Bus('nb');
  /** With driver_override; names its devices `obdev<id>`; its tokens N and U are not recorded. */
  readonly ob: Bus;
  readonly tokens: string[] = [];
  /** Rules that were broken. */
  readonly violations: string[] = [];
  /** What tb's dma_configure does. */
  onDma: ((dev: Device) => void) | undefined = undefined;
  /** What tb's uevent callback does. */
  onUevent: ((dev: Device, env: Map<string, string>) => void) | undefined = undefined;

  constructor(options: FixtureOptions = {}) {
    const { skip = [], ...rest } = options;
    this.core = new DeviceCore({ clock: this.clock, ...rest });
    const match = (dev: Device, driver: Driver): unknown => {
      const own = driver as TestDriver;
      return own.onMatch === undefined ? dev.name.startsWith(own.prefix) : own.onMatch(dev);
    };
    this.tb = new Bus('tb', {
      match,
      dmaConfigure: (dev) => this.onDma?.(dev),
      dmaCleanup: () => undefined,
      uevent: (dev, env) => this.onUevent?.(dev, env),
    });
    this.ob = new Bus('ob', { match, driverOverride: true, devName: 'obdev' });
    for (const bus of [this.tb, this.nb, this.ob]) this.core.registerBus(bus);
    this.#record(new Set<string>(skip));
  }

  #record(skip: ReadonlySet<string>): void {
    const push = (kind: string, token: string): void => {
      if (!skip.has(kind)) this.tokens.push(token);
    };
    const code = (r: string | number | undefined): string | number =>
      r === undefined || r === 'ok' ? 0 : typeof r === 'number' ? r : `-${r}`;
    this.tb.notifier.on((event, dev) => push('N', `N:${event}(${dev.name})`));
    this.core.uevents.on(({ action, device }) => {
      if (device !== undefined && device.bus !== this.nb && device.bus !== this.ob) push('U', `U:${action}(${device.name})`);
    });
    this.core.violations.on(({ rule }) => this.violations.push(rule));
    this.core.tracer = (event) => {
      const { kind, who, driver = '', detail = '', result } = event;
      switch (kind) {
        case 'match':
          return push('M', M(who, driver, code(result)));
        case 'dma-configure':
          return push('DC', `DC(${who})`);
        case 'dma-cleanup':
          return push('DX', `DX(${who})`);
        case 'probe':
          return push('P', P(who, driver, code(result)));
        case 'remove':
          return push('R', `R(${who},${driver})`);
        case 'sync-state':
          return push('SS', `SS(${who})`);
        case 'shutdown':
          return push('SH', `SH(${who})`);
        case 'log':
          if (/^(warn:WARN )/.test(detail)) push('L', detail.replace('warn:WARN ', 'WARN:'));
          else if (/^(warn|err|crit):/.test(detail)) push('L', `L:${detail}`);
      }
    };
  }

  /** A device on tb, or on the bus of `options`; its release logs REL. */
  device(name: string, options: DeviceOptions = {}): Device {
    const bus = 'bus' in options || 'class' in options ? {} : { bus: this.tb };
    return new Device({ name, ...bus, release: (dev) => this.tokens.push(`REL(${dev.name})`), ...options });
  }

  /** A device with neither bus nor class, unless `options` name one. */
  bare(name: string, options: DeviceOptions = {}): Device {
    return new Device({ name, release: (dev) => this.tokens.push(`REL(${dev.name})`), ...options });
  }

  /** Makes and adds a device on tb; its add must not wait. */
  add(name: string, options: DeviceOptions = {}): Device {
    const dev = this.device(name, options);
    sync(this.core.add(dev));
    return dev;
  }

  /** A driver that is not registered yet; see {@link TestDriver}. */
  driver(name: string, prefix: string, ...script: Step[]): TestDriver {
    return new TestDriver(name, prefix, script);
  }

  /** Makes a driver and registers it on tb; that must not wait. */
  register(name: string, prefix: string, ...script: Step[]): TestDriver {
    const driver = this.driver(name, prefix, ...script);
    sync(this.core.registerDriver(this.tb, driver));
    return driver;
  }

  /** A managed action of `dev` that logs `dm(label)`. */
  act(dev: Device, label: string, then?: () => MaybePromise<void>): DevresHandle {
    return dev.devres.defer(label, () => {
      this.tokens.push(`dm(${label})`);
      return then?.();
    });
  }

  /** Names of the deferred devices, in order. */
  deferred(): string[] {
    return this.core.deferred.report().map(({ device }) => device.name);
  }

  /** The tokens since the last time. */
  take(): string[] {
    return this.tokens.splice(0);
  }

  /** The tokens of an operation that must be over when it returns. */
  trace(op: () => unknown): string[] {
    this.take();
    sync(op());
    return this.take();
  }

  /** The tokens of an operation and of all that it set going. */
  async traceAll(op: () => unknown): Promise<string[]> {
    this.take();
    await op();
    await this.core.settle();
    return this.take();
  }

  /** The attributes of a driver. */
  files(driver: Driver, bus: Bus = this.tb): AttributeSet<Driver> {
    const record = bus.records.get(driver.name);
    if (record === undefined) throw new Error(`${driver.name} is not registered on ${bus.name}`);
    return record.attributes;
  }
}

/** The result of an operation that must be over when it returns. */
export function sync<T>(value: MaybePromise<T>): T {
  if (isThenable(value)) throw new Error('the operation waits, but nothing it does may');
  return value;
}

/** What a call comes to, in the kernel's way: its result, or `-CODE`. */
export function errno<T>(op: () => MaybePromise<T>): T | string {
  try {
    return sync(op());
  } catch (error) {
    if (!Errno.is(error)) throw error;
    return `-${error.code}`;
  }
}

/** As {@link errno}, for what waits. */
export async function errnoLater<T>(op: () => MaybePromise<T>): Promise<T | string> {
  try {
    return await op();
  } catch (error) {
    if (!Errno.is(error)) throw error;
    return `-${error.code}`;
  }
}

/** A promise that the test resolves: a probe that hangs in the middle. */
export interface Gate {
  readonly wait: Promise<void>;
  open(): void;
  fail(error: unknown): void;
}

export function gate(): Gate {
  let open = (): void => {};
  let fail = (_error: unknown): void => {};
  const wait = new Promise<void>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { wait, open, fail };
}

/** d1 is deferred with driver A, which then probes as scripted. */
export function deferredFixture(...then: Parameters<Fixture['driver']>[2][]): Fixture & { d1: Device } {
  const fx = new Fixture();
  fx.register('A', 'd', 'EPROBE_DEFER', ...then);
  return Object.assign(fx, { d1: fx.add('d1') });
}

/** d1 being probed by A, whose probe waits for `hold`; `added` is the add. */
export function probing(options: FixtureOptions = {}) {
  const hold = gate();
  const fx = new Fixture(options);
  const a = fx.register('A', 'd', () => hold.wait, 0);
  const d1 = fx.device('d1');
  const added = fx.core.add(d1);
  fx.take();
  return { fx, a, d1, hold, added };
}

/** d1 with an asynchronous probe by A that runs and waits for `hold`. */
export async function asyncProbing(...after: Step[]) {
  const hold = gate();
  const fx = new Fixture();
  const a = asyncDriver(fx, 'A', 'd', () => hold.wait, ...after);
  sync(fx.core.registerDriver(fx.tb, a));
  const d1 = fx.add('d1');
  await turns();
  if (!d1.busy) throw new Error('d1 is not being probed');
  fx.take();
  return { fx, a, d1, hold };
}
