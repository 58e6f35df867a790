import { Errno, getField, packFields, regAt } from '../../core/index.js';
import * as DSA from '../../hw/regs/dsa.js';
import { CMD_STATUS } from './cmd-status.js';
import type { Group } from './group.js';
import type { Idxd } from './idxd.js';
import { DEFAULT_SIZE, type Wq } from './wq.js';

const WORD_BYTES = 4;
const GROUP_WQ_WORDS = 4;
const PAIR_BYTES = 8;
/** Traffic classes of a group that is left to the device. @see Linux 6.12 drivers/dma/idxd/device.c idxd_group_flags_setup */
const CLASS_A = 0;
const CLASS_B = 1;

/**
 * Writes the configuration of all queues in a group and of all groups to the device; one that cannot be configured keeps its own. Called
 * when the device is enabled, and each time a queue is: what is enabled is written as it is.
 * @throws {Errno} ENXIO when it cannot be; `cmdStatus` says why
 * @see Linux 6.12 drivers/dma/idxd/device.c idxd_device_config
 */
export function configure(idxd: Idxd): void {
  if (!idxd.caps.isConfigurable) return;
  check(idxd);
  for (const wq of idxd.wqs) if (wq.groupId !== undefined) writeWq(idxd, wq);
  if (idxd.readBufferLimit !== 0) idxd.regs.modify(DSA.GENCFG, { readBufferLimit: idxd.readBufferLimit });
  for (const group of idxd.groups) writeGroup(idxd, group);
}

function check(idxd: Idxd): void {
  const configured = idxd.wqs.filter((wq) => wq.groupId !== undefined);
  // One that was disabled has forgotten that it was dedicated, and keeps no other from being enabled.
  const shared = configured.find((wq) => wq.mode === 'shared' && !(idxd.state === 'enabled' && wq.wqType === 'none'));
  if (shared !== undefined && !idxd.canShare) {
    throw refusal(idxd, CMD_STATUS.noSharedSupport, `${shared.name} is shared, which nothing here can use: make it dedicated`);
  }
  if (configured.length === 0) throw refusal(idxd, CMD_STATUS.noneConfigured, 'no queue is in a group: write its group_id');
  if (idxd.engines.every((engine) => engine.groupId === undefined)) {
    throw new Errno('ENXIO', `${idxd.name}: no engine is in a group: write its group_id`);
  }
}

/** Notes why something is not enabled, and makes the error. */
export function refusal(idxd: Idxd, cmdStatus: number, why: string): Errno {
  idxd.cmdStatus = cmdStatus;
  return new Errno('ENXIO', `${idxd.name}: ${why}`);
}

/** What was read stays where the driver has no say: some devices keep bits over a reset. */
function writeWq(idxd: Idxd, wq: Wq): void {
  const { regs, caps } = idxd;
  const words = Array.from({ length: caps.wqWords }, (_, i) => regs.read32(wq.configAt + i * WORD_BYTES));
  if (wq.size === 0 && wq.wqType !== 'none') wq.size = DEFAULT_SIZE;
  const put = (offset: number, value: number): void => {
    words[offset / WORD_BYTES] = value;
  };
  put(DSA.WQ_SIZE.offset, packFields(DSA.WQ_SIZE, { size: wq.size }));
  put(DSA.WQ_THRESHOLD.offset, packFields(DSA.WQ_THRESHOLD, { threshold: wq.threshold }));
  put(DSA.WQ_MODE.offset, modeOf(wq));
  put(
    DSA.WQ_LIMITS.offset,
    packFields(DSA.WQ_LIMITS, {
      maxTransferShift: Math.log2(wq.maxTransferBytes),
      maxBatchShift: Math.log2(wq.maxBatch),
    }),
  );
  if (caps.hasOpConfig) wq.opConfig.forEach((word, i) => put(DSA.WQ_OPERATIONS.offset + i * WORD_BYTES, word));
  words.forEach((word, i) => regs.write32(wq.configAt + i * WORD_BYTES, word));
}

function modeOf(wq: Wq): number {
  const { caps } = wq.idxd;
  const { pasid } = wq;
  return packFields(DSA.WQ_MODE, {
    dedicated: wq.mode === 'dedicated' ? 1 : 0,
    blockOnFault: caps.blockOnFault && wq.blockOnFault && !wq.prsDisable ? 1 : 0,
    atsDisable: caps.hasAtsDisable && wq.atsDisable ? 1 : 0,
    prsDisable: caps.hasPrsDisable && wq.prsDisable ? 1 : 0,
    priority: wq.priority,
    pasid: pasid ?? 0,
    pasidEnable: pasid === undefined ? 0 : 1,
  });
}

/**
 * Says in the device whose memory a queue works on, while it is disabled.
 * @see Linux 6.12 drivers/dma/idxd/device.c __idxd_wq_set_pasid_locked, idxd_wq_disable_pasid
 */
export function writePasid(wq: Wq): void {
  const reg = regAt(DSA.WQ_MODE, 1, wq.configAt);
  wq.idxd.regs.modify(reg, { pasid: wq.pasid ?? 0, pasidEnable: wq.pasid === undefined ? 0 : 1 });
}

