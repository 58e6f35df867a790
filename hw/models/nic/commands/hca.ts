import * as CMDS from '../../../regs/nic-commands.js';
import { getWord, setWord } from '../../../regs/nic-words.js';
import { capabilitiesOf } from '../capabilities.js';
import { FUNCTION_STATES } from '../function-state.js';
import type { NicFunction } from '../function.js';
import { LOG_MAX, MAX_EQS } from '../options.js';
import type { CommandTable } from './table.js';
import { targetOf } from './target.js';

const { CAPS, CAPS_BYTES, CAPS_OFFSET, DRIVER_VERSION, FUNCTION_ID, HEADER, ISSI, OPCODES, STATUS, TEARDOWN } = CMDS;
/** Revisions of the steering interface: 0 and 1. */
const ISSI_SUPPORTED = 0x3;
const GENERAL = 0;

function enable(fn: NicFunction, input: Uint32Array): number {
  const id = getWord(input, FUNCTION_ID);
  const { vhca } = fn.device;
  if (id !== 0) return manage(fn, id, 'enable');
  if (fn.state !== FUNCTION_STATES.disabled) return STATUS.badResourceState;
  if (!fn.isManager && !vhca.move(fn.id, 'enableSelf')) return STATUS.badResourceState;
  fn.state = FUNCTION_STATES.enabled;
  return STATUS.ok;
}

function disable(fn: NicFunction, input: Uint32Array): number {
  const id = getWord(input, FUNCTION_ID);
  if (id !== 0) return manage(fn, id, 'disable');
  if (fn.state === FUNCTION_STATES.disabled) return STATUS.badResourceState;
  if (fn.isManager) fn.device.resetSfs();
  fn.disable();
  if (!fn.isManager) fn.device.vhca.move(fn.id, 'disableSelf');
  return STATUS.ok;
}

/** The manager lets a sub-function be used; or no longer: one that is in use goes on until it disables itself, unless it has failed. */
function manage(fn: NicFunction, id: number, input: 'enable' | 'disable'): number {
  const { vhca, settings } = fn.device;
  if (!fn.isManager || !vhca.has(id)) return STATUS.badParameter;
  if (fn.state !== FUNCTION_STATES.initialised) return STATUS.badSystemState;
  if (!vhca.permits(id, input)) return STATUS.badResourceState;
  if (input === 'enable') fn.device.functionOf(id)?.reset(settings.sfInitUs);
  vhca.move(id, input);
  const sf = fn.device.functionOf(id);
  if (input === 'disable' && sf?.health.hasFailed === true) {
    sf.disable();
    vhca.move(id, 'disableSelf');
  }
  return STATUS.ok;
}

function initialise(fn: NicFunction): number {
  if (fn.state !== FUNCTION_STATES.enabled || fn.pages.count < fn.wants.boot + fn.wants.init) return STATUS.badSystemState;
  fn.state = FUNCTION_STATES.initialised;
  return STATUS.ok;
}

function teardown(fn: NicFunction, input: Uint32Array): number {
  const profile = getWord(input, TEARDOWN.profile);
  if (profile !== TEARDOWN.graceful && profile !== TEARDOWN.force) return STATUS.badParameter;
  if (fn.isManager) fn.device.resetSfs();
  fn.teardown();
  return STATUS.ok;
}

function queryCaps(fn: NicFunction, input: Uint32Array, output: Uint32Array): number {
  const target = targetOf(fn, input);
  if (target === undefined || getWord(input, HEADER.opMod) >>> 1 !== GENERAL) return STATUS.badParameter;
  if (output.byteLength < CAPS_OFFSET + CAPS_BYTES) return STATUS.outLength;
  const isCurrent = (getWord(input, HEADER.opMod) & 1) === 1;
  output.set(capabilitiesOf(target, isCurrent), CAPS_OFFSET / 4);
  return STATUS.ok;
}

/**
 * What can be set: RDMA over Ethernet, and how many addresses a port may have, by the function itself; what a sub-function may have of that
 * RDMA, and of event queues, by the manager.
 */
function setCaps(fn: NicFunction, input: Uint32Array): number {
  const target = targetOf(fn, input);
  if (target === undefined || getWord(input, HEADER.opMod) >>> 1 !== GENERAL) return STATUS.badParameter;
  if (input.byteLength < CAPS_OFFSET + CAPS_BYTES) return STATUS.inLength;
  const maxEqs = getWord(input, CAPS.maxNumEqs, CAPS_OFFSET);
  const roce = getWord(input, CAPS.roce, CAPS_OFFSET) === 1;
  if (target !== fn) {
    if (maxEqs > MAX_EQS) return STATUS.badParameter;
    target.maxEqs = maxEqs;
    target.mayRoce = roce;
    target.hasRoce &&= roce;
    return STATUS.ok;
  }
  // 0: it stays.
  const logMacs = getWord(input, CAPS.logMaxMacs, CAPS_OFFSET) - 1;
  if (logMacs > LOG_MAX.macs || (roce && !fn.mayRoce)) return STATUS.badParameter;
  fn.hasRoce = roce;
  if (logMacs >= 0) fn.logMacs = logMacs;
  return STATUS.ok;
}

function queryIssi(fn: NicFunction, _input: Uint32Array, output: Uint32Array): number {
  if (output.byteLength < ISSI.outBytes) return STATUS.outLength;
  setWord(output, ISSI.current, fn.issi);
  setWord(output, ISSI.supported, ISSI_SUPPORTED);
  return STATUS.ok;
}

function setIssi(fn: NicFunction, input: Uint32Array): number {
  const issi = getWord(input, ISSI.current);
  if (issi > 31 || ((ISSI_SUPPORTED >>> issi) & 1) === 0) return STATUS.badParameter;
  fn.issi = issi;
  return STATUS.ok;
}

function setDriverVersion(fn: NicFunction, input: Uint32Array): number {
  if (input.byteLength < DRIVER_VERSION.offset + DRIVER_VERSION.sizeBytes) return STATUS.inLength;
  let text = '';
  for (let i = 0; i < DRIVER_VERSION.sizeBytes; i++) {
    const byte = (input[(DRIVER_VERSION.offset + i) >>> 2]! >>> (24 - 8 * (i & 3))) & 0xff;
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  fn.driverVersion = text;
  return STATUS.ok;
}

/** Commands that bring a function up and down. */
export const HCA_COMMANDS: CommandTable = {
  [OPCODES.QUERY_HCA_CAP]: queryCaps,
  [OPCODES.SET_HCA_CAP]: setCaps,
  [OPCODES.QUERY_ADAPTER]: () => STATUS.ok,
  [OPCODES.INIT_HCA]: initialise,
  [OPCODES.TEARDOWN_HCA]: teardown,
  [OPCODES.ENABLE_HCA]: enable,
  [OPCODES.DISABLE_HCA]: disable,
  [OPCODES.QUERY_ISSI]: queryIssi,
  [OPCODES.SET_ISSI]: setIssi,
  [OPCODES.SET_DRIVER_VERSION]: setDriverVersion,
};
