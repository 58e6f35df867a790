import {
  type DevlinkNode,
  type DevlinkPort,
  Errno,
  type FunctionState,
  IdAllocator,
  type NewPort,
  type PortFunction,
  formatMac,
} from '../../../core/index.js';
import { VHCA_STATES } from '../../../hw/regs/nic-contexts.js';
import type { Eswitch } from '../eswitch.js';
import { warnOnly } from '../held.js';
import type { Mlx5Core } from '../mlx5-core.js';
import {
  type VhcaState,
  allocSf,
  allow,
  deallocSf,
  disableSf,
  enableSf,
  queryVhca,
  setSfnum,
  setVportAddress,
} from './sf-commands.js';
import type { SfDevices } from './sf-devices.js';

const { allocated, active, inUse, teardownRequest } = VHCA_STATES;
/** Of the manager itself: there is no other. */
const OWN_CONTROLLER = 0;
const OWN_PF = 0;
/** Event queues of a sub-function beside those for completions. @see Linux 7.2 eswitch.h MLX5_ESW_MAX_CTRL_EQS */
const CONTROL_EQS = 3;
/** @see Linux 7.2 eswitch.h MLX5_ESW_DEFAULT_SF_COMP_EQS */
const DEFAULT_IO_EQS = 8;
const NO_ADDRESS = new Uint8Array(6);

/** What a state may become by an event; else it is old news. @see Linux 7.2 sf/devlink.c mlx5_sf_state_update_check */
const FOLLOWS: Readonly<Record<number, number>> = { [active]: inUse, [inUse]: active, [teardownRequest]: allocated };

/** A sub-function that a user has added. */
class Sf {
  /** As the driver knows it; one of `VHCA_STATES`. */
  state: number = allocated;
  port: DevlinkPort | undefined = undefined;
  address: Uint8Array = NO_ADDRESS;
  roce: boolean | undefined = undefined;
  ioEqs: number | undefined = undefined;
  /** Its port is gone; its number is free when the function is given up by who uses it. */
  isPendingDelete = false;

  constructor(
    readonly index: number,
    readonly functionId: number,
    readonly sfnum: number,
  ) {}

  /** @see Linux 7.2 sf/devlink.c mlx5_sf_to_devlink_state */
  get devlinkState(): FunctionState {
    return this.state === active || this.state === inUse ? 'active' : 'inactive';
  }
}

/**
 * The sub-functions of a function that its user adds, sets up and deletes as ports of its switch.
 *
 * ```
 *   port add    ALLOC_SF, MODIFY_VHCA_STATE(sfnum)        allocated
 *   active      ENABLE_HCA                                active      its device comes      (in use once that has a driver)
 *   inactive    DISABLE_HCA                               teardown request, until its driver has given it up: allocated
 *   port del    DISABLE_HCA, DEALLOC_SF                   the port is gone at once; its number once its driver has given it up
 * ```
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/sf/devlink.c, sf/hw_table.c
 */
export class SfTable {
  readonly #core: Mlx5Core;
  readonly #devlink: DevlinkNode;
  readonly #eswitch: Eswitch;
  readonly #devices: SfDevices;
  #indexes: IdAllocator | undefined = undefined;
  readonly #byIndex: (Sf | undefined)[] = [];
  readonly #bySfnum = new Map<number, Sf>();

  constructor(core: Mlx5Core, devlink: DevlinkNode, eswitch: Eswitch, devices: SfDevices) {
    this.#core = core;
    this.#devlink = devlink;
    this.#eswitch = eswitch;
    this.#devices = devices;
  }

  create(): void {
    const { maxNumSf } = this.#core.caps;
    this.#indexes = new IdAllocator(`${this.#core.dev.name}: sub-functions`, 0, maxNumSf - 1);
  }

  /** Frees what is left: nobody uses any of them. @see Linux 7.2 sf/hw_table.c mlx5_sf_hw_table_destroy */
  async destroy(): Promise<void> {
    const core = this.#core;
    await this.deleteAll();
    for (const { functionId } of this.#bySfnum.values()) {
      await warnOnly(core.dev, `sub-function ${functionId} is not freed`, deallocSf(core, functionId));
    }
    this.#bySfnum.clear();
    this.#byIndex.length = 0;
    this.#indexes = undefined;
  }