function writeGroup(idxd: Idxd, group: Group): void {
  const { regs, caps } = idxd;
  const at = caps.grpcfgAt + group.index * DSA.GRPCFG_BYTES;
  const wqs = bitmapOf(group.wqs, 2 * GROUP_WQ_WORDS);
  for (let i = 0; i < GROUP_WQ_WORDS; i++) {
    regs.write64(at + DSA.GRP_WQS.offset + i * PAIR_BYTES, wqs[2 * i]!, wqs[2 * i + 1]!);
  }
  const engines = bitmapOf(group.engines, 2);
  regs.write64(at + DSA.GRP_ENGINES.offset, engines[0]!, engines[1]!);
  regs.write(regAt(DSA.GRP_FLAGS, 1, at), {
    trafficClassA: group.trafficClassA ?? CLASS_A,
    trafficClassB: group.trafficClassB ?? CLASS_B,
    useReadBufferLimit: group.useReadBufferLimit ? 1 : 0,
    readBuffersReserved: group.readBuffersReserved,
    readBuffersAllowed: group.readBuffersAllowed,
    descriptorProgressLimit: group.descriptorProgressLimit,
    batchProgressLimit: group.batchProgressLimit,
  });
}

function bitmapOf(members: readonly { readonly index: number }[], words: number): Uint32Array {
  const bitmap = new Uint32Array(words);
  for (const { index } of members) bitmap[index >>> 5]! |= 1 << (index & 31);
  return bitmap;
}

/**
 * Takes the configuration over from a device that cannot be configured.
 * @see Linux 6.12 drivers/dma/idxd/device.c idxd_device_load_config
 */
export function loadConfiguration(idxd: Idxd): void {
  idxd.readBufferLimit = idxd.regs.readField(DSA.GENCFG, DSA.GENCFG.fields.readBufferLimit);
  for (const group of idxd.groups) loadGroup(idxd, group);
  for (const wq of idxd.wqs) loadWq(idxd, wq);
}

function loadGroup(idxd: Idxd, group: Group): void {
  const { regs, caps } = idxd;
  const at = caps.grpcfgAt + group.index * DSA.GRPCFG_BYTES;
  const pair = new Uint32Array(2);
  const has = (index: number): boolean => ((pair[index >>> 5]! >>> (index & 31)) & 1) === 1;
  for (let word = 0; word < GROUP_WQ_WORDS && word * 64 < caps.workQueues; word++) {
    regs.read64(at + DSA.GRP_WQS.offset + word * PAIR_BYTES, pair);
    for (const wq of idxd.wqs.slice(word * 64, word * 64 + 64)) if (has(wq.index % 64)) wq.groupId = group.index;
  }
  regs.read64(at + DSA.GRP_ENGINES.offset, pair);
  for (const engine of idxd.engines) if (has(engine.index)) engine.groupId = group.index;
  regs.read64(at + DSA.GRP_FLAGS.offset, pair);
  const { fields } = DSA.GRP_FLAGS;
  const low = pair[0]!;
  group.trafficClassA = getField(fields.trafficClassA, low);
  group.trafficClassB = getField(fields.trafficClassB, low);
  group.useReadBufferLimit = getField(fields.useReadBufferLimit, low) === 1;
  group.readBuffersReserved = getField(fields.readBuffersReserved, low);
  group.readBuffersAllowed = getField(fields.readBuffersAllowed, low);
  group.descriptorProgressLimit = pair[1]! & 3;
  group.batchProgressLimit = (pair[1]! >>> 4) & 3;
}

function loadWq(idxd: Idxd, wq: Wq): void {
  const { regs, caps } = idxd;
  const words = Array.from({ length: caps.wqWords }, (_, i) => regs.read32(wq.configAt + i * WORD_BYTES));
  const at = (reg: { readonly offset: number }): number => words[reg.offset / WORD_BYTES]!;
  const mode = DSA.WQ_MODE.fields;
  wq.size = getField(DSA.WQ_SIZE.fields.size, at(DSA.WQ_SIZE));
  wq.threshold = getField(DSA.WQ_THRESHOLD.fields.threshold, at(DSA.WQ_THRESHOLD));
  wq.mode = getField(mode.dedicated, at(DSA.WQ_MODE)) === 1 ? 'dedicated' : 'shared';
  wq.blockOnFault = getField(mode.blockOnFault, at(DSA.WQ_MODE)) === 1;
  wq.atsDisable = getField(mode.atsDisable, at(DSA.WQ_MODE)) === 1;
  wq.prsDisable = getField(mode.prsDisable, at(DSA.WQ_MODE)) === 1;
  wq.priority = getField(mode.priority, at(DSA.WQ_MODE));
  wq.maxTransferBytes = 2 ** getField(DSA.WQ_LIMITS.fields.maxTransferShift, at(DSA.WQ_LIMITS));
  wq.maxBatch = 2 ** getField(DSA.WQ_LIMITS.fields.maxBatchShift, at(DSA.WQ_LIMITS));
  if (caps.hasOpConfig) wq.opConfig.forEach((_, i) => (wq.opConfig[i] = words[DSA.WQ_OPERATIONS.offset / WORD_BYTES + i]!));
}
