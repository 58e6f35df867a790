import { Errno, describeError } from '../lib/errno.js';
import type { DeviceCore } from './core.js';
import type { Device } from './device.js';

/** What happened to the subject of an event. */
export const UEVENT_ACTIONS = ['add', 'remove', 'change', 'move', 'online', 'offline', 'bind', 'unbind'] as const;
/** One of {@link UEVENT_ACTIONS}. */
export type UeventAction = (typeof UEVENT_ACTIONS)[number];

/** An event as user space sees it; `env` keeps the order of the variables. */
export interface Uevent {
  readonly action: UeventAction;
  readonly devpath: string;
  readonly subsystem: string;
  readonly seqnum: number;
  readonly env: ReadonlyMap<string, string>;
  /** The device, when it is one. */
  readonly device: Device | undefined;
}

const MAX_VARIABLES = 64;
const MAX_BYTES = 2048;

/** The variables of a device's own: bus, class and type have their say in this order. */
export function deviceVariables(dev: Device, env: Map<string, string>): void {
  if (dev.type !== undefined) env.set('DEVTYPE', dev.type.name);
  if (dev.driver !== undefined) env.set('DRIVER', dev.driver.name);
  const ops = dev.bus?.ops;
  if (ops?.modalias !== undefined) env.set('MODALIAS', ops.modalias(dev));
  ops?.uevent?.(dev, env);
  dev.class?.options.uevent?.(dev, env);
  dev.type?.uevent?.(dev, env);
}

/** What reading the `uevent` attribute shows: the variables an event would carry. No event is sent. */
export function ueventText(dev: Device): string {
  const env = new Map<string, string>();
  try {
    deviceVariables(dev, env);
  } catch {
    return '';
  }
  return [...env].map(([key, value]) => `${key}=${value}\n`).join('');
}

/**
 * Sends an event for a device: to the bus's, class's and type's `uevent`, then to those who listen.
 *
 * A device with neither bus nor class sends none. A callback that throws drops the event, not the operation.
 * @see Linux 6.12 lib/kobject_uevent.c kobject_uevent_env, drivers/base/core.c dev_uevent
 */
export function sendUevent(core: DeviceCore, dev: Device, action: UeventAction, extra?: ReadonlyMap<string, string>): void {
  const subsystem = dev.bus?.name ?? dev.class?.name;
  if (subsystem === undefined || dev.ueventSuppress) return;
  const seqnum = ++core.ueventSeq;
  const quiet = !core.uevents.active && core.tracer === undefined;
  if (quiet && dev.bus?.ops.uevent === undefined && dev.class?.options.uevent === undefined && dev.type?.uevent === undefined)
    return;
  const env = new Map<string, string>([
    ['ACTION', action],
    ['DEVPATH', dev.path],
    ['SUBSYSTEM', subsystem],
  ]);
  if (extra !== undefined) for (const [key, value] of extra) env.set(key, value);
  try {
    deviceVariables(dev, env);
    if (action === 'unbind') env.delete('MODALIAS');
    env.set('SEQNUM', String(seqnum));
    checkSize(dev, env);
  } catch (error) {
    dev.log('debug', `uevent ${action} dropped: ${describeError(error)}`, 'uevent_dropped');
    return;
  }
  core.tracer?.({ kind: 'uevent', who: dev.name, detail: action });
  emit(core, { action, devpath: dev.path, subsystem, seqnum, env, device: dev });
}

function emit(core: DeviceCore, event: Uevent): void {
  if (!core.uevents.active) return;
  core.guard(event.device, `listener of event ${event.action} of ${event.devpath}`, () => core.uevents.emit(event));
}

/** Sends an event for a driver, bus or class object. */
export function sendObjectUevent(
  core: DeviceCore,
  devpath: string,
  subsystem: string,
  action: UeventAction,
  extra?: ReadonlyMap<string, string>,
): void {
  const seqnum = ++core.ueventSeq;
  if (!core.uevents.active) return;
  const env = new Map<string, string>([
    ['ACTION', action],
    ['DEVPATH', devpath],
    ['SUBSYSTEM', subsystem],
    ...(extra ?? []),
    ['SEQNUM', String(seqnum)],
  ]);
  emit(core, { action, devpath, subsystem, seqnum, env, device: undefined });
}

/**
 * Reads what is written to a `uevent` attribute: `ACTION`, or `ACTION UUID [KEY=VALUE]...`.
 * @throws {Errno} EINVAL when it is neither
 * @see Linux 6.12 lib/kobject_uevent.c kobject_synth_uevent, kobject_action_args
 */
export function parseSynthetic(who: string, text: string): { action: UeventAction; extra: Map<string, string> } {
  const bad = (): Errno => new Errno('EINVAL', `${who}: uevent ${JSON.stringify(text)}: not ACTION [UUID [KEY=VALUE]...]`);
  const [word = '', uuid, ...args] = text.replace(/\n$/, '').split(' ');
  const action = UEVENT_ACTIONS.find((a) => a === word);
  if (action === undefined) throw bad();
  const extra = new Map<string, string>();
  if (uuid === undefined) {
    extra.set('SYNTH_UUID', '0');
    return { action, extra };
  }
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(uuid)) throw bad();
  extra.set('SYNTH_UUID', uuid);
  for (const arg of args) {
    const m = /^([A-Za-z0-9]+)=([A-Za-z0-9]+)$/.exec(arg);
    if (m === null) throw bad();
    extra.set(`SYNTH_ARG_${m[1]!}`, m[2]!);
  }
  return { action, extra };
}

function checkSize(dev: Device, env: ReadonlyMap<string, string>): void {
  let bytes = 0;
  for (const [key, value] of env) bytes += key.length + value.length + 2;
  if (env.size > MAX_VARIABLES || bytes > MAX_BYTES) {
    throw new Errno(
      'ENOMEM',
      `${dev.name}: event of ${env.size} variables and ${bytes} bytes, at most ${MAX_VARIABLES} and ${MAX_BYTES}`,
    );
  }
}
