import { FRAME } from '../../regs/nic.js';
import { OBJECT, OPCODES, STATUS } from '../../regs/nic-commands.js';
import {
  COUNTERS,
  COUNTERS_OFFSET,
  ESW,
  L2_ENTRY,
  LIST_TYPES,
  NIC_VPORT,
  NIC_VPORT_IN,
  NIC_VPORT_OUT,
  NIC_VPORT_SELECT,
  VPORT,
  VPORT_STATE,
} from '../../regs/nic-contexts.js';
import { getWord, setAddress, setWord } from '../../regs/nic-words.js';
import type { CommandTable } from './commands/table.js';
import { UAR_VIOLATIONS } from './counters.js';
import type { NicFunction } from './function.js';
import { FDB_ENTRIES, LOG_MAX } from './options.js';
import type { Mac, Vport } from './vport.js';

const WORD_BYTES = 4;
const MAC_BYTES = 8;
const MAX_MACS = 2 ** LOG_MAX.macs;
const CONTEXT_BYTES = NIC_VPORT.list;
const LOW_HALF_BYTES = 3;

/** The port that a command is about: the function's own, or another, which is for the manager to ask. */
function portOf(fn: NicFunction, input: Uint32Array): Vport | undefined {
  if (getWord(input, VPORT.other) === 0) return fn.vport;
  const { ports } = fn.device.engine.switch;
  return fn.isManager ? ports.at(ports.slotOf(getWord(input, VPORT.number))) : undefined;
}

/** An address: 15:0 of a word, and the next one. */
function getMac(words: Uint32Array, at: number): Mac {
  const first = words[at / WORD_BYTES]! & 0xffff;
  const second = words[at / WORD_BYTES + 1]!;
  return { high: (first << 8) | (second >>> 24), low: second & 0xff_ffff };
}

function setMac(words: Uint32Array, at: number, { high, low }: Mac): void {
  words[at / WORD_BYTES] = high >>> 8;
  words[at / WORD_BYTES + 1] = (high << (8 * LOW_HALF_BYTES)) | low;
}

function queryState(fn: NicFunction, input: Uint32Array, output: Uint32Array): number {
  const port = portOf(fn, input);
  if (port === undefined) return STATUS.badParameter;
  setWord(output, VPORT_STATE.admin, port.admin);
  setWord(output, VPORT_STATE.state, port.isUp ? VPORT_STATE.up : VPORT_STATE.down);
  return STATUS.ok;
}

function modifyState(fn: NicFunction, input: Uint32Array): number {
  const port = portOf(fn, input);
  const admin = getWord(input, VPORT_STATE.admin);
  if (port === undefined || admin > VPORT_STATE.follow) return STATUS.badParameter;
  port.admin = admin;
  port.update(fn.device.engine.switch.ports.hasCarrier);
  return STATUS.ok;
}

function queryContext(fn: NicFunction, input: Uint32Array, output: Uint32Array): number {
  const port = portOf(fn, input);
  if (port === undefined) return STATUS.badParameter;
  const { unicast } = port;
  if (output.byteLength < NIC_VPORT_OUT + CONTEXT_BYTES + MAC_BYTES * unicast.length) return STATUS.outLength;
  setWord(output, NIC_VPORT.disableUcLoopback, Number(port.disableUcLoopback), NIC_VPORT_OUT);
  setWord(output, NIC_VPORT.disableMcLoopback, Number(port.disableMcLoopback), NIC_VPORT_OUT);
  setWord(output, NIC_VPORT.mtu, port.mtu, NIC_VPORT_OUT);
  setWord(output, NIC_VPORT.promiscuousUc, Number(port.promiscuousUc), NIC_VPORT_OUT);
  setWord(output, NIC_VPORT.promiscuousMc, Number(port.promiscuousMc), NIC_VPORT_OUT);
  setWord(output, NIC_VPORT.promiscuousAll, Number(port.promiscuousAll), NIC_VPORT_OUT);
  setWord(output, NIC_VPORT.listType, LIST_TYPES.unicast, NIC_VPORT_OUT);
  setWord(output, NIC_VPORT.listSize, unicast.length, NIC_VPORT_OUT);
  setMac(output, NIC_VPORT_OUT + NIC_VPORT.address, port.mac);
  unicast.forEach((mac, i) => setMac(output, NIC_VPORT_OUT + NIC_VPORT.list + MAC_BYTES * i, mac));
  return STATUS.ok;
}

