import {
  type AttributeGroup,
  Bus,
  type BusOptions,
  Device,
  DeviceCore,
  type DeviceOptions,
  type Driver,
  Errno,
  type ErrnoCode,
  type TraceEvent,
} from 'backplane';
import { FakeHost } from 'backplane/testing';

/** The bus fixture of the conformance scenarios, with what happened as their tokens. */
export class Fixture {
  readonly core: DeviceCore;
  readonly tb: Bus;
  readonly tokens: string[] = [];
  readonly violations: string[] = [];

  constructor(options: BusOptions = {}, core: ConstructorParameters<typeof DeviceCore>[0] = { clock: new FakeHost().clock }) {
    this.core = new DeviceCore(core);
    this.core.tracer = (event) => {
      const token = tokenOf(event);
      if (token !== undefined) this.tokens.push(token);
    };
    this.core.violations.on(({ rule }) => this.violations.push(rule));
    this.tb = new Bus('tb', {
      match: (dev, driver) => dev.name.startsWith((driver as TestDriver).prefix ?? ''),
      dmaConfigure: () => {},
      dmaCleanup: () => {},
      ...options,
    });
    this.core.registerBus(this.tb);
  }

  dev(name: string, options: DeviceOptions = {}): Device {
    return new Device({ bus: this.tb, name, release: () => {}, ...options });
  }

  /** Makes and adds a device. */
  add(name: string, options: DeviceOptions = {}): Device {
    const dev = this.dev(name, options);
    void this.core.add(dev);
    return dev;
  }

  /** Registers a driver and gives it back. */
  reg(driver: Driver): Driver {
    void this.core.registerDriver(this.tb, driver);
    return driver;
  }

  /** What happened since the last call; without matches when `noM`. */
  take(noM = false): string[] {
    const all = this.tokens.splice(0);
    return noM ? all.filter((t) => !t.startsWith('M(')) : all;
  }

  get deferred(): string[] {
    return this.core.deferred.report().map(({ device }) => device.name);
  }

  write(driver: string, file: 'bind' | 'unbind', text: string): unknown {
    return this.tb.attributesOf(this.tb.findDriver(driver)!).write(file, text);
  }
}

export interface TestDriver extends Driver {
  readonly prefix?: string;
  readonly devGroups?: readonly AttributeGroup<Device>[];
}

export interface TestDriverOptions extends Partial<TestDriver> {
  /** What each probe throws, in order; undefined: it succeeds, and so does every later one. */
  readonly results?: (ErrnoCode | undefined)[];
  /** Runs in each probe, before its result. */
  readonly body?: (dev: Device) => unknown;
}

export function driver(name: string, prefix: string, options: TestDriverOptions = {}): TestDriver {
  const { results = [], body, ...rest } = options;
  const queue = [...results];
  return {
    name,
    prefix,
    probe: (dev: Device) => {
      body?.(dev);
      const code = queue.shift();
      if (code !== undefined) throw new Errno(code, `${dev.name}: told to`);
    },
    remove: () => {},
    ...rest,
  };
}

function tokenOf({ kind, who, driver: by, detail, result }: TraceEvent): string | undefined {
  switch (kind) {
    case 'match':
      return `M(${who},${by})=${result}`;
    case 'dma-configure':
      return `DC(${who})`;
    case 'dma-cleanup':
      return `DX(${who})`;
    case 'notify':
      return `N:${detail}(${who})`;
    case 'uevent':
      return `U:${detail}(${who})`;
    case 'probe':
      return `P(${who},${by})=${result === 'ok' ? 0 : result}`;
    case 'remove':
      return `R(${who},${by})`;
    case 'sync-state':
      return `SS(${who})`;
    case 'shutdown':
      return `SH(${who})`;
    case 'release':
      return `REL(${who})`;
    case 'pm':
      return `${detail}(${who})`;
    case 'log':
      return detail?.startsWith('debug') === true ? undefined : `L:${detail}`;
    default:
      return undefined;
  }
}

export const ADD = (d: string): string[] => [`N:ADD(${d})`, `U:add(${d})`];
export const BIND = (d: string, a: string): string[] => [
  `DC(${d})`,
  `N:BIND(${d})`,
  `P(${d},${a})=0`,
  `N:BOUND(${d})`,
  `U:bind(${d})`,
];
export const FAIL = (d: string, a: string, e: ErrnoCode): string[] => [
  `DC(${d})`,
  `N:BIND(${d})`,
  `P(${d},${a})=${e}`,
  ...(e === 'ENODEV' || e === 'ENXIO' || e === 'EPROBE_DEFER' ? [] : ['L:err:probe_failed']),
  `N:NOT_BOUND(${d})`,
  `DX(${d})`,
];
export const UNB = (d: string, a: string): string[] => [
  `N:UNBIND(${d})`,
  `R(${d},${a})`,
  `DX(${d})`,
  `N:UNBOUND(${d})`,
  `U:unbind(${d})`,
];
export const GONE = (d: string, ...body: string[]): string[] => [
  `N:DEL(${d})`,
  ...body,
  `N:REMOVED(${d})`,
  `U:remove(${d})`,
  `REL(${d})`,
];

/** The code of the Errno that `fn` throws or rejects with; `ok` when it does not. */
export async function code(fn: () => unknown): Promise<string> {
  try {
    await fn();
    return 'ok';
  } catch (error) {
    return Errno.is(error) ? error.code : `not an Errno: ${String(error)}`;
  }
}

/** A promise and what settles it. */
export function gate<T = void>(): { promise: Promise<T>; open: (value: T) => void; fail: (error: unknown) => void } {
  let open!: (value: T) => void;
  let fail!: (error: unknown) => void;
  const promise = new Promise<T>((a, b) => {
    open = a;
    fail = b;
  });
  return { promise, open, fail };
}

/** Lets pending promises run. */
export const turns = async (n = 20): Promise<void> => {
  for (let i = 0; i < n; i++) await Promise.resolve();
};

/** tb with A("d") and B("e"), d1 and e1 bound. */
export function bound(): Fixture {
  const fx = new Fixture();
  fx.reg(driver('A', 'd'));
  fx.reg(driver('B', 'e'));
  fx.add('d1');
  fx.add('e1');
  fx.take();
  return fx;
}
