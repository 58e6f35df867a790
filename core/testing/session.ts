import type { Host } from '../hal/index.js';
import { Bus, Device, type DeviceCore, type Driver, type Violation } from '../device/index.js';
import { Kernel } from '../kernel.js';
import { Errno, type MaybePromise, collect, describeError, joinErrors } from '../lib/index.js';
import { FakeHost } from './fake-host.js';
import type { FakePciFunction } from './fake-pci.js';
import { type Holding, LedgerWatch, leakError } from './ledger-watch.js';
import { TapHost } from './tap.js';
import { TraceLog } from './trace-log.js';

/** What a driver is tested on. Everything is made afresh for each run. */
export interface HarnessOptions {
  /** The driver, or how to make it from the services of the system under test. */
  readonly driver: Driver | ((kernel: Kernel) => Driver);
  /** Fake PCI functions; the first that the driver matches is its device. */
  readonly pci?: () => readonly FakePciFunction[];
  /** Any host instead of the fake one: a simulated machine with models, for instance. */
  readonly host?: () => Host;
  /** Adds what no host finds by itself: platform devices, an auxiliary parent, other drivers. */
  readonly setup?: (kernel: Kernel) => MaybePromise<void>;
  /** The bus of the driver; default `pci`. */
  readonly bus?: string;
  /**
   * Whether an operation that was pending at unbind may meet its dead handle in `removeAnywhere` and `explore`: the handle's
   * ENODEV ends it, as it should. Default true; false demands a remove that cancels what is pending.
   */
  readonly pendingMayFail?: boolean;
  /** The device under test; default the first on the bus that the driver matches. */
  readonly device?: (kernel: Kernel) => Device | undefined;
}

/** How many turns of the event loop something may take while nothing else happens. */
const STEP_LIMIT = 20_000;

/** One system with the driver under test in it. @internal */
export class Session {
  readonly tap: TapHost;
  readonly kernel: Kernel;
  readonly watch: LedgerWatch;
  readonly trace: TraceLog;
  readonly driver: Driver;
  #device: Device | undefined;
  #baseline = 0;
  /** Children that were there before the driver was bound. */
  #ownChildren: ReadonlySet<Device> = new Set();
  /** Interrupts, likewise. */
  #ownIrqs: ReadonlySet<number> = new Set();
  #registered = false;
  #closed = false;

  private constructor(readonly options: HarnessOptions) {
    this.tap = new TapHost(options.host?.() ?? new FakeHost({ pci: options.pci?.() ?? [] }));
    this.kernel = new Kernel(this.tap);
    this.watch = new LedgerWatch(this.kernel.core);
    this.trace = new TraceLog(this.kernel.core);
    this.driver = typeof options.driver === 'function' ? options.driver(this.kernel) : options.driver;
  }

  /** Starts a system; the driver is registered, and not bound. */
  static async open(options: HarnessOptions): Promise<Session> {
    const session = new Session(options);
    await session.kernel.start();
    try {
      await options.setup?.(session.kernel);
      await session.#register();
    } catch (error) {
      const errors: unknown[] = [error];
      await collect(errors, () => session.kernel.stop());
      throw joinErrors(errors, 'ending the system that was not tested');
    }
    return session;
  }

  get core(): DeviceCore {
    return this.kernel.core;
  }

  get bus(): Bus {
    const name = this.options.bus ?? 'pci';
    const bus = this.core.buses.get(name);
    if (bus === undefined) throw new Errno('ENOENT', `harness: no bus ${name} on host ${this.tap.name}`);
    return bus;
  }

  /** The device under test. */
  get device(): Device {
    return this.#device!;
  }

