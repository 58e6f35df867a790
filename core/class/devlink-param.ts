import { Errno } from '../lib/errno.js';
import { type Flow, type MaybePromise, settle } from '../lib/flow.js';
import type { ParamCmode, ParamType, ParamValue, ParamView } from './devlink.js';

/** A parameter, as its driver has it. @see Linux 7.2 include/net/devlink.h struct devlink_param */
export interface DevlinkParam {
  readonly name: string;
  readonly type: ParamType;
  /** Whether other drivers have it too, with the same meaning; default true. */
  readonly isGeneric?: boolean;
  readonly cmodes: readonly ParamCmode[];
  /** Of `driverinit`: what holds until it is set; required for it. */
  readonly initial?: ParamValue;
  /** Of other modes: its value. */
  get?(): ParamValue;
  /** Of other modes. */
  set?(value: ParamValue, cmode: ParamCmode): MaybePromise<void>;
  /** Throws to refuse a value of the right type. */
  validate?(value: ParamValue): void;
}

const MOST: Readonly<Record<string, number>> = { u8: 0xff, u16: 0xffff, u32: 0xffff_ffff };

function isOfType(value: ParamValue, type: ParamType): boolean {
  if (type === 'bool') return typeof value === 'boolean';
  if (type === 'string') return typeof value === 'string';
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MOST[type]!;
}

/** A parameter and its values. @see Linux 7.2 net/devlink/param.c struct devlink_param_item */
export class ParamItem {
  readonly param: DevlinkParam;
  /** Of `driverinit`: what holds now, and what will from the next start on. */
  #current: ParamValue | undefined;
  #next: ParamValue | undefined = undefined;

  /** @throws {Errno} EINVAL when something is missing that its modes need */
  constructor(who: string, param: DevlinkParam) {
    this.param = param;
    this.#current = param.initial;
    const isStored = param.cmodes.includes('driverinit');
    const isDirect = param.cmodes.some((cmode) => cmode !== 'driverinit');
    if (isStored && param.initial === undefined)
      throw new Errno('EINVAL', `${who}: parameter ${param.name}: has no initial value`);
    if (isDirect && (param.get === undefined || param.set === undefined)) {
      throw new Errno('EINVAL', `${who}: parameter ${param.name}: has no get or no set`);
    }
  }

  /** Of `driverinit`: what holds. */
  get current(): ParamValue {
    return this.#current!;
  }

  /** What was set for the next start holds from now on. */
  loadNext(): void {
    this.#current = this.#next ?? this.#current;
    this.#next = undefined;
  }

  /** @see Linux 7.2 net/devlink/param.c __devlink_nl_cmd_param_set_doit */
  *set(who: string, value: ParamValue, cmode: ParamCmode | undefined): Flow<void> {
    const { param } = this;
    const { name, type, cmodes } = param;
    if (!isOfType(value, type)) {
      throw new Errno('EINVAL', `${who}: parameter ${name}: ${JSON.stringify(value)} is not of type ${type}`);
    }
    param.validate?.(value);
    if (cmode === undefined)
      throw new Errno('EINVAL', `${who}: parameter ${name}: has no cmode: name one of ${cmodes.join(', ')}`);
    if (!cmodes.includes(cmode)) {
      throw new Errno('EOPNOTSUPP', `${who}: parameter ${name}: has no cmode ${cmode}, but ${cmodes.join(', ')}`);
    }
    if (cmode === 'driverinit') this.#next = value;
    else yield* settle(param.set!(value, cmode));
  }

  view(): ParamView {
    const { name, type, cmodes, isGeneric = true } = this.param;
    const values = cmodes.map((cmode) => {
      return { cmode, value: cmode === 'driverinit' ? (this.#next ?? this.#current!) : this.param.get!() };
    });
    return { name, type, isGeneric, values };
  }
}
