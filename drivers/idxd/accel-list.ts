import { type DeviceCore, Errno } from '../../core/index.js';
import { numberOf, textOf } from './accel-rules.js';
import { DSA_BUS, DsaBus, type DsaDevice, type DsaKind } from './dsa-bus.js';
import type { Idxd } from './idxd.js';

/** An object of a configuration: `dev` is its name, lists are of its parts, and all else are attributes. */
export interface AccelJson {
  readonly dev: string;
  [key: string]: string | number | AccelJson[];
}

/** An attribute as a list has it. */
interface Column {
  readonly key: string;
  /** Default the key. */
  readonly attribute?: string;
  readonly isText?: boolean;
  /** Of a list alone: it cannot be configured. */
  readonly isTold?: boolean;
  /** A text that is left out. */
  readonly without?: RegExp;
}

const TOLD = { isTold: true };
const TEXT = { isText: true };
/** What is in no group, and what is left to the device. */
const NOT_NONE = { without: /^-1$/ };
const GROUP_ID: Column = { key: 'group_id', ...NOT_NONE };

/** In the order of accel-config. @see accel-config 4.1 util/json.c */
const COLUMNS: Readonly<Record<DsaKind, readonly Column[]>> = {
  dsa: [
    { key: 'read_buffer_limit' },
    { key: 'event_log_size' },
    { key: 'max_groups', ...TOLD },
    { key: 'max_work_queues', ...TOLD },
    { key: 'max_engines', ...TOLD },
    { key: 'work_queue_size', attribute: 'max_work_queues_size', ...TOLD },
    { key: 'numa_node', ...TOLD },
    { key: 'errors', ...TEXT, ...TOLD, without: /^[0x,\s]*$/ },
    { key: 'op_cap', ...TEXT, ...TOLD },
    { key: 'gen_cap', ...TEXT, ...TOLD },
    { key: 'version', ...TEXT, ...TOLD },
    { key: 'state', ...TEXT, ...TOLD },
    { key: 'max_read_buffers', ...TOLD },
    { key: 'max_batch_size', ...TOLD },
    { key: 'max_transfer_size', ...TOLD },
    { key: 'configurable', ...TOLD },
    { key: 'pasid_enabled', ...TOLD, without: /^0$/ },
    { key: 'cdev_major', ...TOLD },
    { key: 'clients', ...TOLD },
  ],
  group: [
    { key: 'read_buffers_reserved' },
    { key: 'use_read_buffer_limit' },
    { key: 'read_buffers_allowed' },
    { key: 'traffic_class_a', ...NOT_NONE },
    { key: 'traffic_class_b', ...NOT_NONE },
    { key: 'desc_progress_limit' },
    { key: 'batch_progress_limit' },
  ],
  wq: [
    { key: 'mode', ...TEXT },
    { key: 'size' },
    GROUP_ID,
    { key: 'priority' },
    { key: 'block_on_fault' },
    { key: 'max_batch_size' },
    { key: 'max_transfer_size' },
    { key: 'cdev_minor', ...TOLD },
    { key: 'type', ...TEXT },
    { key: 'name', ...TEXT },
    { key: 'driver_name', ...TEXT },
    { key: 'threshold' },
    { key: 'prs_disable' },
    { key: 'ats_disable' },
    { key: 'op_config', ...TEXT },
    { key: 'state', ...TEXT, ...TOLD },
    { key: 'clients', ...TOLD },
  ],
  engine: [GROUP_ID],
};

/** What other versions of the tool, and of the driver, tell of accelerators. */
const TOLD_ELSEWHERE = ['iaa_cap', 'ims_size', 'max_tokens', 'mdevs'];

/** Whether it is something that a list tells, and nobody can configure. */
export function isTold(kind: DsaKind, key: string): boolean {
  const column = COLUMNS[kind].find((one) => one.key === key);
  return column === undefined ? kind === 'dsa' && TOLD_ELSEWHERE.includes(key) : column.isTold === true;
}

/** A system that has accelerators, or may have. */
export interface Accelerated {
  readonly core: DeviceCore;
}

/** @throws {Errno} ENODEV when the plugin is not loaded */
export function busOf({ core }: Accelerated): DsaBus {
  const bus = core.buses.get(DSA_BUS);
  if (bus instanceof DsaBus) return bus;
  throw new Errno('ENODEV', `the system has no bus ${DSA_BUS}: load plugin idxd`);
}

/** The configuration of the accelerators that have one, whether they are enabled or not; `readConfig` reads it. */
export function saveConfig(system: Accelerated): AccelJson[] {
  return accelerators(system)
    .filter(({ wqs, engines }) => [...wqs, ...engines].some(isConfigured))
    .map((idxd) => deviceJson(idxd, isConfigured, false));
}

/** What is enabled, with all that its attributes tell; with `idle` the rest, too. */
export function listConfig(system: Accelerated, idle: boolean): AccelJson[] {
  const isShown = (dev: DsaDevice): boolean => idle || textOf(dev, 'state') === 'enabled';
  return accelerators(system)
    .filter(({ conf }) => isShown(conf))
    .map((idxd) => deviceJson(idxd, isShown, true));
}

/** @param isShown whether a work queue is in it */
function deviceJson({ conf, wqs, engines, groups }: Idxd, isShown: (wq: DsaDevice) => boolean, isList: boolean): AccelJson {
  const shown = wqs.filter(isShown);
  const of = (parts: readonly DsaDevice[], group: number): AccelJson[] =>
    parts.filter((dev) => numberOf(dev, 'group_id') === group).map((dev) => attributesOf(dev, isList));
  return {
    ...attributesOf(conf, isList),
    groups: groups.map((group) => ({
      ...attributesOf(group, isList),
      ...withoutEmpty({ grouped_workqueues: of(shown, group.index), grouped_engines: of(engines, group.index) }),
    })),
    ...withoutEmpty({ ungrouped_workqueues: of(shown, -1), ungrouped_engines: of(engines, -1) }),
  };
}

function attributesOf(dev: DsaDevice, isList: boolean): AccelJson {
  const json: AccelJson = { dev: dev.name };
  for (const { key, attribute = key, isText = false, isTold: isExtra = false, without } of COLUMNS[dev.kind]) {
    const text = isExtra && !isList ? undefined : shownText(dev, attribute);
    if (text === undefined || without?.test(text) === true) continue;
    json[key] = isText ? text : Number(text);
  }
  return json;
}

/** Undefined for what the device has not, or not now: a queue without character device has no minor number. */
function shownText(dev: DsaDevice, attribute: string): string | undefined {
  if (!dev.attributes.has(attribute)) return undefined;
  try {
    return textOf(dev, attribute);
  } catch (error) {
    if (!Errno.is(error, 'ENXIO')) throw error;
    return undefined;
  }
}

const withoutEmpty = (lists: Readonly<Record<string, AccelJson[]>>): Record<string, AccelJson[]> =>
  Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0));

const accelerators = (system: Accelerated): Idxd[] =>
  busOf(system)
    .devices.filter(({ kind }) => kind === 'dsa')
    .map(({ idxd }) => idxd);

const isConfigured = (dev: DsaDevice): boolean =>
  numberOf(dev, 'group_id') >= 0 || (dev.kind === 'wq' && numberOf(dev, 'size') > 0);