  async #register(): Promise<void> {
    const { bus } = this;
    bus.autoprobe = false;
    await this.core.registerDriver(bus, this.driver);
    this.#registered = true;
    this.#device = this.options.device?.(this.kernel) ?? this.#firstMatch();
    if (this.#device === undefined) {
      const there = bus.devices.map((d) => d.name).join(', ') || 'none';
      throw new Errno('ENODEV', `harness: driver ${this.driver.name} matches no device of bus ${bus.name} (there: ${there})`);
    }
    this.#baseline = this.tap.dma.allocatedBytes;
    this.#ownChildren = new Set(this.#device.children);
    this.#ownIrqs = new Set(this.kernel.irqs.list().map(({ virq }) => virq));
    this.watch.acquired = [];
    this.watch.violations.length = 0;
    this.trace.clear();
  }

  #firstMatch(): Device | undefined {
    const { ops } = this.bus;
    const matches = (dev: Device): boolean => ops.match === undefined || Boolean(ops.match(dev, this.driver));
    return this.bus.devices.find((dev) => dev.driver === undefined && matches(dev));
  }

  /** Binds the device under test; false when the driver refused. */
  async bind(): Promise<boolean> {
    const bound = await this.within(this.core.attach(this.device), 'probe');
    await this.within(this.core.settle(), 'probe');
    return bound || this.device.bound;
  }

  async unbind(): Promise<void> {
    await this.within(this.core.unbind(this.device), 'unbind');
    await this.within(this.core.settle(), 'unbind');
  }

  /** Tells the core that the device is gone. */
  async remove(): Promise<void> {
    if (this.device.registered && !this.device.isLeaving) await this.within(this.core.remove(this.device), 'removal');
  }

  /**
   * Waits for something, for a bounded number of turns of the event loop in which nothing else happens.
   * @throws {Errno} ETIMEDOUT when it does not settle
   */
  async within<T>(what: MaybePromise<T>, name: string): Promise<T> {
    let done = false;
    const promise = Promise.resolve(what).finally(() => {
      done = true;
    });
    promise.catch(() => {});
    const { clock } = this.tap;
    let last = -1;
    for (let idle = 0; !done; idle++) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      const mark = clock.now() + this.trace.events.length;
      if (mark !== last) {
        last = mark;
        idle = 0;
      }
      if (idle > STEP_LIMIT) {
        throw new Errno('ETIMEDOUT', `${this.driver.name}: ${name} of ${this.device.name} does not end, and nothing happens`);
      }
    }
    return promise;
  }

  /** What is held that nothing should hold: ledgers of unbound devices, children, timers, DMA memory. */
  holdings(): Holding[] {
    const all = this.watch.holdings().filter(({ owner }) => !this.#isBound(owner));
    if (!this.device.bound) {
      for (const child of this.device.children) {
        if (this.#ownChildren.has(child)) continue;
        all.push({ owner: this.device.name, what: `child ${child.name}`, ageUs: undefined, stack: '' });
      }
      for (const timer of this.tap.clock.timers) {
        if (this.#isBound(timer.owner)) continue;
        all.push({ owner: timer.owner, what: `timer due at ${timer.dueUs} us`, ageUs: undefined, stack: timer.stack });
      }
      const isTold = all.some(({ what }) => /^(irq|ims|msi|intx)/.test(what));
      for (const { virq, device, actions } of this.kernel.irqs.list()) {
        // A line is the platform's, whoever has used it first.
        const isLine = virq < this.kernel.irqs.core.firstDynamicIrq;
        if (isTold || isLine || this.#ownIrqs.has(virq) || (device !== undefined && this.#isBound(device.name))) continue;
        const users = actions.map(({ name }) => name).join(', ');
        const what = `irq ${virq}${users === '' ? '' : ` with handlers ${users}`}`;
        all.push({ owner: device?.name ?? this.device.name, what, ageUs: undefined, stack: '' });
      }
      const bytes = this.tap.dma.allocatedBytes - this.#baseline;
      if (bytes > 0 && !all.some((h) => h.what.startsWith('dma'))) {
        all.push({ owner: this.device.name, what: `${bytes} bytes of DMA memory`, ageUs: undefined, stack: '' });
      }
    }
    return all;
  }

  #isBound(name: string): boolean {
    for (const bus of this.core.buses.values()) if (bus.find(name)?.bound === true) return true;
    return false;
  }

  /** @throws {Errno} EBUSY when something is held; EINVAL when a rule was broken */
  check(when: string): void {
    const held = this.holdings();
    if (held.length > 0) throw leakError(when, held);
    const { violations } = this.watch;
    if (violations.length > 0) throw violationError(when, violations);
  }

  /** As `check`, where operations may have been pending when the device went. */
  checkAfterUse(when: string): void {
    const { violations } = this.watch;
    if (this.options.pendingMayFail !== false) {
      const kept = violations.filter((v) => v.rule !== 'use-after-unbind');
      violations.splice(0, violations.length, ...kept);
    }
    this.check(when);
  }

  /** Ends the system. @returns what was held that nothing should hold. @throws what failed on the way, after all was tried */
  async close(): Promise<readonly Holding[]> {
    if (this.#closed) return [];
    this.#closed = true;
    this.tap.tap.onAccess = undefined;
    this.watch.onAcquire = undefined;
    const errors: unknown[] = [];
    if (this.#registered) {
      await collect(errors, () => this.within(this.core.unregisterDriver(this.bus, this.driver), 'unbind'));
    }
    // The end of the kernel takes with it what was forgotten.
    const held = this.holdings();
    const left: unknown[] = [];
    await collect(left, () => this.kernel.stop());
    // What it says of leftovers is better said by the report of leaks.
    errors.push(...left.filter((error) => held.length === 0 || !Errno.is(error, 'EBUSY')));
    if (errors.length > 0) throw joinErrors(errors, 'ending the test');
    return held;
  }

  /** Ends the system and swallows what it reports: for runs that have failed already. */
  async abandon(): Promise<void> {
    try {
      await this.close();
    } catch (error) {
      this.core.log.write('debug', 'harness', `abandoned: ${describeError(error)}`);
    }
  }
}

/** @internal */
export function violationError(when: string, violations: readonly Violation[]): Errno {
  const lines = violations.map((v) => `  ${v.rule}: ${v.dev === '' ? '' : `${v.dev}: `}${v.text}`);
  const count = violations.length === 1 ? '1 rule was' : `${violations.length} rules were`;
  return new Errno('EINVAL', `${count} broken ${when}:\n${lines.join('\n')}`);
}
