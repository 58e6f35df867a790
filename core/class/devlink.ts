import type { MaybePromise } from '../lib/flow.js';
import { DeviceClass } from './device-class.js';

/** How the switch of a device forwards. @see Linux 7.2 include/uapi/linux/devlink.h enum devlink_eswitch_mode */
export type EswitchMode = 'legacy' | 'switchdev';
/** What a port is. @see Linux 7.2 include/uapi/linux/devlink.h enum devlink_port_flavour */
export type PortFlavour = 'physical' | 'cpu' | 'dsa' | 'pcipf' | 'pcivf' | 'virtual' | 'unused' | 'pcisf';
/** What is wanted of the function of a port. @see Linux 7.2 include/uapi/linux/devlink.h enum devlink_port_fn_state */
export type FunctionState = 'inactive' | 'active';
/** Whether the driver of that function has it. @see Linux 7.2 include/uapi/linux/devlink.h enum devlink_port_fn_opstate */
export type FunctionOpstate = 'detached' | 'attached';
/** When a parameter takes effect: at once; when the driver starts anew; when the device does. */
export type ParamCmode = 'runtime' | 'driverinit' | 'permanent';
/** Unsigned numbers of 8, 16 and 32 bits. */
export type ParamType = 'bool' | 'u8' | 'u16' | 'u32' | 'string';
/** What a parameter can be: of its {@link ParamType}. */
export type ParamValue = boolean | number | string;
/** What a reload does: the driver starts anew, or the firmware does. @see Linux 7.2 include/uapi/linux/devlink.h enum devlink_reload_action */
export type ReloadAction = 'driver_reinit' | 'fw_activate';
/** What a reload must do without. @see Linux 7.2 include/uapi/linux/devlink.h enum devlink_reload_limit */
export type ReloadLimit = 'no_reset';

/** The function behind a port. What the device does not tell, or nobody has set, is absent. */
export interface PortFunction {
  /** `00:00:00:00:00:00`: it chooses itself. */
  readonly hwAddr?: string;
  readonly state?: FunctionState;
  readonly opstate?: FunctionOpstate;
  readonly roce?: boolean;
  readonly migratable?: boolean;
  readonly ipsecCrypto?: boolean;
  readonly ipsecPacket?: boolean;
  readonly maxIoEqs?: number;
  /** The handle of its own instance. */
  readonly nested?: string;
}

/** What a port is, and never changes. */
export interface PortAttributes {
  readonly flavour: PortFlavour;
  /** Of a physical or virtual port: its number. */
  readonly port?: number;
  readonly controller?: number;
  readonly pfnum?: number;
  readonly sfnum?: number;
  /** Whether its function is another host's; of functions alone. */
  readonly isExternal?: boolean;
}

/** A port, as it is now. */
export interface PortView extends PortAttributes {
  readonly index: number;
  readonly type: 'eth' | 'notset';
  /** The network device that stands for it. */
  readonly netdev?: string;
  readonly function?: PortFunction;
}

/** A port that a user wants. */
export interface NewPort {
  readonly flavour?: PortFlavour;
  readonly pfnum?: number;
  readonly sfnum?: number;
  /** Default 0. */
  readonly controller?: number;
  readonly index?: number;
}

/** What to change of the function of a port. */
export interface FunctionSettings {
  /** Bytes in hex, with colons. */
  readonly hwAddr?: string;
  readonly roce?: boolean;
  readonly migratable?: boolean;
  readonly ipsecCrypto?: boolean;
  readonly ipsecPacket?: boolean;
  readonly maxIoEqs?: number;
  readonly state?: FunctionState;
}

/** A parameter, as it is now: of `driverinit` what the next start takes. */
export interface ParamView {
  readonly name: string;
  readonly isGeneric: boolean;
  readonly type: ParamType;
  readonly values: readonly { readonly cmode: ParamCmode; readonly value: ParamValue }[];
}

/** How to start anew. */
export interface ReloadOptions {
  /** Default `driver_reinit`. */
  readonly action?: ReloadAction;
  readonly limits?: readonly ReloadLimit[];
}

/** What a device has a number of. */
export interface ResourceView {
  readonly name: string;
  readonly size: number;
  /** How many are in use, where that is told. */
  readonly occupied?: number;
}

/** How a part of a device is. */
export interface ReporterView {
  readonly name: string;
  readonly state: 'healthy' | 'error';
  readonly errors: number;
  readonly recoveries: number;
  /** Of one that can be recovered: whether that is tried at once, and how long it must have been well before. */
  readonly autoRecover?: boolean;
  readonly gracePeriodMs?: number;
}

