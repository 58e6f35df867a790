import { type AttributeGroup, Bus, type BusDriver, Device, type MaybePromise } from '../../core/index.js';
import type { Idxd } from './idxd.js';

/** The name of the bus, for drivers that join it. */
export const DSA_BUS = 'dsa';

/** What a device on the bus is: the accelerator as a whole, or a part of it. */
export type DsaKind = 'dsa' | 'wq' | 'engine' | 'group';

const nothing = (): void => {};

/** A device on bus `dsa`: `dsa0`, `wq0.0`, `engine0.0`, `group0.0`. @see Linux 6.12 drivers/dma/idxd/idxd.h struct idxd_dev */
export class DsaDevice extends Device {
  /** @internal */
  constructor(
    readonly idxd: Idxd,
    readonly kind: DsaKind,
    name: string,
    parent: Device,
    groups: readonly AttributeGroup<never>[],
  ) {
    super({ name, parent, bus: idxd.bus, groups, release: nothing });
  }
}

/**
 * A driver of accelerators or of their work queues; a plugin binds it to `BusDriver`.
 *
 * It is offered every device of its kinds as that is added. For a queue it throws ENXIO while the device is not enabled, and ENODEV when
 * `driverName` is another's.
 * @see Linux 6.12 drivers/dma/idxd/idxd.h struct idxd_device_driver
 */
export interface IdxdSubDriver<D extends DsaDevice = DsaDevice, S = unknown> extends BusDriver<D, S> {
  readonly bus: typeof DSA_BUS;
  /** The kinds of devices that it is for. */
  readonly types: readonly DsaKind[];
  probe(dev: D): MaybePromise<S>;
}

/** The bus of accelerators and their parts: a driver matches by kind. @see Linux 6.12 drivers/dma/idxd/bus.c */
export class DsaBus extends Bus<DsaDevice, IdxdSubDriver> {
  constructor() {
    super(DSA_BUS, {
      match: (dev, driver) => driver.types.includes(dev.kind),
      modalias: () => 'idxd:t0',
      explain: (dev, driver) =>
        `a ${dev.kind} is ${driver.types.includes(dev.kind) ? 'one' : 'none'} of ${driver.types.join(', ')}`,
    });
  }
}
