import { ACCESS_REG, HEADER, MCQI, MFRL, OPCODES, STATUS } from '../../../regs/nic-commands.js';
import { getWord, setWord } from '../../../regs/nic-words.js';
import type { NicFunction } from '../function.js';
import type { CommandTable } from './table.js';

function access(fn: NicFunction, input: Uint32Array, output: Uint32Array): number {
  const isRead = getWord(input, HEADER.opMod) === ACCESS_REG.read;
  switch (getWord(input, ACCESS_REG.register)) {
    case MFRL.id:
      return isRead ? readReset(fn, output) : writeReset(fn, input);
    case MCQI.id:
      return isRead ? readVersion(fn, input, output) : STATUS.badParameter;
    default:
      return STATUS.badParameter;
  }
}

/** How the firmware can be started anew. */
function readReset(fn: NicFunction, output: Uint32Array): number {
  if (output.byteLength < ACCESS_REG.data + MFRL.sizeBytes) return STATUS.outLength;
  setWord(output, MFRL.level, fn.device.firmware.levels, ACCESS_REG.data);
  return STATUS.ok;
}

/** Is to be started anew: for who manages the adapter. */
function writeReset(fn: NicFunction, input: Uint32Array): number {
  if (input.byteLength < ACCESS_REG.data + MFRL.sizeBytes) return STATUS.inLength;
  const level = getWord(input, MFRL.level, ACCESS_REG.data);
  return fn.isManager && fn.device.firmware.activate(level) ? STATUS.ok : STATUS.badParameter;
}

function readVersion({ device }: NicFunction, input: Uint32Array, output: Uint32Array): number {
  const end = ACCESS_REG.data + MCQI.sizeBytes;
  if (input.byteLength < end) return STATUS.inLength;
  if (output.byteLength < end) return STATUS.outLength;
  if (getWord(input, MCQI.infoType, ACCESS_REG.data) !== MCQI.version) return STATUS.badParameter;
  const isPending = getWord(input, MCQI.pending, ACCESS_REG.data) === 1;
  setWord(output, MCQI.word, isPending ? device.firmware.storedWord : device.firmware.runningWord, ACCESS_REG.data);
  return STATUS.ok;
}

/** Commands by which registers of the adapter itself are read and written. */
export const REGISTER_COMMANDS: CommandTable = { [OPCODES.ACCESS_REG]: access };
