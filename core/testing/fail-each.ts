import { Errno, describeError } from '../lib/index.js';
import { leakError } from './ledger-watch.js';
import { type HarnessOptions, Session } from './session.js';

/** More acquisitions than any sane probe makes. */
const MAX_FAULTS = 10_000;

/**
 * Fails the first acquisition of probe, then the second, until probe lives; after each, nothing may be held. Then the same for
 * the acquisitions of remove.
 *
 * A driver that does without what it could not get (a fallback) may bind all the same; it is unbound and checked too.
 * @returns the labels of the acquisitions that were failed, in order
 * @throws {Errno} EBUSY with a report of what leaked, and at which fault; EINVAL when a rule was broken
 */
export async function failEach(options: HarnessOptions): Promise<string[]> {
  const session = await Session.open(options);
  try {
    const failed: string[] = [];
    for (let n = 1; ; n++) {
      if (n > MAX_FAULTS) throw new Errno('E2BIG', `${session.driver.name}: probe makes more than ${MAX_FAULTS} acquisitions`);
      const label = await failNth(session, n, () => session.bind());
      if (label === undefined) break;
      failed.push(label);
      const when = `after probe of driver ${session.driver.name} met a failure of "${label}"`;
      if (session.device.bound) await unbindQuietly(session, when);
      session.check(when);
    }
    if (!session.device.bound) {
      throw new Errno(
        'EIO',
        `${session.driver.name}: probe fails without any fault: ${describeError(session.device.probeError)}`,
      );
    }
    for (let n = 1; ; n++) {
      const label = await failNth(session, n, () => session.unbind());
      const when =
        label === undefined
          ? `after remove of driver ${session.driver.name}`
          : `after remove of driver ${session.driver.name} met a failure of "${label}"`;
      session.check(when);
      if (label === undefined) break;
      if (!(await session.bind())) {
        throw new Errno('EIO', `${session.driver.name}: cannot bind again ${when}: ${describeError(session.device.probeError)}`);
      }
    }
    return failed;
  } finally {
    await session.abandon();
  }
}

/** Runs `body` with its n-th acquisition failing. @returns its label; undefined when there are fewer */
async function failNth(session: Session, n: number, body: () => Promise<unknown>): Promise<string | undefined> {
  let count = 0;
  let hit: string | undefined;
  session.watch.onAcquire = (owner, label) => {
    if (++count !== n) return;
    hit = label;
    throw new Errno('ENOMEM', `${owner}: ${label}: injected by failEach`);
  };
  try {
    await body();
  } catch (error) {
    if (hit === undefined || !causedByFault(error)) throw error;
  } finally {
    session.watch.onAcquire = undefined;
  }
  return hit;
}

const causedByFault = (error: unknown): boolean =>
  error instanceof AggregateError ? error.errors.some(causedByFault) : Errno.is(error);

async function unbindQuietly(session: Session, when: string): Promise<void> {
  await session.unbind();
  const held = session.holdings();
  if (held.length > 0) throw leakError(`${when}, bound, and was unbound`, held);
}
