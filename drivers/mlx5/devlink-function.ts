import {
  type DevlinkInfo,
  DevlinkNode,
  type DevlinkOps,
  type DevlinkParam,
  type DevlinkPort,
  type DevlinkReload,
  Errno,
  type ParamValue,
  type ReloadAction,
} from '../../core/index.js';
import { CMDIF_REV_FW_SUB, FW_REV } from '../../hw/regs/nic.js';
import { ETH } from './api.js';
import type { Mlx5Core } from './mlx5-core.js';

/** @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/devlink.c mlx5_devlink_eq_depth_validate */
const EQ_DEPTH = { least: 64, most: 4096 } as const;
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

  /** @param ops more than what every function does */
  constructor(core: Mlx5Core, ops: Pick<DevlinkOps, 'eswitch' | 'addPort'> = {}) {
    this.#core = core;
    const actions: readonly ReloadAction[] = ['driver_reinit', 'fw_activate'];
    const reload: DevlinkReload = {
      actions,
      limits: ['no_reset'],
      down: (action) => this.#down(action),
      up: () => this.#up(),
    };
    this.node = new DevlinkNode(core.dev, { ...ops, reload, info: () => this.#info() });
    this.node.registerParams(paramsOf(core));
    const reporter = this.node.registerReporter({
      name: 'fw_fatal',
      // Going down resets the adapter, of which a sub-function is but a part; when, is for a person to say.
      autoRecover: false,
      ...(!core.isSf && { recover: () => this.#recover() }),
    });
    core.onFailed(() => void reporter.report());
  }

  /** The function is up, perhaps with parts. */
  cameUp(): void {
    const core = this.#core;
    const eth = core.parts.find((part) => part.key === ETH.key);
    if (!core.isSf || eth === undefined) return;
    const netdev = (): string | undefined => eth.children.find((child) => child.class?.name === 'net')?.name;
    this.#port = this.node.registerPort(VIRTUAL_PORT, { flavour: 'virtual', port: 0 }, { netdev });
  }

  /** @see Linux 7.2 devlink.c mlx5_devlink_info_get */
  #info(): Omit<DevlinkInfo, 'driver'> {
    const { window } = this.#core;
    const revision = window.read(FW_REV);
    const version = [revision & 0xffff, revision >>> 16, window.read(CMDIF_REV_FW_SUB) & 0xffff].join('.');
    return { versions: { running: { 'fw.version': version, fw: version } } };
  }

  /** @see Linux 7.2 devlink.c mlx5_devlink_reload_down */
  async #down(action: ReloadAction): Promise<void> {
    const core = this.#core;
    if (action !== 'driver_reinit') throw new Errno('EOPNOTSUPP', `mlx5_core: ${action}: ${core.dev.name} keeps its firmware`);
    await this.#goDown();
  }

  /** @see Linux 7.2 devlink.c mlx5_devlink_reload_up */
  async #up(): Promise<readonly ReloadAction[]> {
    const { params } = this.#core;
    const flag = (name: string): boolean => this.node.param(name) === true;
    params.enableRoce = flag('enable_roce');
    params.enableEth = flag('enable_eth');
    params.enableRdma = flag('enable_rdma');
    if (this.#core.isSf) params.enableVnet = flag('enable_vnet');
    params.ioEqSize = Number(this.node.param('io_eq_size'));
    params.eventEqSize = Number(this.node.param('event_eq_size'));
    await this.#comeUp();
    return ['driver_reinit'];
  }

  /** @see Linux 7.2 health.c mlx5_health_try_recover */
  async #recover(): Promise<void> {
    await this.#goDown();
    await this.#comeUp();
  }

  async #goDown(): Promise<void> {
    this.#port?.[Symbol.dispose]();
    this.#port = undefined;
    await this.#core.down();
  }

  async #comeUp(): Promise<void> {
    try {
      await this.#core.up();
    } catch (error) {
      await this.#core.down();
      throw error;
    }
    this.cameUp();
  }
}

/** @see Linux 7.2 devlink.c mlx5_devlink_params, mlx5_devlink_eth_params, mlx5_devlink_rdma_params, mlx5_devlink_vnet_params */
function paramsOf({ params, isSf }: Mlx5Core): DevlinkParam[] {
  const bool = (name: string, initial: boolean): DevlinkParam => ({ name, type: 'bool', cmodes: ['driverinit'], initial });
  const size = (name: string, initial: number): DevlinkParam => {
    return { name, type: 'u32', cmodes: ['driverinit'], initial, validate: (value) => checkDepth(name, value) };
  };
  return [
    bool('enable_roce', params.enableRoce),
    bool('enable_eth', params.enableEth),
    bool('enable_rdma', params.enableRdma),
    ...(isSf ? [bool('enable_vnet', params.enableVnet)] : []),
    size('io_eq_size', params.ioEqSize),
    size('event_eq_size', params.eventEqSize),
  ];
}

function checkDepth(name: string, value: ParamValue): void {
  const { least, most } = EQ_DEPTH;
  if (typeof value === 'number' && value >= least && value <= most) return;
  throw new Errno('EINVAL', `mlx5_core: ${name} ${value}: must be ${least} to ${most}`);
}