function modifyContext(fn: NicFunction, input: Uint32Array): number {
  const port = portOf(fn, input);
  if (port === undefined || port.isUplink) return STATUS.badParameter;
  if (input.byteLength < NIC_VPORT_IN + CONTEXT_BYTES) return STATUS.inLength;
  const get = (field: Parameters<typeof getWord>[1]): number => getWord(input, field, NIC_VPORT_IN);
  const select = getWord(input, NIC_VPORT_SELECT.select);
  const size = get(NIC_VPORT.listSize);
  const isListed = (select & NIC_VPORT_SELECT.list) !== 0;
  const mtu = get(NIC_VPORT.mtu);
  const isUnicast = get(NIC_VPORT.listType) === LIST_TYPES.unicast;
  if (isListed && size > (isUnicast ? 2 ** port.fn.logMacs : MAX_MACS)) return STATUS.badParameter;
  if (isListed && input.byteLength < NIC_VPORT_IN + CONTEXT_BYTES + MAC_BYTES * size) return STATUS.inLength;
  if ((select & NIC_VPORT_SELECT.mtu) !== 0) {
    if (mtu > FRAME.maxMtu) return STATUS.badParameter;
    port.mtu = mtu;
  }
  const { ports } = fn.device.engine.switch;
  if ((select & NIC_VPORT_SELECT.loopback) !== 0) {
    port.disableUcLoopback = get(NIC_VPORT.disableUcLoopback) === 1;
    port.disableMcLoopback = get(NIC_VPORT.disableMcLoopback) === 1;
  }
  if ((select & NIC_VPORT_SELECT.promiscuous) !== 0) {
    port.promiscuousUc = get(NIC_VPORT.promiscuousUc) === 1;
    port.promiscuousMc = get(NIC_VPORT.promiscuousMc) === 1;
    port.promiscuousAll = get(NIC_VPORT.promiscuousAll) === 1;
    ports.setPromiscuous(port, port.promiscuousUc || port.promiscuousAll);
  }
  if ((select & NIC_VPORT_SELECT.address) !== 0) ports.setMac(port, getMac(input, NIC_VPORT_IN + NIC_VPORT.address));
  if (isListed) {
    const macs = Array.from({ length: size }, (_, i) => getMac(input, NIC_VPORT_IN + NIC_VPORT.list + MAC_BYTES * i));
    if (isUnicast) ports.setUnicast(port, macs);
    else port.multicast = macs;
  }
  return STATUS.ok;
}

function queryCounters(fn: NicFunction, input: Uint32Array, output: Uint32Array): number {
  const port = portOf(fn, input);
  if (port === undefined) return STATUS.badParameter;
  if (output.byteLength < COUNTERS_OFFSET + 2 * WORD_BYTES * COUNTERS.length) return STATUS.outLength;
  port.counters[UAR_VIOLATIONS] = port.isUplink ? 0 : port.fn.uarViolations;
  port.counters.forEach((value, i) => setAddress(output, COUNTERS_OFFSET + 2 * WORD_BYTES * i, value));
  return STATUS.ok;
}

function setL2Entry(fn: NicFunction, input: Uint32Array): number {
  const { vport } = fn;
  if (input.byteLength < L2_ENTRY.address + MAC_BYTES) return STATUS.inLength;
  if (vport === undefined) return STATUS.badParameter;
  const index = getWord(input, L2_ENTRY.index);
  if (!vport.entries.has(index) && vport.entries.size >= MAX_MACS) return STATUS.noResources;
  fn.device.engine.switch.ports.setEntry(vport, index, getMac(input, L2_ENTRY.address));
  return STATUS.ok;
}

