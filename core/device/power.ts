import { Errno, describeError, joinErrors } from '../lib/errno.js';
import { type Flow, type MaybePromise, chain, isThenable } from '../lib/flow.js';
import { enterFrame, isAsyncFunction, leaveFrame, runAsyncFrame } from '../lib/frame.js';
import type { DeviceCore } from './core.js';
import type { Device } from './device.js';
import type { PmOps } from './driver.js';
import { withinLimit } from './limit.js';
import { unlock, waitForLock } from './lock.js';
import { refuseInside } from './work.js';

type Phase = keyof PmOps;

/** A phase on the way down, what undoes it on the way up, and who went through it, in this order. */
class Step {
  readonly done: Device[] = [];
  constructor(
    readonly down: Phase,
    readonly up: Phase,
  ) {}
}

/** How far the system is asleep. */
class Sleep {
  readonly prepared: Device[] = [];
  readonly steps = [
    new Step('suspend', 'resume'),
    new Step('suspendLate', 'resumeEarly'),
    new Step('suspendNoirq', 'resumeNoirq'),
  ];
}

/**
 * Shutdown and sleep of a whole system: every device in order, one at a time, each locked.
 *
 * Probing is blocked meanwhile. The order is that of registration, as changed by links and deferral; both go backwards, so
 * that children and consumers are still when their parents and suppliers are.
 * @see Linux 6.12 drivers/base/power/main.c, drivers/base/core.c device_shutdown
 */
export class Power {
  readonly #core: DeviceCore;
  #sleep: Sleep | undefined = undefined;
  readonly #off = new WeakSet<Device>();
  readonly #enter: (flow: Flow<void>) => MaybePromise<void>;

  /** @param enter runs an operation of the core */
  constructor(core: DeviceCore, enter: (flow: Flow<void>) => MaybePromise<void>) {
    this.#core = core;
    this.#enter = enter;
  }

  /**
   * Quiets every device, backwards; drivers stay bound, and nothing is probed any more.
   * @throws {Errno} EDEADLK from inside a callback of a driver; after all were called, what failed
   */
  shutdown(): void | Promise<void> {
    return this.#quietly('shutdown', () => this.#shutdown());
  }

  /**
   * Puts the system to sleep: `prepare` of all devices in order, then `suspend`, `suspendLate` and `suspendNoirq` of all,
   * backwards. When a device refuses, those that went before it are woken up again and nothing has changed.
   * @throws {Errno} EBUSY when it sleeps already; EDEADLK from inside a callback of a driver; what the device threw that refused
   */
  suspend(): void | Promise<void> {
    return this.#quietly('suspend', () => this.#suspend());
  }

  /**
   * Wakes the system up: `resumeNoirq`, `resumeEarly`, `resume` in order, `complete` backwards; then probes what came meanwhile.
   * @throws {Errno} EINVAL when it does not sleep; EDEADLK from inside a callback; after all were called, what failed
   */
  resume(): void | Promise<void> {
    refuseInside('resume');
    return this.#enter(this.#resume()) as void | Promise<void>;
  }

  /** Runs `flow` when all probes are over, and holds further ones back. */
  #quietly(what: string, flow: () => Flow<void>): void | Promise<void> {
    refuseInside(what);
    const over = this.#core.idle ? undefined : this.#core.settle();
    const blocked = chain(over, () => this.#core.blockProbing());
    return chain(blocked, () => this.#enter(flow())) as void | Promise<void>;
  }

  *#shutdown(): Flow<void> {
    const errors: unknown[] = [];
    const left = (): Device[] => this.#core.order.toArray().filter((dev) => !this.#off.has(dev));
    // A callback may add devices: they get their turn in a further round.
    for (let devices = left(); devices.length > 0; devices = left()) {
      for (const dev of devices.reverse()) {
        this.#off.add(dev);
        const { parent } = dev;
        const flow = locked(dev, 'shutdown', () => this.#shutdownOne(dev, errors));
        yield* parent === undefined ? flow : locked(parent, `shutdown of ${dev.name}`, () => flow);
      }
    }
    if (errors.length > 0) throw joinErrors(errors, 'shutdown');
  }

  *#shutdownOne(dev: Device, errors: unknown[]): Flow<void> {
    if (!dev.registered) return;
    const cls = dev.class?.options;
    if (cls?.shutdownPre !== undefined) yield* this.#shutdownCall(dev, cls, 'shutdownPre', () => cls.shutdownPre?.(dev), errors);
    const ops = dev.bus?.ops;
    const driver = dev.isBound ? dev.record?.driver : undefined;
    const own = ops?.shutdown === undefined ? driver : ops;
    if (own?.shutdown === undefined) return;
    this.#core.tracer?.({ kind: 'shutdown', who: dev.name, ...(driver === undefined ? {} : { driver: driver.name }) });
    const call = (): unknown => (own === ops ? ops.shutdown?.(dev) : driver?.shutdown?.(dev, dev.state));
    yield* this.#shutdownCall(dev, own, 'shutdown', call, errors);
  }

