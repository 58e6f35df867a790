import { BusDriver, Command, PciDriver, Plugin } from '../core/index.js';
import { IdxdOptions } from '../drivers/idxd/api.js';
import { IdxdCommand } from '../drivers/idxd/cli/idxd-command.js';
import { IdxdDeviceDriver } from '../drivers/idxd/device-driver.js';
import { DmaengineDriver } from '../drivers/idxd/dmaengine-driver.js';
import { DsaBus } from '../drivers/idxd/dsa-bus.js';
import { IdxdDriver } from '../drivers/idxd/idxd-driver.js';
import { MdevQueueDriver } from '../drivers/idxd/mdev-driver.js';
import { UserDriver } from '../drivers/idxd/user-driver.js';

export type { IdxdOptions } from '../drivers/idxd/api.js';
export { CMD_STATUS } from '../drivers/idxd/cmd-status.js';
export { DSA_BUS, DsaBus, DsaDevice, type DsaKind, type IdxdSubDriver } from '../drivers/idxd/dsa-bus.js';
export type { Idxd } from '../drivers/idxd/idxd.js';
export type { Wq } from '../drivers/idxd/wq.js';
export { enableWq, matchDriver } from '../drivers/idxd/wq-enable.js';
export { type LoadOptions, type Loaded, loadConfig } from '../drivers/idxd/accel-config.js';
export { SubDevice } from '../drivers/idxd/mdev/sub-device.js';
export { type AccelJson, listConfig, saveConfig } from '../drivers/idxd/accel-list.js';

/** The driver of data streaming accelerators, with bus `dsa` and the drivers on it. */
export function idxd(options: IdxdOptions = {}): Plugin {
  return new Plugin('idxd', ({ bind }) => {
    bind(IdxdOptions).toConstantValue(options);
    bind(DsaBus).to(DsaBus);
    bind(BusDriver).to(IdxdDeviceDriver);
    bind(BusDriver).to(DmaengineDriver);
    bind(BusDriver).to(MdevQueueDriver);
    bind(BusDriver).to(UserDriver);
    bind(PciDriver).to(IdxdDriver);
    bind(Command).to(IdxdCommand);
  });
}

export default idxd();
