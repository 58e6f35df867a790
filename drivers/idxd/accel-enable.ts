import { Errno } from '../../core/index.js';
import { numberOf, textOf } from './accel-rules.js';
import type { DsaDevice } from './dsa-bus.js';

/** The driver that a queue of each type has when nobody has named one. */
const DRIVERS: Readonly<Record<string, string>> = { kernel: 'dmaengine', user: 'user', mdev: 'mdev' };

/**
 * Binds a device or a queue to its driver, which enables it.
 * @throws {Errno} EBUSY when that is so; ENODEV without such a driver; what the probe threw, with `cmd_status`
 */
export async function enable(dev: DsaDevice): Promise<void> {
  if (textOf(dev, 'state') === 'enabled') throw new Errno('EBUSY', `${dev.name}: is enabled already`);
  const { core, bus, conf } = dev.idxd;
  const name = driverOf(dev);
  const driver = bus.findDriver(name);
  if (driver === undefined) throw new Errno('ENODEV', `${dev.name}: bus ${bus.name} has no driver ${name}`);
  await conf.attributes.write('cmd_status', '0\n');
  try {
    await core.bindMatching(dev, driver);
  } catch (error) {
    const status = textOf(conf, 'cmd_status');
    if (!Errno.is(error) || Number(status) === 0) throw error;
    throw new Errno(error.code, `${error.text} (cmd_status ${status})`, { cause: error });
  }
}

function driverOf(dev: DsaDevice): string {
  if (dev.kind === 'dsa') return 'idxd';
  return textOf(dev, 'driver_name') || (DRIVERS[textOf(dev, 'type')] ?? 'dmaengine');
}

/**
 * Unbinds a device or a queue from its driver, which disables it.
 * @param force whether it may have clients
 * @throws {Errno} ENXIO when it is disabled; EBUSY when it, or a queue of it, has clients
 */
export async function disable(dev: DsaDevice, force: boolean): Promise<void> {
  if (!dev.bound) throw new Errno('ENXIO', `${dev.name}: is disabled already`);
  const { core, wqs } = dev.idxd;
  const used = wqs.find((wq) => (dev.kind === 'dsa' || wq === dev) && numberOf(wq, 'clients') > 0);
  if (used !== undefined && !force) {
    const clients = numberOf(used, 'clients');
    throw new Errno('EBUSY', `${used.name}: has ${clients} client${clients === 1 ? '' : 's'}: end that first, or use --force`);
  }
  await core.unbind(dev);
}