  *#shutdownCall(dev: Device, owner: object, key: string, call: () => unknown, errors: unknown[]): Flow<void> {
    try {
      yield* guarded(this.#core, dev, owner, key, call);
    } catch (error) {
      dev.log('err', `shutdown failed: ${describeError(error)}`, 'shutdown_failed');
      errors.push(error);
    }
  }

  *#suspend(): Flow<void> {
    if (this.#sleep !== undefined) throw new Errno('EBUSY', 'system: is suspended already');
    const sleep = (this.#sleep = new Sleep());
    try {
      yield* this.#goDown(sleep);
    } catch (error) {
      yield* this.#goUp(sleep, []);
      throw error;
    }
  }

  *#resume(): Flow<void> {
    const sleep = this.#sleep;
    if (sleep === undefined) throw new Errno('EINVAL', 'system: is not suspended');
    const errors: unknown[] = [];
    yield* this.#goUp(sleep, errors);
    if (errors.length > 0) throw joinErrors(errors, 'resume');
  }

  *#goDown(sleep: Sleep): Flow<void> {
    for (const dev of this.#core.order) {
      if (!dev.usesPm) continue;
      try {
        yield* this.#call(dev, 'prepare');
      } catch (error) {
        if (!Errno.is(error, 'EAGAIN')) {
          dev.log('info', `not prepared for sleep: ${describeError(error)}`, 'prepare_failed');
          throw error;
        }
      }
      sleep.prepared.push(dev);
    }
    let devices = [...sleep.prepared].reverse();
    for (const step of sleep.steps) {
      for (const dev of devices) {
        try {
          yield* this.#call(dev, step.down);
        } catch (error) {
          dev.log('err', `${step.down} failed: ${describeError(error)}`, 'suspend_failed');
          throw error;
        }
        step.done.push(dev);
      }
      devices = step.done;
    }
  }

  *#goUp(sleep: Sleep, errors: unknown[]): Flow<void> {
    const call = (dev: Device, phase: Phase): Flow<void> => this.#wake(dev, phase, errors);
    for (const step of [...sleep.steps].reverse()) for (const dev of [...step.done].reverse()) yield* call(dev, step.up);
    for (const dev of [...sleep.prepared].reverse()) yield* call(dev, 'complete');
    this.#sleep = undefined;
    this.#core.unblockProbing();
  }

  *#wake(dev: Device, phase: Phase, errors: unknown[]): Flow<void> {
    try {
      yield* this.#call(dev, phase);
    } catch (error) {
      dev.log('err', `${phase} failed: ${describeError(error)}`, 'resume_failed');
      errors.push(error);
    }
  }

  /** One phase of one device, if anybody has a say in it and the device is still there. */
  #call(dev: Device, phase: Phase): Flow<void> {
    return locked(dev, phase, () => this.#run(dev, phase));
  }

  *#run(dev: Device, phase: Phase): Flow<void> {
    const ops = dev.registered ? opsFor(dev, phase) : undefined;
    if (ops === undefined) return;
    this.#core.tracer?.({ kind: 'pm', who: dev.name, detail: phase });
    yield* guarded(this.#core, dev, ops, phase, () => ops[phase]?.(dev));
  }
}

/** Whose callback it is: that of the type, class or bus, the first that has any; the driver's own when that one has none for it. */
function opsFor(dev: Device, phase: Phase): PmOps | undefined {
  const above = dev.type?.pm ?? dev.class?.options.pm ?? dev.bus?.ops.pm;
  if (above?.[phase] !== undefined) return above;
  const own = dev.isBound ? dev.record!.driver.pm : undefined;
  return own?.[phase] === undefined ? undefined : own;
}

/** Calls back, with a limit of time when there is something to wait for. @param key where `owner` has the function */
function* guarded(core: DeviceCore, dev: Device, owner: object, key: string, call: () => unknown): Flow<void> {
  const result = isAsyncFunction(Reflect.get(owner, key)) ? runAsyncFrame(call) : call();
  if (isThenable(result)) yield* withinLimit(core, dev, key, result);
}

function* locked(dev: Device, what: string, body: () => Flow<void>): Flow<void> {
  yield* waitForLock(dev, what);
  const saved = enterFrame(dev, what);
  try {
    yield* body();
  } finally {
    leaveFrame(saved);
    unlock(dev);
  }
}
