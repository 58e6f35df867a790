import { Errno, describeError } from '../lib/errno.js';
import type { Flow } from '../lib/flow.js';
import type { DeviceCore } from './core.js';
import type { Device } from './device.js';

/**
 * Waits for a driver's promise, but not for ever: after the core's limit of virtual time the driver is reported and given up.
 *
 * What the driver still does later finds its handles dead. Until it ends, nothing is acquired for the device, and it is not
 * probed again.
 * @throws {Errno} ETIMEDOUT after the limit
 */
export function* withinLimit<T>(core: DeviceCore, dev: Device, what: string, promise: PromiseLike<T>): Flow<T> {
  const limitUs = core.options.callbackLimitUs;
  let timer: Disposable | undefined;
  const settled = new Promise<T>((resolve, reject) => {
    timer = core.clock.deadline(limitUs, () => {
      const text = `${what} has not ended within ${limitUs} us and is given up`;
      dev.log('err', text, 'hung');
      core.report('hung-callback', dev, text);
      abandon(dev, what, promise);
      reject(new Errno('ETIMEDOUT', `${dev.name}: ${text}`));
    });
    promise.then(resolve, reject);
  });
  try {
    return (yield settled) as T;
  } finally {
    timer?.[Symbol.dispose]();
  }
}

function abandon(dev: Device, what: string, promise: PromiseLike<unknown>): void {
  dev.hung++;
  dev.devres.sealed = `${what} was given up`;
  const ended = (how: string): void => {
    if (--dev.hung === 0) dev.devres.sealed = undefined;
    dev.log('warn', `${what}, given up before, ${how}`, 'hung_ended');
  };
  promise.then(
    () => ended('has ended'),
    (error: unknown) => ended(`has failed: ${describeError(error)}`),
  );
}
