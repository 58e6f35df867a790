import { type AttributeGroup, type AuxiliaryDevice, type Device, Errno, type Mmio, describeError } from '../../../core/index.js';
import { WINDOWS_BAR } from '../../../hw/regs/nic.js';
import { VHCA_STATES } from '../../../hw/regs/nic-contexts.js';
import { SF } from '../api.js';
import type { Mlx5Core } from '../mlx5-core.js';
import { type VhcaState, armVhca, queryVhca } from './sf-commands.js';
import { SfContext } from './sf-context.js';

const { invalid, allocated, active, teardownRequest } = VHCA_STATES;

/** What scripts find a sub-function by. @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/sf/dev/dev.c sfnum_show */
function sfnumGroup(sfnum: number): AttributeGroup<Device> {
  return { attributes: [{ name: 'sfnum', show: () => `${sfnum}\n` }] };
}

/**
 * The auxiliary devices of the sub-functions that may be used: `mlx5_core.sf.N`.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/sf/dev/dev.c struct mlx5_sf_dev_table
 */
export class SfDevices {
  readonly #core: Mlx5Core;
  /** By index. */
  readonly #all: (AuxiliaryDevice | undefined)[] = [];
  readonly #contexts: (SfContext | undefined)[] = [];
  #windows: (Mmio & Disposable) | undefined = undefined;

  constructor(core: Mlx5Core) {
    this.#core = core;
  }

  /** The device of a sub-function, by its index; undefined when there is none. */
  at(index: number): AuxiliaryDevice | undefined {
    const dev = this.#all[index];
    return dev?.registered === true ? dev : undefined;
  }

  /**
   * Asks to be told of all functions that there can be. Those of a device that is managed elsewhere may be there already.
   * @throws {Errno} as `PciDevice.mapBar` and `Mlx5Child.exec`
   * @see Linux 7.2 sf/dev/dev.c mlx5_sf_dev_table_create
   */
  async create(): Promise<void> {
    const core = this.#core;
    const { maxNumSf, sfBaseId, eswitchManager } = core.caps;
    this.#windows = core.pci.mapBar(WINDOWS_BAR);
    for (let index = 0; index < maxNumSf; index++) {
      await armVhca(core, sfBaseId + index);
      if (eswitchManager === 0) await this.#addActive(sfBaseId + index);
    }
  }

  async #addActive(functionId: number): Promise<void> {
    let state: VhcaState;
    try {
      state = await queryVhca(this.#core, functionId);
    } catch {
      return;
    }
    if (state.state === active) await this.update(state);
  }

  /** Deletes them all, last first, and waits for their drivers. */
  async destroy(): Promise<void> {
    for (let index = this.#all.length - 1; index >= 0; index--) await this.#delete(index);
    this.#all.length = 0;
    this.#windows?.[Symbol.dispose]();
    this.#windows = undefined;
  }

  /** The function was taken away from a driver that has only begun: it is told, and does not wait for answers. */
  abandon(index: number): void {
    this.#contexts[index]?.onAbandoned?.();
  }

  /** @see Linux 7.2 sf/dev/dev.c mlx5_sf_dev_state_change_handler */
  async update({ functionId, state, sfnum }: VhcaState): Promise<void> {
    const { caps, dev } = this.#core;
    const index = functionId - caps.sfBaseId;
    if (index < 0 || index >= caps.maxNumSf) return;
    const isThere = this.at(index) !== undefined;
    if (state === active) {
      // It may have been deleted, and another one made in its place, since it was last looked at.
      if (isThere && this.#contexts[index]?.sfnum !== sfnum) await this.#delete(index);
      if (this.at(index) === undefined) await this.#add(index, functionId, sfnum);
    } else if (state === teardownRequest && !isThere) {
      dev.log('err', `SF DEV: teardown state for invalid dev index=${index} sfnum=${sfnum}`, 'sf_device');
    } else if (state === invalid || state === allocated || state === teardownRequest) {
      await this.#delete(index);
    }
  }

  async #add(index: number, functionId: number, sfnum: number): Promise<void> {
    const core = this.#core;
    const { adevIds, aux } = core.services;
    const id = adevIds.alloc();
    const data = new SfContext(core, this.#windows!, index, functionId, sfnum);
    this.#contexts[index] = data;
    const groups = [sfnumGroup(sfnum)];
    try {
      // The number is free when nobody holds the device any more; not being added is the end of it, too.
      this.#all[index] = await aux.add(core.dev, SF, { id, data, groups, release: () => adevIds.free(id) });
    } catch (error) {
      // The function itself is going.
      if (Errno.is(error, 'ENODEV')) return;
      const code = Errno.codeOf(error);
      core.dev.log('err', `SF DEV: fail device add for index=${index} sfnum=${sfnum} err=${code}`, 'sf_device');
    }
  }

  async #delete(index: number): Promise<void> {
    const dev = this.at(index);
    this.#all[index] = undefined;
    try {
      await dev?.[Symbol.asyncDispose]();
    } catch (error) {
      this.#core.dev.log('err', `SF DEV: ${dev?.name}: ${describeError(error)}`, 'sf_device');
    }
  }
}
