import { OBJECT, OPCODES, STATUS } from '../../../regs/nic-commands.js';
import { getWord, setWord } from '../../../regs/nic-words.js';
import type { NumberSpace } from '../number-space.js';
import type { CommandTable } from './table.js';

function alloc(numbers: NumberSpace, output: Uint32Array): number {
  const number = numbers.alloc();
  if (number < 0) return STATUS.noResources;
  setWord(output, OBJECT, number);
  return STATUS.ok;
}

function dealloc(numbers: NumberSpace, input: Uint32Array): number {
  return numbers.free(getWord(input, OBJECT)) ? STATUS.ok : STATUS.badResource;
}

/** Commands about protection domains and pages of UAR. */
export const OBJECT_COMMANDS: CommandTable = {
  [OPCODES.NOP]: () => STATUS.ok,
  [OPCODES.ALLOC_PD]: (fn, _input, output) => alloc(fn.pdNumbers, output),
  [OPCODES.DEALLOC_PD]: (fn, input) => dealloc(fn.pdNumbers, input),
  [OPCODES.ALLOC_UAR]: (fn, _input, output) => alloc(fn.uarNumbers, output),
  [OPCODES.DEALLOC_UAR]: (fn, input) => dealloc(fn.uarNumbers, input),
};
