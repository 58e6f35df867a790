import { FUNCTION_ID, OPCODES, STATUS } from '../../../regs/nic-commands.js';
import { VHCA } from '../../../regs/nic-contexts.js';
import { getWord, setWord } from '../../../regs/nic-words.js';
import type { NicFunction } from '../function.js';
import type { CommandTable } from './table.js';

const NONE = -1;
const VHCA_BYTES = 0x18;

/** The number of the sub-function that a command of the manager is about. */
function sfOf(fn: NicFunction, input: Uint32Array): number {
  const id = getWord(input, FUNCTION_ID);
  return fn.isManager && fn.device.vhca.has(id) ? id : NONE;
}

function allocSf(fn: NicFunction, input: Uint32Array): number {
  const id = sfOf(fn, input);
  if (id === NONE) return STATUS.badParameter;
  const { device } = fn;
  if (!device.vhca.permits(id, 'alloc')) return STATUS.badResourceState;
  device.createSf(id);
  device.vhca.move(id, 'alloc');
  return STATUS.ok;
}

function deallocSf(fn: NicFunction, input: Uint32Array): number {
  const id = sfOf(fn, input);
  if (id === NONE) return STATUS.badParameter;
  const { device } = fn;
  if (!device.vhca.permits(id, 'dealloc')) return STATUS.badResourceState;
  device.destroySf(id);
  device.vhca.move(id, 'dealloc');
  return STATUS.ok;
}

function queryVhca(fn: NicFunction, input: Uint32Array, output: Uint32Array): number {
  const id = sfOf(fn, input);
  if (id === NONE) return STATUS.badParameter;
  if (output.byteLength < VHCA_BYTES) return STATUS.outLength;
  const { vhca } = fn.device;
  setWord(output, VHCA.arm, vhca.isArmed(id) ? 1 : 0);
  setWord(output, VHCA.state, vhca.state(id));
  setWord(output, VHCA.swFunctionId, vhca.swId(id));
  vhca.seen(id);
  return STATUS.ok;
}

function modifyVhca(fn: NicFunction, input: Uint32Array): number {
  const id = sfOf(fn, input);
  if (id === NONE) return STATUS.badParameter;
  if (input.byteLength < VHCA_BYTES) return STATUS.inLength;
  const { vhca } = fn.device;
  const select = getWord(input, VHCA.select);
  if ((select & VHCA.selectSwId) !== 0) vhca.setSwId(id, getWord(input, VHCA.swFunctionId));
  if ((select & VHCA.selectArm) === 0) return STATUS.ok;
  if (getWord(input, VHCA.arm) === 1) vhca.arm(id);
  else vhca.disarm(id);
  return STATUS.ok;
}

/** Commands of the manager about sub-functions. */
export const SF_COMMANDS: CommandTable = {
  [OPCODES.ALLOC_SF]: allocSf,
  [OPCODES.DEALLOC_SF]: deallocSf,
  [OPCODES.QUERY_VHCA_STATE]: queryVhca,
  [OPCODES.MODIFY_VHCA_STATE]: modifyVhca,
};
