import { type Driver, describeError } from '../../core/index.js';
import type { DsaDevice } from './dsa-bus.js';

/** A part with the driver that it was bound to. */
export interface Bound {
  readonly dev: DsaDevice;
  readonly driver: Driver;
}

/**
 * Unbinds a part for a reason of the device's own; one that is being bound, when that is over. What its driver throws is logged.
 * @returns what it was; undefined for a part without driver
 */
export async function unbindPart(dev: DsaDevice): Promise<Bound | undefined> {
  const { driver, idxd } = dev;
  if (driver === undefined) return undefined;
  try {
    await idxd.core.unbind(dev);
  } catch (error) {
    dev.log('err', `unbound with errors: ${describeError(error)}`, 'unbind_failed');
  }
  return { dev, driver };
}