  /**
   * Adds a sub-function with its port.
   * @throws {Errno} EOPNOTSUPP, EINVAL for what cannot be; EEXIST when the number is taken; ENOSPC when there are too many; as `exec`
   * @see Linux 7.2 sf/devlink.c mlx5_devlink_sf_port_new, mlx5_sf_new_check_attr
   */
  async add(wanted: NewPort): Promise<DevlinkPort> {
    const core = this.#core;
    if (!core.isUp || this.#indexes === undefined) throw notSupported('SF ports are not supported.');
    if (this.#eswitch.mode !== 'switchdev') throw notSupported('SF ports are only supported in eswitch switchdev mode.');
    const sfnum = checkAttributes(wanted);
    if (this.#bySfnum.has(sfnum)) throw new Errno('EEXIST', 'mlx5_core: SF already exist. Choose different sfnum');
    const index = this.#take(this.#indexes);
    const sf = new Sf(index, core.caps.sfBaseId + index, sfnum);
    this.#byIndex[index] = sf;
    this.#bySfnum.set(sfnum, sf);
    try {
      await this.#alloc(sf);
    } catch (error) {
      this.#free(sf);
      throw error;
    }
    try {
      await this.#addPort(sf);
    } catch (error) {
      await this.#dealloc(sf);
      throw error;
    }
    return sf.port!;
  }

  #take(indexes: IdAllocator): number {
    const most = this.#core.caps.maxNumSf;
    if (indexes.size >= most) throw new Errno('ENOSPC', `mlx5_core: all ${most} SFs are in use`);
    return indexes.alloc();
  }

  /** @see Linux 7.2 sf/hw_table.c mlx5_sf_hw_table_sf_alloc */
  async #alloc({ functionId, sfnum }: Sf): Promise<void> {
    const core = this.#core;
    await allocSf(core, functionId);
    try {
      await setSfnum(core, functionId, sfnum);
    } catch (error) {
      await warnOnly(core.dev, `sub-function ${functionId} is not freed`, deallocSf(core, functionId));
      throw error;
    }
  }

  async #addPort(sf: Sf): Promise<void> {
    const { functionId, sfnum } = sf;
    const attributes = { controller: OWN_CONTROLLER, pfnum: OWN_PF, sfnum };
    await this.#eswitch.addPort({ vport: functionId, ...attributes });
    sf.port = this.#devlink.registerPort(
      this.#core.caps.vhcaId * 2 ** 16 + functionId,
      { flavour: 'pcisf', ...attributes },
      {
        netdev: () => this.#eswitch.netdevOf(functionId),
        function: () => this.#view(sf),
        delete: () => this.#delete(sf),
        setHwAddr: async (address) => {
          await setVportAddress(this.#core, functionId, address);
          sf.address = address;
        },
        setRoce: async (isEnabled) => {
          await allow(this.#core, functionId, 'roce', isEnabled ? 1 : 0);
          sf.roce = isEnabled;
        },
        setMaxIoEqs: (count) => this.#setIoEqs(sf, count),
        setState: (state) => this.#setState(sf, state),
      },
    );
  }

  #view({ index, state, devlinkState, address, roce, ioEqs }: Sf): PortFunction {
    const dev = this.#devices.at(index);
    return {
      hwAddr: formatMac(address),
      state: devlinkState,
      opstate: state === inUse || state === teardownRequest ? 'attached' : 'detached',
      ...(roce !== undefined && { roce }),
      ...(ioEqs !== undefined && { maxIoEqs: ioEqs }),
      ...(dev?.bound === true && { nested: `auxiliary/${dev.name}` }),
    };
  }

  /** @see Linux 7.2 eswitch_offloads.c mlx5_devlink_port_fn_max_io_eqs_set */
  async #setIoEqs(sf: Sf, count: number): Promise<void> {
    const most = 2 ** this.#core.caps.logMaxEq - CONTROL_EQS;
    if (count > most) throw new Errno('EINVAL', `mlx5_core: max_io_eqs ${count}: the device has ${most} at most`);
    await allow(this.#core, sf.functionId, 'maxNumEqs', count + CONTROL_EQS);
    sf.ioEqs = count;
  }

