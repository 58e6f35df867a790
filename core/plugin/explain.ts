import type { Device, DeviceCore, Driver } from '../device/index.js';
import { Errno, describeError } from '../lib/errno.js';

/**
 * What became of a driver for a device: `bound`; `matches` (it is for the device and has not bound: `text` says what its probe
 * said); `differs` (it is for others); `overridden` (`driver_override` names another); `undecided` (the match is deferred or
 * failed).
 */
export type Verdict = 'bound' | 'matches' | 'differs' | 'overridden' | 'undecided';

/** One driver's part in an {@link Explanation}. */
export interface DriverVerdict {
  readonly driver: string;
  readonly verdict: Verdict;
  readonly text: string;
}

/** Why a device has the driver it has, or none. */
export class Explanation {
  constructor(
    readonly device: string,
    readonly state: 'bound' | 'deferred' | 'unbound' | 'gone',
    /** Of the state: the driver, the reason of the deferral, or why there is none. */
    readonly text: string,
    /** Every driver of its bus, in the order they are asked. */
    readonly drivers: readonly DriverVerdict[],
  ) {}

  toString(): string {
    const lines = this.drivers.map(({ driver, text }) => `  ${driver}: ${text}\n`);
    return `${this.device}: ${this.state}${this.text === '' ? '' : `: ${this.text}`}\n${lines.join('')}`;
  }
}

/** @internal */
export function explain(core: DeviceCore, dev: Device): Explanation {
  const drivers = (dev.bus?.drivers ?? []).map((driver) => judge(core, dev, driver));
  const [state, text] = stateOf(core, dev, drivers);
  return new Explanation(dev.name, state, text, drivers);
}

function stateOf(core: DeviceCore, dev: Device, drivers: readonly DriverVerdict[]): [Explanation['state'], string] {
  if (!dev.registered || dev.dead) return ['gone', 'it is not in the tree'];
  if (dev.bound) return ['bound', `to driver ${dev.driver!.name}`];
  const deferred = core.deferred.report().find(({ device }) => device === dev);
  if (deferred !== undefined) return ['deferred', deferred.reason || 'no reason given'];
  if (dev.bus === undefined) return ['unbound', 'it is on no bus'];
  if (dev.driver !== undefined) return ['unbound', `its probe by driver ${dev.driver.name} is under way`];
  if (dev.hung > 0) return ['unbound', 'a callback that was given up has not ended: until it does, no driver is asked'];
  if (drivers.length === 0) return ['unbound', `bus ${dev.bus.name} has no driver: load a plugin that brings one`];
  if (core.probingBlocked) return ['unbound', 'probing is blocked'];
  if (drivers.some((d) => d.verdict === 'matches')) return ['unbound', 'a driver matches and is not bound'];
  return ['unbound', `no driver of bus ${dev.bus.name} matches`];
}

function judge(core: DeviceCore, dev: Device, driver: Driver): DriverVerdict {
  const { name } = driver;
  if (dev.bound && dev.driver === driver) return { driver: name, verdict: 'bound', text: 'is bound' };
  const { ops } = dev.bus!;
  const override = ops.driverOverride === true ? dev.driverOverride : undefined;
  if (override !== undefined && override !== name) {
    return { driver: name, verdict: 'overridden', text: `driver_override names ${override}` };
  }
  let isMatch = override === name;
  try {
    isMatch ||= ops.match === undefined || Boolean(ops.match(dev, driver));
  } catch (error) {
    const text = Errno.is(error, 'EPROBE_DEFER') ? `match is deferred: ${error.text}` : `match failed: ${describeError(error)}`;
    return { driver: name, verdict: 'undecided', text };
  }
  const detail = ops.explain?.(dev, driver);
  if (isMatch && dev.driver === driver) return { driver: name, verdict: 'matches', text: 'matches, and is being probed' };
  if (!isMatch) return { driver: name, verdict: 'differs', text: `does not match${detail === undefined ? '' : `: ${detail}`}` };
  return { driver: name, verdict: 'matches', text: lastProbe(core, dev, name) ?? whyNotProbed(dev) };
}

function whyNotProbed({ driver, bound }: Device): string {
  if (driver === undefined) return 'matches, and is not bound: bind it';
  return `matches, but ${driver.name} is ${bound ? 'bound' : 'being probed'}`;
}

/** What the log still knows of the last probe of a driver that did not succeed. */
function lastProbe(core: DeviceCore, dev: Device, driver: string): string | undefined {
  const record = core.log
    .records()
    .findLast((r) => r.who === dev.name && (r.id?.startsWith('probe_') ?? false) && r.text.includes(`driver ${driver} `));
  return record === undefined ? undefined : `matches; at ${record.timeUs} us: ${record.text}`;
}
