import { getField } from '../../../core/hal/index.js';
import type { Endpoint } from '../../endpoint/index.js';
import * as DSA from '../../regs/dsa.js';
import { PASID_CONTROL, PASID_ENABLE, PASID_PRIVILEGED, type Profile } from './profile.js';
import type { QueueSettings } from './queues.js';
import type { Tables } from './tables.js';

const { ERRORS } = DSA;
const WQ_WORDS = 8;
const ENGINE_WORDS = 2;
const ENGINES_AT = DSA.GRP_ENGINES.offset / 4;
const FLAGS_AT = DSA.GRP_FLAGS.offset / 4;
/** A queue, or an engine, is in none. */
export const NO_GROUP = 0xff;

/** Which queue and which engine is in which group, as the tables say when the device is enabled. */
export class Membership {
  readonly queues: Uint8Array;
  readonly engines: Uint8Array;
  /** @see ERRORS; none when it can be */
  readonly error: number;

  constructor(profile: Profile, tables: Tables) {
    this.queues = new Uint8Array(profile.workQueues).fill(NO_GROUP);
    this.engines = new Uint8Array(profile.engines).fill(NO_GROUP);
    this.error = this.#read(profile, tables);
  }

  #read(profile: Profile, tables: Tables): number {
    let entries = 0;
    for (let wq = 0; wq < profile.workQueues; wq++) entries += tables.queueWord(wq, 0);
    if (entries > profile.totalSize) return ERRORS.wqSizes;
    let reserved = 0;
    for (let group = 0; group < profile.groups; group++) {
      if (isAny(tables, group, 0, WQ_WORDS) !== isAny(tables, group, ENGINES_AT, ENGINE_WORDS)) return ERRORS.groupIncomplete;
      reserved += getField(DSA.GRP_FLAGS.fields.readBuffersReserved, tables.groupWord(group, FLAGS_AT));
    }
    for (let group = 0; group < profile.groups; group++) {
      if (!collect(tables, group, 0, WQ_WORDS, this.queues)) return ERRORS.groupWqs;
    }
    for (let wq = 0; wq < profile.workQueues; wq++) {
      if (tables.queueWord(wq, 0) > 0 && this.queues[wq] === NO_GROUP) return ERRORS.groupWqs;
    }
    for (let group = 0; group < profile.groups; group++) {
      if (!collect(tables, group, ENGINES_AT, ENGINE_WORDS, this.engines)) return ERRORS.groupEngines;
    }
    return reserved > profile.readBuffers ? ERRORS.readBuffers : ERRORS.none;
  }
}

function isAny(tables: Tables, group: number, at: number, words: number): boolean {
  for (let i = 0; i < words; i++) if (tables.groupWord(group, at + i) !== 0) return true;
  return false;
}

/** Notes the members of a group. @returns false when one does not exist, or is in another group */
function collect(tables: Tables, group: number, at: number, words: number, members: Uint8Array): boolean {
  for (let i = 0; i < 32 * words; i++) {
    if (((tables.groupWord(group, at + (i >>> 5)) >>> (i & 31)) & 1) === 0) continue;
    if (i >= members.length || members[i] !== NO_GROUP) return false;
    members[i] = group;
  }
  return true;
}

/** Whether a queue can be enabled as it is configured. @returns an error of the command, none when it can */
export function checkQueue(profile: Profile, tables: Tables, wq: number, endpoint: Endpoint): number {
  const mode = DSA.WQ_MODE.fields;
  const word = tables.queueWord(wq, DSA.WQ_MODE.offset / 4);
  const limits = tables.queueWord(wq, DSA.WQ_LIMITS.offset / 4);
  const isDedicated = getField(mode.dedicated, word) === 1;
  const hasPasid = getField(mode.pasidEnable, word) === 1;
  const capability = endpoint.extendedCapability(DSA.PASID_CAP.id);
  const control = capability === 0 ? 0 : endpoint.space.read16(capability + PASID_CONTROL);
  if (tables.queueWord(wq, 0) === 0) return ERRORS.wqSize;
  if (getField(mode.priority, word) === 0) return ERRORS.wqPriority;
  if (getField(mode.blockOnFault, word) === 1 && !profile.blockOnFault) return ERRORS.wqBlockOnFault;
  if (hasPasid ? (control & PASID_ENABLE) === 0 : !isDedicated) return ERRORS.wqPasid;
  const isPrivileged = isDedicated && hasPasid && getField(mode.privileged, word) === 1;
  if (isPrivileged && (control & PASID_PRIVILEGED) === 0) return ERRORS.wqPrivileged;
  if (getField(DSA.WQ_LIMITS.fields.maxBatchShift, limits) > profile.maxBatchShift) return ERRORS.wqMaxBatch;
  if (getField(DSA.WQ_LIMITS.fields.maxTransferShift, limits) > profile.maxTransferShift) return ERRORS.wqMaxTransfer;
  const occupancy = tables.queueWord(wq, DSA.WQ_OCCUPANCY_LIMIT.offset / 4);
  if (getField(DSA.WQ_OCCUPANCY_LIMIT.fields.enable, occupancy) === 1) return ERRORS.wqOccupancyInterrupt;
  if (getField(mode.atsDisable, word) === 1 || getField(mode.prsDisable, word) === 1) return ERRORS.wqAts;
  return ERRORS.none;
}

/** What a queue is configured as. */
export function settingsOf(tables: Tables, wq: number): QueueSettings {
  const mode = DSA.WQ_MODE.fields;
  const word = tables.queueWord(wq, DSA.WQ_MODE.offset / 4);
  const limits = tables.queueWord(wq, DSA.WQ_LIMITS.offset / 4);
  return {
    isDedicated: getField(mode.dedicated, word) === 1,
    threshold: getField(DSA.WQ_THRESHOLD.fields.threshold, tables.queueWord(wq, DSA.WQ_THRESHOLD.offset / 4)),
    priority: getField(mode.priority, word),
    blockOnFault: getField(mode.blockOnFault, word) === 1,
    pasid: getField(mode.pasidEnable, word) === 1 ? getField(mode.pasid, word) : 0,
    isPrivileged: getField(mode.privileged, word) === 1,
    maxTransfer: 2 ** getField(DSA.WQ_LIMITS.fields.maxTransferShift, limits),
    maxBatch: 2 ** getField(DSA.WQ_LIMITS.fields.maxBatchShift, limits),
  };
}