/** What to change of how a part is recovered. */
export interface ReporterSettings {
  /** Whether it is tried at once. */
  readonly autoRecover?: boolean;
  /** How long it must have been well before: an integer, 0 or more. */
  readonly gracePeriodMs?: number;
}

/** What a device says of itself. */
export interface DevlinkInfo {
  /** Its name. */
  readonly driver: string;
  readonly serialNumber?: string;
  /** By kind of firmware, `fw` say: what never changes, what runs, and what waits to run. */
  readonly versions?: {
    readonly fixed?: Readonly<Record<string, string>>;
    readonly running?: Readonly<Record<string, string>>;
    readonly stored?: Readonly<Record<string, string>>;
  };
}

/**
 * What is set up on a device as a whole, whatever network devices it has: its ports, its switch, its parameters, its start.
 *
 * Operations on one device run one after the other, and none while it is bound or unbound. Texts of errors are those that Linux
 * gives with its error codes.
 * @see Linux 7.2 Documentation/networking/devlink/index.rst
 */
export interface Devlink {
  /** Who drives it, and what firmware it has. @throws as the driver */
  info(): MaybePromise<DevlinkInfo>;
  /** Whether it has not come up again. */
  isReloadFailed(): boolean;

  /** How its switch goes. @throws {Errno} EOPNOTSUPP without a switch */
  eswitchMode(): EswitchMode;
  /** Has its switch go otherwise; what goes by the old mode is gone. @throws {Errno} EOPNOTSUPP without a switch; EINVAL for another word; what the driver throws */
  setEswitchMode(mode: EswitchMode): MaybePromise<void>;

  /** By index, ascending. */
  ports(): readonly PortView[];
  /** One of them. @throws {Errno} ENODEV when there is none */
  port(index: number): PortView;
  /** Makes a port, with a function that is inactive. @returns the new port @throws {Errno} EOPNOTSUPP, EINVAL, EEXIST, ENOSPC as the driver finds */
  addPort(wanted: NewPort): MaybePromise<PortView>;
  /** Deletes a port, with its function. @throws {Errno} ENODEV when there is none; EOPNOTSUPP for one that stays */
  deletePort(index: number): MaybePromise<void>;
  /**
   * Changes the function of a port: address, capabilities, event queues, then its state. What the port cannot do is found before
   * anything is changed; after another error, what came before it stays changed.
   * @throws {Errno} ENODEV when there is no such port; EOPNOTSUPP, EINVAL, and what the driver throws
   */
  setPortFunction(index: number, settings: FunctionSettings): MaybePromise<void>;

  /** What can be set, with its values. */
  params(): readonly ParamView[];
  /**
   * Sets a parameter: at once for `runtime`; at the next {@link reload} for `driverinit`.
   * @throws {Errno} EINVAL for an unknown one, a value of another type or that the driver refuses, and without `cmode`; EOPNOTSUPP for
   *   a `cmode` that it does not have
   */
  setParam(name: string, value: ParamValue, cmode?: ParamCmode): MaybePromise<void>;
  /**
   * Has the driver start anew; with the parameters that were set by `driver_reinit`.
   * @returns what was done, when an action or a limit was named
   * @throws {Errno} EOPNOTSUPP, EINVAL for what cannot be asked for; what the driver throws: when that was in coming up, the device is
   *   down, and {@link isReloadFailed}
   */
  reload(options?: ReloadOptions): MaybePromise<readonly ReloadAction[] | undefined>;

  /** What it has a limited number of. */
  resources(): readonly ResourceView[];

  /** Parts that may fail, and how they are. */
  reporters(): readonly ReporterView[];
  /**
   * Changes how a part is recovered that fails from now on.
   * @throws {Errno} EINVAL for an unknown one, and what is no time; EOPNOTSUPP for one that cannot be recovered
   */
  setReporter(reporter: string, settings: ReporterSettings): MaybePromise<void>;
  /** Recovers a part that has failed; one that is well stays so. @throws {Errno} EINVAL for an unknown one; EOPNOTSUPP; as the driver */
  recover(reporter: string): MaybePromise<void>;
}

/** The devices of a system that can be set up, by bus and name: `pci/0000:06:00.0`. Drivers publish a {@link DevlinkNode}. */
export const Devlinks = new DeviceClass<Devlink>('devlink', {
  methods: [
    'info',
    'isReloadFailed',
    'eswitchMode',
    'setEswitchMode',
    'ports',
    'port',
    'addPort',
    'deletePort',
    'setPortFunction',
    'params',
    'setParam',
    'reload',
    'resources',
    'reporters',
    'setReporter',
    'recover',
  ],
});
