import { FUNCTION_ID } from '../../../regs/nic-commands.js';
import { getWord } from '../../../regs/nic-words.js';
import type { NicFunction } from '../function.js';

/** The function that a command is about: who asks, or a sub-function that there is where the manager asks. */
export function targetOf(fn: NicFunction, input: Uint32Array): NicFunction | undefined {
  const id = getWord(input, FUNCTION_ID);
  if (id === 0 || id === fn.id) return fn;
  return fn.isManager ? fn.device.functionOf(id) : undefined;
}
