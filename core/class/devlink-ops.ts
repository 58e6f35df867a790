import { Errno } from '../lib/errno.js';
import type { MaybePromise } from '../lib/flow.js';
import type { DevlinkInfo, EswitchMode, NewPort, ReloadAction, ReloadLimit, ReloadOptions } from './devlink.js';
import type { DevlinkPort } from './devlink-port.js';

/** How a driver starts anew. @see Linux 7.2 include/net/devlink.h struct devlink_ops */
export interface DevlinkReload {
  readonly actions: readonly ReloadAction[];
  /** Default none. */
  readonly limits?: readonly ReloadLimit[];
  /** Goes down, as at unbind; when it throws, it is up. */
  down(action: ReloadAction, limit: ReloadLimit | undefined): MaybePromise<void>;
  /** Comes up, with the parameters as they are now: those that were set, after `driver_reinit`. @returns what was done */
  up(action: ReloadAction, limit: ReloadLimit | undefined): MaybePromise<readonly ReloadAction[]>;
}

/** What a driver does for its instance; what is absent, the device cannot do. @see Linux 7.2 include/net/devlink.h struct devlink_ops */
export interface DevlinkOps {
  info?(): MaybePromise<Omit<DevlinkInfo, 'driver'>>;
  readonly eswitch?: {
    mode(): EswitchMode;
    setMode(mode: EswitchMode): MaybePromise<void>;
  };
  /** Makes a port that a user wants, and registers it. `flavour` and `pfnum` are there. */
  addPort?(wanted: NewPort & Required<Pick<NewPort, 'flavour' | 'pfnum'>>): MaybePromise<DevlinkPort>;
  readonly reload?: DevlinkReload;
}

/** What a device has a number of, as its driver tells. */
export interface DevlinkResource {
  readonly name: string;
  readonly size: number;
  occupied?(): number;
}

/** Actions that a limit makes impossible. @see Linux 7.2 net/devlink/dev.c devlink_reload_invalid_combinations */
const IMPOSSIBLE = { action: 'driver_reinit', limit: 'no_reset' };

/**
 * What is asked for, of what the driver can do.
 * @throws {Errno} EOPNOTSUPP, EINVAL when it cannot, in the order and with the words of Linux
 * @see Linux 7.2 net/devlink/dev.c devlink_nl_reload_doit
 * @internal
 */
export function checkReload(
  reload: DevlinkReload,
  { action = 'driver_reinit', limits }: ReloadOptions,
): { readonly action: ReloadAction; readonly limit: ReloadLimit | undefined } {
  if (!reload.actions.includes(action)) {
    throw new Errno('EOPNOTSUPP', 'Requested reload action is not supported by the driver');
  }
  return { action, limit: limits === undefined ? undefined : limitOf(limits, action, reload) };
}

function limitOf(limits: readonly ReloadLimit[], action: ReloadAction, reload: DevlinkReload): ReloadLimit {
  const [limit] = limits;
  if (limit === undefined) throw new Errno('EINVAL', 'Invalid limit selected');
  if (limits.some((other) => other !== limit)) throw new Errno('EOPNOTSUPP', 'Multiselection of limit is not supported');
  if (reload.limits?.includes(limit) !== true) throw new Errno('EOPNOTSUPP', 'Requested limit is not supported by the driver');
  if (action === IMPOSSIBLE.action && limit === IMPOSSIBLE.limit) {
    throw new Errno('EINVAL', 'Requested limit is invalid for this action');
  }
  return limit;
}
