import type { Device, DeviceCore, Violation } from '../device/index.js';
import type { Clock } from '../hal/index.js';
import type { Kernel } from '../kernel.js';
import { Errno, describeError } from '../lib/index.js';
import { type ExploreOptions, type ExploreResult, explore } from './explore.js';
import { failEach } from './fail-each.js';
import { type Holding, leakError } from './ledger-watch.js';
import { type RemoveAnywhereOptions, removeAnywhere } from './remove-anywhere.js';
import { type HarnessOptions, Session, violationError } from './session.js';
import type { TraceLog } from './trace-log.js';

/**
 * A driver on its bench: the real core over a fake host (or any other), with everything watched.
 *
 * `await using harness = new DriverHarness({ driver, pci })` starts a system at the first use and ends it with the test, which
 * fails when anything is still held or a rule was broken.
 */
export class DriverHarness implements AsyncDisposable {
  readonly options: HarnessOptions;
  #session: Session | undefined;
  #expectedLeaks = 0;

  constructor(options: HarnessOptions) {
    this.options = options;
  }

  /** Starts the system without binding the driver: for what must happen before probe. */
  async start(): Promise<this> {
    this.#session ??= await Session.open(this.options);
    return this;
  }

  /**
   * Binds the driver to its device.
   * @returns what probe returned
   * @throws what probe threw
   */
  async bind<S = unknown>(): Promise<S> {
    await this.start();
    const session = this.#started();
    if (!(await session.bind())) {
      const error: unknown = session.device.probeError ?? notBound(session);
      throw error;
    }
    return session.device.state as S;
  }

  /** Unbinds it. @throws what remove or a release threw, after all of them have run */
  unbind(): Promise<void> {
    return this.#started().unbind();
  }

  /** The device is pulled out: first silently (see `vanish`), then the core is told. */
  async remove(): Promise<void> {
    this.vanish();
    await this.#started().remove();
  }

  /** From now on the device does not answer, nor reaches for anything: reads give all ones, writes vanish. Nobody is told. */
  vanish(): void {
    this.#started().tap.vanish();
  }

  /**
   * Raises an interrupt as its hardware would, and delivers it.
   * @throws {Errno} EINVAL when there is no such interrupt or nobody has requested it
   */
  deliver(virq: number): void {
    const { irqs } = this.kernel;
    irqs.inject(virq);
    irqs.drain();
  }

  /** Moves virtual time by `us` and lets promises run. */
  async settle(us = 0): Promise<void> {
    const { clock } = this.#started().tap;
    await clock.sleep(us);
    await this.#started().within(this.core.settle(), 'settling');
  }

  /** The system under test. */
  get kernel(): Kernel {
    return this.#started().kernel;
  }
  /** Its driver core. */
  get core(): DeviceCore {
    return this.#started().core;
  }
  /** Its time, which moves by itself while somebody sleeps. */
  get clock(): Clock {
    return this.#started().tap.clock;
  }
  /** The device under test. */
  get device(): Device {
    return this.#started().device;
  }
  /** What happened since the system was started. */
  get trace(): TraceLog {
    return this.#started().trace;
  }
  /** Rules broken so far. */
  get violations(): readonly Violation[] {
    return this.#started().watch.violations;
  }
  /** What is held now, in the order it was acquired: the ledgers of bound devices too. */
  held(): Holding[] {
    return this.#started().watch.holdings();
  }
  /** What is held that nothing should hold. */
  leaks(): Holding[] {
    return this.#started().holdings();
  }

  /** See {@link failEach}; a fresh system for it, whatever this harness is doing. */
  failEach(driver = this.options.driver): Promise<string[]> {
    return failEach({ ...this.options, driver });
  }

  /** See {@link removeAnywhere}; fresh systems for it. */
  removeAnywhere(driver = this.options.driver, more: RemoveAnywhereOptions = {}): Promise<string[]> {
    return removeAnywhere({ ...this.options, driver }, more);
  }

  /** See {@link explore}; fresh systems for it. */
  explore(more: ExploreOptions = {}): Promise<ExploreResult> {
    return explore(this.options, more);
  }

  /**
   * Runs `body`, which must break this rule and no other; what it throws is the broken rule's error, and is returned.
   * @throws {Errno} ENOENT when the rule was not broken
   */
  async expectViolation(rule: string, body: () => unknown): Promise<unknown> {
    await this.start();
    const { violations } = this.#started().watch;
    const before = violations.length;
    let thrown: unknown;
    try {
      await body();
    } catch (error) {
      thrown = error;
    }
    const found = violations.splice(before);
    const other = found.filter((v) => v.rule !== rule);
    if (other.length > 0) throw violationError(`where ${rule} was expected`, other);
    if (found.length === 0) {
      const threw = thrown === undefined ? '' : `, and the body threw ${describeError(thrown)}`;
      throw new Errno('ENOENT', `rule ${rule} was not broken${threw}`, thrown === undefined ? {} : { cause: thrown });
    }
    return thrown;
  }

  /** Says that `count` things will still be held at the end of this test. */
  expectLeak(count: number): void {
    this.#expectedLeaks = count;
  }

  /** Ends the system. @throws {Errno} EBUSY with the leak report; EINVAL when a rule was broken */
  async [Symbol.asyncDispose](): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    if (session === undefined) return;
    const held = await session.close();
    const expected = this.#expectedLeaks;
    if (held.length !== expected) {
      throw leakError(`at the end of the test${expected === 0 ? '' : `, where ${expected} were expected`}`, held);
    }
    if (session.watch.violations.length > 0) throw violationError('during the test', session.watch.violations);
  }

  #started(): Session {
    if (this.#session === undefined) throw new Errno('EINVAL', 'harness: nothing is bound: await harness.bind() first');
    return this.#session;
  }
}

/** Why a device was not bound though no probe failed. */
function notBound({ device, driver }: Session): Errno {
  const why = device.registered ? 'does not match it any more' : 'was not asked: the device is gone';
  return new Errno('ENODEV', `${device.name}: driver ${driver.name} ${why}`);
}
