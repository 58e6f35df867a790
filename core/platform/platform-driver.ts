import type { Driver } from '../device/index.js';
import type { MaybePromise } from '../lib/flow.js';
import { type Token, token } from '../lib/token.js';
import type { PlatformDevice } from './platform-device.js';

/** One entry of a platform driver's id table. */
export interface PlatformId<T = unknown> {
  /** The device's name without its id. */
  readonly name: string;
  /** For the driver. */
  readonly data?: T;
}

/**
 * A driver of platform devices; `PlatformDriver` is also the token that a plugin binds it to.
 *
 * It matches by its `ids`, or, when it has none, by its own name.
 * @typeParam S what probe returns
 * @see Linux 6.12 include/linux/platform_device.h struct platform_driver
 */
export interface PlatformDriver<S = unknown> extends Driver<PlatformDevice, S> {
  readonly ids?: readonly PlatformId[];
  /**
   * Makes the device work. Throws to refuse: `ENODEV` or `ENXIO` for "not mine", `defer(reason)` for "later".
   * @param id the entry of `ids` that matched; true when the name did
   */
  probe?(dev: PlatformDevice, id: PlatformId | true): MaybePromise<S>;
}

export const PlatformDriver: Token<PlatformDriver> = token<PlatformDriver>('PlatformDriver');
