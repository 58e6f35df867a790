import type { Engine } from './engine.js';
import type { Group } from './group.js';
import type { Idxd } from './idxd.js';
import type { Wq } from './wq.js';

const WQ_FIELDS = [
  'groupId',
  'mode',
  'size',
  'threshold',
  'priority',
  'wqType',
  'wqName',
  'driverName',
  'blockOnFault',
  'atsDisable',
  'prsDisable',
  'maxTransferBytes',
  'maxBatch',
  'enqcmdsRetries',
] as const satisfies readonly (keyof Wq)[];
const GROUP_FIELDS = [
  'useReadBufferLimit',
  'readBuffersReserved',
  'readBuffersAllowed',
  'trafficClassA',
  'trafficClassB',
  'descriptorProgressLimit',
  'batchProgressLimit',
] as const satisfies readonly (keyof Group)[];

/** The configuration of a device, as it was. */
export interface Configuration {
  readonly idxd: Idxd;
  readonly readBufferLimit: number;
  /** Entries of the event log; undefined where there is none. */
  readonly eventLogSize: number | undefined;
  readonly wqs: readonly { readonly wq: Wq; readonly fields: Partial<Wq>; readonly opConfig: Uint32Array }[];
  readonly groups: readonly { readonly group: Group; readonly fields: Partial<Group> }[];
  readonly engines: readonly { readonly engine: Engine; readonly groupId: number | undefined }[];
}

export function saveConfiguration(idxd: Idxd): Configuration {
  const { wqs, groups, engines, readBufferLimit, eventLog } = idxd;
  return {
    idxd,
    readBufferLimit,
    eventLogSize: eventLog?.size,
    wqs: wqs.map((wq) => ({ wq, fields: pick(wq, WQ_FIELDS), opConfig: wq.opConfig.slice() })),
    groups: groups.map((group) => ({ group, fields: pick(group, GROUP_FIELDS) })),
    engines: engines.map((engine) => ({ engine, groupId: engine.groupId })),
  };
}

export function restoreConfiguration({ idxd, readBufferLimit, eventLogSize, wqs, groups, engines }: Configuration): void {
  idxd.readBufferLimit = readBufferLimit;
  if (idxd.eventLog !== undefined && eventLogSize !== undefined) idxd.eventLog.size = eventLogSize;
  for (const { wq, fields, opConfig } of wqs) {
    Object.assign(wq, fields);
    wq.opConfig.set(opConfig);
  }
  for (const { group, fields } of groups) Object.assign(group, fields);
  for (const { engine, groupId } of engines) engine.groupId = groupId;
}

function pick<T, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(keys.map((key) => [key, from[key]])) as Pick<T, K>;
}
