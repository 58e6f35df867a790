import {
  type DevlinkInfo,
  DevlinkNode,
  type DevlinkOps,
  type DevlinkParam,
  type DevlinkPort,
  type DevlinkReload,
  type DevlinkReporter,
  Errno,
  type ParamValue,
  type ReloadAction,
  type ReloadLimit,
  describeError,
} from '../../core/index.js';
import { CMDIF_REV_FW_SUB, FW_REV } from '../../hw/regs/nic.js';
import { ETH } from './api.js';
import { macsOf } from './caps.js';
import { activateFirmware, storedVersion } from './firmware.js';
import type { Mlx5Core } from './mlx5-core.js';

/** @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/devlink.c mlx5_devlink_eq_depth_validate */
const EQ_DEPTH = { least: 64, most: 4096 } as const;
/** How long a function must have been well to be recovered again. @see Linux 7.2 health.c MLX5_FW_REPORTER_PF_GRACEFUL_PERIOD */
const GRACE_MS = 60_000;
/** Of a sub-function: that of its network device. */
const VIRTUAL_PORT = 1;

/**
 * What users set up on a function: what it is for, how large its event queues are, and its start.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/devlink.c
 */
export class FunctionDevlink {
  readonly node: DevlinkNode;
  readonly #core: Mlx5Core;
  #port: DevlinkPort | undefined = undefined;
  /** Whether it is known what the device can have at most. */
  #hasLimits = false;