  /** @see Linux 7.2 sf/devlink.c mlx5_sf_state_set */
  async #setState(sf: Sf, state: FunctionState): Promise<void> {
    if (state === sf.devlinkState) return;
    if (state === 'inactive') {
      const wasInUse = sf.state === inUse;
      await this.#change(sf, teardownRequest, disableSf);
      // Its driver may have only begun, and is not to wait for what is no more.
      if (!wasInUse) await this.#isFree(sf);
    } else {
      if (sf.state !== allocated) throw new Errno('EBUSY', 'mlx5_core: SF is inactivated but it is still attached');
      if (sf.ioEqs === undefined) await allow(this.#core, sf.functionId, 'maxNumEqs', DEFAULT_IO_EQS + CONTROL_EQS);
      await this.#change(sf, active, enableSf);
    }
  }

  /** The state is known before the device has it, since its event may be quicker than the end of the command. */
  async #change(sf: Sf, state: number, command: typeof enableSf): Promise<void> {
    const before = sf.state;
    sf.state = state;
    try {
      await command(this.#core, sf.functionId);
    } catch (error) {
      sf.state = before;
      throw error;
    }
  }

  /** The states of all sub-functions come here. @see Linux 7.2 sf/hw_table.c, sf/devlink.c mlx5_sf_vhca_event */
  async update({ functionId, state }: VhcaState): Promise<void> {
    const sf = this.#byIndex[functionId - this.#core.caps.sfBaseId];
    if (sf === undefined) return;
    if (sf.isPendingDelete) {
      if (state === allocated) await this.#dealloc(sf);
    } else if (FOLLOWS[sf.state] === state) {
      sf.state = state;
    }
  }

  /** Deletes all that have a port. */
  async deleteAll(): Promise<void> {
    for (const sf of this.#bySfnum.values()) {
      if (sf.isPendingDelete) continue;
      sf.port?.[Symbol.dispose]();
      await this.#delete(sf);
    }
  }

  /** Its port is gone: it goes, now or when nobody uses it any more. @see Linux 7.2 sf/devlink.c mlx5_sf_dealloc */
  async #delete(sf: Sf): Promise<void> {
    const core = this.#core;
    await this.#eswitch.removePort(sf.functionId);
    if (sf.state === allocated) {
      await this.#dealloc(sf);
      return;
    }
    if (sf.state !== teardownRequest) {
      await warnOnly(core.dev, `sub-function ${sf.functionId} is not disabled`, disableSf(core, sf.functionId));
    }
    sf.isPendingDelete = true;
    if (await this.#isFree(sf)) await this.#dealloc(sf);
  }

  /** Whether nobody uses the function, though its device may be there still. One that cannot be asked is freed with its manager. */
  async #isFree({ index, functionId }: Sf): Promise<boolean> {
    let now: VhcaState;
    try {
      now = await queryVhca(this.#core, functionId);
    } catch {
      return false;
    }
    if (now.state !== allocated) return false;
    this.#devices.abandon(index);
    return true;
  }

  /** Its number is free again. */
  async #dealloc(sf: Sf): Promise<void> {
    const { dev } = this.#core;
    if (this.#byIndex[sf.index] !== sf) return;
    this.#free(sf);
    await warnOnly(dev, `sub-function ${sf.functionId} is not freed`, deallocSf(this.#core, sf.functionId));
  }

  #free(sf: Sf): void {
    this.#byIndex[sf.index] = undefined;
    this.#bySfnum.delete(sf.sfnum);
    this.#indexes?.free(sf.index);
  }
}

const notSupported = (text: string): Errno => new Errno('EOPNOTSUPP', `mlx5_core: ${text}`);

/** @returns what its user calls it @throws {Errno} EOPNOTSUPP, EINVAL for what it cannot be */
function checkAttributes({ flavour, index, sfnum, controller = OWN_CONTROLLER, pfnum }: NewPort): number {
  if (flavour !== 'pcisf') throw notSupported('Driver supports only SF port addition');
  if (index !== undefined) throw notSupported('Driver does not support user defined port index assignment');
  if (sfnum === undefined) {
    throw notSupported('User must provide unique sfnum. Driver does not support auto assignment');
  }
  if (controller !== OWN_CONTROLLER) throw notSupported('External controller is unsupported');
  if (pfnum !== OWN_PF) throw notSupported('Invalid pfnum supplied');
  return sfnum;
}
