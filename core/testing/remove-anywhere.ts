import type { Device } from '../device/index.js';
import type { Kernel } from '../kernel.js';
import { Errno, describeError } from '../lib/index.js';
import { type HarnessOptions, Session } from './session.js';

/** What else {@link removeAnywhere} is told. */
export interface RemoveAnywhereOptions {
  /** Uses the bound device as its users would; what it throws must be an `Errno`. */
  readonly use?: (system: { readonly kernel: Kernel; readonly device: Device }) => Promise<unknown>;
  /** The most points to try; more is an error, since a driver that polls for long hides what matters. Default 2,000. */
  readonly maxPoints?: number;
}

/** How long a pending probe may rest, in microtask turns, before time is let move. */
const RESTING_TURNS = 4;

/**
 * The device vanishes before the first core call or register access, then before the second, and so on; and after each turn of a
 * pending probe, use or remove. From there on reads give all ones and writes vanish; then the core is told.
 *
 * Each time everything must settle, nothing may be held, no rule broken, and every error must be an `Errno`.
 * @returns the points that were tried, in order: `read mem 0xe0000000+0x8`, `acquire bar 0`, `turn`
 * @throws {Errno} naming the point and what went wrong there
 */
export async function removeAnywhere(options: HarnessOptions, more: RemoveAnywhereOptions = {}): Promise<string[]> {
  const max = more.maxPoints ?? 2000;
  const points: string[] = [];
  for (let n = 1; ; n++) {
    if (n > max)
      throw new Errno('E2BIG', `removeAnywhere: more than ${max} points: give maxPoints, or a device that answers sooner`);
    const point = await removeAt(options, more, n);
    if (point === undefined) return points;
    points.push(point);
  }
}

async function removeAt(options: HarnessOptions, more: RemoveAnywhereOptions, n: number): Promise<string | undefined> {
  const session = await Session.open(options);
  const { tap } = session.tap;
  let count = 0;
  let hit: string | undefined;
  let told: Promise<void> | undefined;
  const errors: unknown[] = [];
  const reach = (what: string): void => {
    if (++count !== n) return;
    hit = what;
    session.tap.vanish();
    told = Promise.resolve()
      .then(() => session.remove())
      .catch((error: unknown) => void errors.push(error));
  };
  tap.onAccess = reach;
  session.watch.onAcquire = (_owner, label) => reach(`acquire ${label}`);
  let activity = 0;
  const step = async <T>(promise: Promise<T>): Promise<void> => {
    let done = false;
    promise.then(
      () => (done = true),
      (error: unknown) => {
        done = true;
        errors.push(error);
      },
    );
    let seen = -1;
    for (let resting = 0; !done && hit === undefined;) {
      await Promise.resolve();
      if (done) break;
      activity = count + session.trace.events.length + session.tap.clock.now();
      resting = activity === seen ? resting + 1 : 0;
      if (resting < RESTING_TURNS) {
        reach('turn');
        activity = count + session.trace.events.length + session.tap.clock.now();
      } else await new Promise<void>((resolve) => setImmediate(resolve));
      seen = activity;
    }
    await session.within(
      promise.then(
        () => {},
        () => {},
      ),
      'operation',
    );
  };
  const at = (): string => `after the device vanished at point ${n} (${hit})`;
  try {
    await step(session.bind());
    if (hit === undefined && errors.length === 0 && !session.device.bound) errors.push(session.device.probeError);
    if (session.device.bound && more.use !== undefined) {
      const { use } = more;
      await step((async () => use({ kernel: session.kernel, device: session.device }))());
    }
    if (session.device.registered && !session.device.dead) await step(session.unbind());
    if (hit === undefined) {
      if (errors.length > 0) {
        throw new Errno('EIO', `${session.driver.name}: fails without any removal: ${describeError(errors[0])}`, {
          cause: errors[0],
        });
      }
      session.checkAfterUse(`after a run of driver ${session.driver.name} without any removal`);
      return undefined;
    }
    if (told !== undefined) await session.within(told, 'removal');
    await session.within(session.core.settle(), 'settling');
    for (const error of errors) {
      if (!isExpected(error))
        throw new Errno('EIO', `${session.driver.name}: ${at()}: ${describeError(error)}`, { cause: error });
    }
    session.checkAfterUse(`${at()} from driver ${session.driver.name}`);
    return hit;
  } catch (error) {
    if (hit === undefined || !Errno.is(error, 'ETIMEDOUT')) throw error;
    throw new Errno('ETIMEDOUT', `${error.text}, ${at()}`, { cause: error });
  } finally {
    await session.abandon();
  }
}

/** A device that is gone makes calls fail, with an Errno; anything else is a bug of the driver. */
const isExpected = (error: unknown): boolean =>
  error instanceof AggregateError ? error.errors.every(isExpected) : Errno.is(error);
