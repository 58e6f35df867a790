import type { AuxiliaryBus, Device, Dma, IdAllocator, Ims, Irqs, MaybePromise, PciDevice } from '../../core/index.js';
import type { Mlx5Options } from './api.js';
import type { WantedParts } from './children.js';
import type { FunctionWindow } from './function-window.js';
import type { Mlx5Core } from './mlx5-core.js';

/** What functions need of the system; the same for all of them. */
export interface Mlx5Services {
  readonly dma: Dma;
  readonly irqs: Irqs;
  readonly ims: Ims;
  readonly aux: AuxiliaryBus;
  /** Hands out `adevIdx`, to sub-functions too. */
  readonly adevIds: IdAllocator;
}

/** What a sub-function is, besides a function. */
export interface SfIdentity {
  /** Whose vectors it has, and who is on the bus for it. */
  readonly parent: Mlx5Core;
  /** Its number in hardware; also that of its port. */
  readonly functionId: number;
  readonly sfnum: number;
}

/** Which function it is. */
export interface Mlx5CoreOptions {
  /** In whose ledger everything is: the PCI device, or the auxiliary device of a sub-function. */
  readonly dev: Device;
  /** The PCI device, that of the parent for a sub-function. */
  readonly pci: PciDevice;
  readonly window: FunctionWindow;
  readonly adevIdx: number;
  readonly services: Mlx5Services;
  readonly options?: Mlx5Options;
  readonly sf?: SfIdentity;
}

/** A step of coming up, after event queues and before the parts are there; undone in the other order. */
export interface Stage {
  /** In the ledger. */
  readonly name: string;
  /** Undoes itself what it has done when it fails. */
  load(core: Mlx5Core): MaybePromise<void>;
  unload(core: Mlx5Core): MaybePromise<void>;
}

/** What its user may change while it is down. */
export interface Mlx5Params extends WantedParts {
  eventEqSize: number;
  ioEqSize: number;
  enableRoce: boolean;
  /** Unicast addresses beside its own that the port of the function may have; undefined: as many as the device allows. */
  maxMacs: number | undefined;
  /** Pages of doorbells that the channels of its network device share; 0: that of the function itself. */
  numDoorbells: number;
}
