import type { AuxName, AuxiliaryBus, AuxiliaryDevice, Device, MaybePromise } from '../../core/index.js';
import { ETH, ETH_REP, type Mlx5Caps, type Mlx5Child, RDMA, VNET } from './api.js';

/** Which parts the user of a function wants. */
export interface WantedParts {
  enableEth: boolean;
  enableRdma: boolean;
  enableVnet: boolean;
}

/** What decides which parts a function has. */
export interface PartConditions {
  readonly caps: Mlx5Caps;
  /** RDMA over Ethernet may be had, be it wanted or not. */
  readonly canRoce: boolean;
  readonly isSf: boolean;
  /** Its switch goes by rules. */
  readonly isSwitchdev: boolean;
  readonly wanted: Readonly<WantedParts>;
}

interface PartKind {
  readonly name: AuxName<Mlx5Child>;
  readonly isThere: (conditions: PartConditions) => boolean;
}

/** In the order of their creation. @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/dev.c mlx5_adev_devices */
const KINDS: readonly PartKind[] = [
  { name: ETH, isThere: ({ caps, wanted }) => caps.ethernet === 1 && wanted.enableEth },
  { name: ETH_REP, isThere: ({ caps, wanted, isSwitchdev }) => caps.ethernet === 1 && wanted.enableEth && isSwitchdev },
  { name: RDMA, isThere: ({ canRoce, wanted }) => canRoce && wanted.enableRdma },
  { name: VNET, isThere: ({ caps, wanted, isSf }) => caps.virtioNetQ === 1 && isSf && wanted.enableVnet },
];

/**
 * The parts of a function, each an auxiliary device for a driver of its own: made in one order, deleted in the other, all of them or none.
 * That a part has no driver, or that its driver refuses it, is no error.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/dev.c mlx5_rescan_drivers_locked
 */
export class Children {
  readonly #bus: AuxiliaryBus;
  readonly #dev: Device;
  /** By their places in {@link KINDS}. */
  readonly #parts: (AuxiliaryDevice | undefined)[] = KINDS.map(() => undefined);

  constructor(bus: AuxiliaryBus, dev: Device) {
    this.#bus = bus;
    this.#dev = dev;
  }

  /** In the order of their creation. */
  get list(): readonly AuxiliaryDevice[] {
    return this.#parts.filter((part) => part !== undefined).filter(({ registered }) => registered);
  }

  /**
   * Deletes parts that are not to be there, and makes those that are; waits for their drivers.
   * @throws what the last one threw that could not be made, and there is none then
   */
  async rescan(core: Mlx5Child, conditions: PartConditions): Promise<void> {
    await this.#delete(({ isThere }) => !isThere(conditions));
    let failure: { readonly error: unknown } | undefined;
    for (const [index, kind] of KINDS.entries()) {
      if (this.#parts[index]?.registered === true || !kind.isThere(conditions)) continue;
      try {
        this.#parts[index] = await this.#add(kind, core);
      } catch (error) {
        failure = { error };
      }
    }
    if (failure === undefined) return;
    await this.deleteAll();
    throw failure.error;
  }

  /** Deletes them, last first, and waits for their drivers. @throws what the first of them threw that failed, when all are gone */
  deleteAll(): Promise<void> {
    return this.#delete(() => true);
  }

  async #delete(isUnwanted: (kind: PartKind) => boolean): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    for (let index = KINDS.length - 1; index >= 0; index--) {
      if (!isUnwanted(KINDS[index]!)) continue;
      const part = this.#parts[index];
      this.#parts[index] = undefined;
      try {
        await part?.[Symbol.asyncDispose]();
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure !== undefined) throw failure.error;
  }

  #add({ name }: PartKind, core: Mlx5Child): MaybePromise<AuxiliaryDevice> {
    return this.#bus.add(this.#dev, name, { id: core.adevIdx, data: core });
  }
}
