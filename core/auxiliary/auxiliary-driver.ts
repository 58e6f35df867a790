import type { Driver } from '../device/index.js';
import type { MaybePromise } from '../lib/flow.js';
import { type Token, token } from '../lib/token.js';
import type { AuxName } from './aux-name.js';
import type { AuxiliaryDevice } from './auxiliary-device.js';

/**
 * A driver of auxiliary devices; `AuxiliaryDriver` is also the token that a plugin binds it to.
 * @typeParam T type of the devices' `data`; @typeParam S what probe returns
 * @see Linux 6.12 include/linux/auxiliary_bus.h struct auxiliary_driver
 */
export interface AuxiliaryDriver<T = unknown, S = unknown> extends Driver<AuxiliaryDevice<T>, S> {
  /** The names it is for; the first that matches is handed to probe. */
  readonly ids: readonly AuxName<T>[];
  /** Makes the device work. Throws to refuse: `ENODEV` for "not mine", `defer(reason)` for "later". */
  probe(dev: AuxiliaryDevice<T>, id: AuxName<T>): MaybePromise<S>;
}

export const AuxiliaryDriver: Token<AuxiliaryDriver> = token<AuxiliaryDriver>('AuxiliaryDriver');