function deleteL2Entry(fn: NicFunction, input: Uint32Array): number {
  const { vport } = fn;
  if (input.byteLength < L2_ENTRY.index.offset + WORD_BYTES) return STATUS.inLength;
  const index = getWord(input, L2_ENTRY.index);
  if (vport?.entries.has(index) !== true) return STATUS.badResource;
  fn.device.engine.switch.ports.setEntry(vport, index, undefined);
  return STATUS.ok;
}

function setMode(fn: NicFunction, input: Uint32Array): number {
  const mode = getWord(input, ESW.mode);
  if (!fn.isManager || (mode !== ESW.legacy && mode !== ESW.switchdev)) return STATUS.badParameter;
  fn.device.engine.switch.setMode(mode);
  return STATUS.ok;
}

function setRule(fn: NicFunction, input: Uint32Array): number {
  if (!fn.isManager) return STATUS.badParameter;
  if (input.byteLength < ESW.output) return STATUS.inLength;
  const { switch: sw } = fn.device.engine;
  const count = getWord(input, ESW.outputs);
  const source = sw.ports.slotOf(getWord(input, ESW.source));
  if (source < 0 || count > ESW.maxOutputs) return STATUS.badParameter;
  if (input.byteLength < ESW.output + WORD_BYTES * count) return STATUS.inLength;
  const outputs = Int32Array.from({ length: count }, (_, i) => sw.ports.slotOf(input[ESW.output / WORD_BYTES + i]! & 0xffff));
  if (outputs.some((slot) => slot < 0)) return STATUS.badParameter;
  const mac = getMac(input, ESW.address);
  if (sw.rules.size >= FDB_ENTRIES && !sw.rules.has(source, mac)) return STATUS.noResources;
  sw.rules.set(source, mac, outputs);
  return STATUS.ok;
}

function deleteRule(fn: NicFunction, input: Uint32Array): number {
  if (!fn.isManager) return STATUS.badParameter;
  if (input.byteLength < ESW.address + MAC_BYTES) return STATUS.inLength;
  const { switch: sw } = fn.device.engine;
  const isGone = sw.rules.delete(sw.ports.slotOf(getWord(input, ESW.source)), getMac(input, ESW.address));
  return isGone ? STATUS.ok : STATUS.badResource;
}

function setRepQueue(fn: NicFunction, input: Uint32Array): number {
  const port = portOf(fn, input);
  if (port === undefined || !fn.isManager) return STATUS.badParameter;
  const number = getWord(input, ESW.repQueue);
  const rq = number === 0 ? undefined : fn.rqs[number];
  if (number !== 0 && rq === undefined) return STATUS.badResource;
  port.setRepQueue(rq);
  return STATUS.ok;
}

function setRxTir(fn: NicFunction, input: Uint32Array): number {
  const number = getWord(input, OBJECT);
  const tir = number === 0 ? undefined : fn.tirs[number];
  if (fn.vport === undefined) return STATUS.badParameter;
  if (number !== 0 && tir === undefined) return STATUS.badResource;
  fn.vport.setTir(tir);
  return STATUS.ok;
}

/** Commands about ports and the switch. */
export const SWITCH_COMMANDS: CommandTable = {
  [OPCODES.QUERY_VPORT_STATE]: queryState,
  [OPCODES.MODIFY_VPORT_STATE]: modifyState,
  [OPCODES.QUERY_NIC_VPORT_CONTEXT]: queryContext,
  [OPCODES.MODIFY_NIC_VPORT_CONTEXT]: modifyContext,
  [OPCODES.QUERY_VPORT_COUNTER]: queryCounters,
  [OPCODES.SET_L2_TABLE_ENTRY]: setL2Entry,
  [OPCODES.DELETE_L2_TABLE_ENTRY]: deleteL2Entry,
  [OPCODES.SET_ESWITCH_MODE]: setMode,
  [OPCODES.SET_FDB_ENTRY]: setRule,
  [OPCODES.DELETE_FDB_ENTRY]: deleteRule,
  [OPCODES.SET_REP_QUEUE]: setRepQueue,
  [OPCODES.SET_RX_TIR]: setRxTir,
};