  /** @param ops more than what every function does */
  constructor(core: Mlx5Core, ops: Pick<DevlinkOps, 'eswitch' | 'addPort'> = {}) {
    this.#core = core;
    const actions: readonly ReloadAction[] = ['driver_reinit', 'fw_activate'];
    const reload: DevlinkReload = {
      actions,
      limits: ['no_reset'],
      down: (action, limit) => this.#down(action, limit),
      up: (action, limit) => this.#up(action, limit),
    };
    this.node = new DevlinkNode(core.dev, { ...ops, reload, info: () => this.#info() });
    this.node.registerParams(paramsOf(core));
    const reporter = this.node.registerReporter({
      name: 'fw_fatal',
      gracePeriodMs: GRACE_MS,
      // It resets the adapter, of which a sub-function is but a part.
      ...(!core.isSf && { recover: () => this.#recover() }),
    });
    core.onFailed(() => void this.#report(reporter));
  }

  /** The function is up, perhaps with parts. */
  cameUp(): void {
    const core = this.#core;
    if (!this.#hasLimits) this.node.registerParams([maxMacs(core)]);
    this.#hasLimits = true;
    const eth = core.parts.find((part) => part.key === ETH.key);
    if (!core.isSf || eth === undefined) return;
    const netdev = (): string | undefined => eth.children.find((child) => child.class?.name === 'net')?.name;
    this.#port = this.node.registerPort(VIRTUAL_PORT, { flavour: 'virtual', port: 0 }, { netdev });
  }

  /** @see Linux 7.2 devlink.c mlx5_devlink_info_get */
  async #info(): Promise<Omit<DevlinkInfo, 'driver'>> {
    const { window, commands } = this.#core;
    const revision = window.read(FW_REV);
    const running = [revision & 0xffff, revision >>> 16, window.read(CMDIF_REV_FW_SUB) & 0xffff];
    const both = (version: readonly number[]) => ({ 'fw.version': version.join('.'), fw: version.join('.') });
    try {
      return { versions: { running: both(running), stored: both((await storedVersion(commands)) ?? running) } };
    } catch (error) {
      // One that does not answer says what runs all the same.
      if (!Errno.is(error)) throw error;
      return { versions: { running: both(running) } };
    }
  }

  /** @see Linux 7.2 devlink.c mlx5_devlink_reload_down */
  async #down(action: ReloadAction, limit: ReloadLimit | undefined): Promise<void> {
    const { commands, isSf } = this.#core;
    if (action === 'fw_activate') {
      if (isSf) throw new Errno('EOPNOTSUPP', 'mlx5_core: FW activate is unsupported for this function');
      await activateFirmware(commands, limit === 'no_reset' ? 'live' : 'reset');
    }
    if (limit !== 'no_reset') await this.#goDown();
  }

  /** @see Linux 7.2 devlink.c mlx5_devlink_reload_up */
  async #up(action: ReloadAction, limit: ReloadLimit | undefined): Promise<readonly ReloadAction[]> {
    const { params, pci } = this.#core;
    if (limit === 'no_reset') return [action];
    // It starts with the firmware that was stored.
    if (action === 'fw_activate') await pci.reset();
    const flag = (name: string): boolean => this.node.param(name) === true;
    params.enableRoce = flag('enable_roce');
    params.enableEth = flag('enable_eth');
    params.enableRdma = flag('enable_rdma');
    if (this.#core.isSf) params.enableVnet = flag('enable_vnet');
    params.ioEqSize = Number(this.node.param('io_eq_size'));
    params.eventEqSize = Number(this.node.param('event_eq_size'));
    params.numDoorbells = Number(this.node.param('num_doorbells'));
    if (this.#hasLimits) params.maxMacs = Number(this.node.param('max_macs'));
    await this.#comeUp();
    return action === 'fw_activate' ? ['driver_reinit', 'fw_activate'] : ['driver_reinit'];
  }

  /** It is recovered at once, unless that was so not long ago. @see Linux 7.2 health.c mlx5_fw_fatal_reporter_err_work */
  async #report(reporter: DevlinkReporter): Promise<void> {
    const { dev } = this.#core;
    // Who found out that it has failed is in the middle of something.
    await Promise.resolve();
    try {
      await reporter.report();
    } catch (error) {
      if (dev.bound && !dev.isLeaving) dev.log('err', `is not recovered: ${describeError(error)}`, 'not_recovered');
    }
  }

  /** @throws {Errno} EIO when it is gone; what coming up throws @see Linux 7.2 health.c mlx5_health_try_recover */
  async #recover(): Promise<void> {
    const core = this.#core;
    const { dev, pci } = core;
    // It was started anew meanwhile.
    if (core.isUp && !core.isFailed) return;
    if (pci.isGone) throw new Errno('EIO', 'health recovery flow aborted, PCI reads still not working');
    dev.log('err', 'starting health recovery flow', 'recovery');
    await this.#goDown();
    await this.#comeUp();
    dev.log('info', 'health recovery succeeded', 'recovery');
  }

  async #goDown(): Promise<void> {
    this.#port?.[Symbol.dispose]();
    this.#port = undefined;
    const core = this.#core;
    try {
      await core.down();
    } catch (error) {
      // It is down all the same.
      core.dev.log('err', `goes down: ${describeError(error)}`, 'not_undone');
    }
  }

  async #comeUp(): Promise<void> {
    try {
      await this.#core.up();
    } catch (error) {
      await this.#goDown();
      throw error;
    }
    this.cameUp();
  }
}

/** @see Linux 7.2 devlink.c mlx5_devlink_params, mlx5_devlink_eth_params, mlx5_devlink_rdma_params, mlx5_devlink_vnet_params */
function paramsOf(core: Mlx5Core): DevlinkParam[] {
  const { params, isSf } = core;
  const bool = (name: string, initial: boolean, validate?: DevlinkParam['validate']): DevlinkParam => {
    return { name, type: 'bool', cmodes: ['driverinit'], initial, ...(validate && { validate }) };
  };
  const number = (name: string, initial: number, validate: DevlinkParam['validate']): DevlinkParam => {
    return { name, type: 'u32', cmodes: ['driverinit'], initial, ...(validate && { validate }) };
  };
  return [
    bool('enable_roce', params.enableRoce, (value) => checkRoce(core, value)),
    bool('enable_eth', params.enableEth),
    bool('enable_rdma', params.enableRdma),
    ...(isSf ? [bool('enable_vnet', params.enableVnet)] : []),
    number('io_eq_size', params.ioEqSize, (value) => checkDepth('io_eq_size', value)),
    number('event_eq_size', params.eventEqSize, (value) => checkDepth('event_eq_size', value)),
    number('num_doorbells', params.numDoorbells, (value) => checkDoorbells(core, Number(value))),
  ];
}

/** @see Linux 7.2 devlink.c max_uc_list_param */
function maxMacs({ most }: Mlx5Core): DevlinkParam {
  const initial = macsOf(most);
  const validate = (value: ParamValue): void => checkMacs(Number(value), initial);
  return { name: 'max_macs', type: 'u32', cmodes: ['driverinit'], initial, validate };
}

const invalid = (text: string): Errno => new Errno('EINVAL', `mlx5_core: ${text}`);

/** @see Linux 7.2 devlink.c mlx5_devlink_enable_roce_validate */
function checkRoce({ most }: Mlx5Core, value: ParamValue): void {
  if (value === true && most.roce === 0) throw new Errno('EOPNOTSUPP', "mlx5_core: Device doesn't support RoCE");
}

function checkDepth(name: string, value: ParamValue): void {
  const { least, most } = EQ_DEPTH;
  if (typeof value === 'number' && value >= least && value <= most) return;
  throw invalid(`${name} ${value}: must be ${least} to ${most}`);
}

/** @see Linux 7.2 devlink.c mlx5_devlink_num_doorbells_validate */
function checkDoorbells({ mostChannels }: Mlx5Core, value: number): void {
  if (value <= mostChannels) return;
  throw invalid(`Requested num_doorbells (${value}) exceeds maximum number of channels (${mostChannels})`);
}

/** @see Linux 7.2 devlink.c mlx5_devlink_max_uc_list_validate */
function checkMacs(value: number, most: number): void {
  if (value === 0) throw invalid('max_macs value must be greater than 0');
  if (!Number.isInteger(Math.log2(value))) throw invalid('Only power of 2 values are supported for max_macs');
  if (value > most) throw invalid(`max_macs value is out of the supported range: 1 to ${most}`);
}
