import { Errno } from '../lib/errno.js';
import type { Flow } from '../lib/flow.js';
import { enterFrame, findFrame, leaveFrame } from '../lib/frame.js';
import type { Device } from './device.js';

/**
 * The lock of a device: held over probe, remove, shutdown and the release of what was acquired; first come, first served.
 *
 * `if (dev.busy) yield* waitForLock(dev, 'unbind'); else dev.busy = true;` takes it, so that the usual case costs one test.
 * @throws {Errno} EDEADLK when the holder is one of the caller's own callers, which would wait for ever
 * @see Linux 6.12 drivers/base/dd.c __device_driver_lock
 */
export function* waitForLock(dev: Device, what: string): Flow<void> {
  if (!dev.busy) {
    dev.busy = true;
    return;
  }
  checkDeadlock(dev, what);
  yield* queueForLock(dev);
}

function* queueForLock(dev: Device): Flow<void> {
  const queue = (dev.lockQueue ??= []);
  yield new Promise<void>((resolve) => queue.push(resolve));
}

/** Takes back a lock that its holder gave up for a while, in whose frame the caller still is. */
export function* relock(dev: Device): Flow<void> {
  if (dev.busy) yield* queueForLock(dev);
  else dev.busy = true;
}

/**
 * On a bus with `needParentLock`, runs `flow` with the parent of `dev` locked; a caller who holds that lock keeps it.
 * @see Linux 6.12 drivers/base/dd.c __device_driver_lock
 */
export function parentLocked<T>(dev: Device, what: string, flow: Flow<T>): Flow<T> {
  const { parent } = dev;
  if (parent === undefined || dev.bus?.ops.needParentLock !== true) return flow;
  return findFrame((f) => f.owner === parent) === undefined ? underLock(parent, `${what} of ${dev.name}`, flow) : flow;
}

function* underLock<T>(parent: Device, what: string, flow: Flow<T>): Flow<T> {
  yield* waitForLock(parent, what);
  const saved = enterFrame(parent, what);
  try {
    return yield* flow;
  } finally {
    leaveFrame(saved);
    unlock(parent);
  }
}

/** @throws {Errno} EDEADLK when `dev` is locked by an operation that the caller is part of */
export function checkDeadlock(dev: Device, what: string): void {
  const holder = findFrame((f) => f.owner === dev);
  if (holder !== undefined) {
    throw new Errno('EDEADLK', `${dev.name}: ${what} from inside its own ${holder.what} would wait for itself`);
  }
}

/** Gives the lock to who waited longest, or frees it. */
export function unlock(dev: Device): void {
  const queue = dev.lockQueue;
  if (queue === undefined) {
    dev.busy = false;
    return;
  }
  const next = queue.shift()!;
  if (queue.length === 0) dev.lockQueue = undefined;
  next();
}
