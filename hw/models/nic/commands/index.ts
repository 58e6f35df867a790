import { HEADER, OPCODES, STATUS } from '../../../regs/nic-commands.js';
import { getWord } from '../../../regs/nic-words.js';
import { FUNCTION_STATES } from '../function-state.js';
import type { NicFunction } from '../function.js';
import { QUEUE_COMMANDS } from '../queue-commands.js';
import { SWITCH_COMMANDS } from '../switch-commands.js';
import { EQ_COMMANDS } from './eq.js';
import { HCA_COMMANDS } from './hca.js';
import { OBJECT_COMMANDS } from './objects.js';
import { PAGE_COMMANDS } from './pages.js';
import { REGISTER_COMMANDS } from './registers.js';
import { SF_COMMANDS } from './sf.js';
import type { CommandTable } from './table.js';

const COMMANDS: CommandTable = {
  ...HCA_COMMANDS,
  ...PAGE_COMMANDS,
  ...SF_COMMANDS,
  ...EQ_COMMANDS,
  ...OBJECT_COMMANDS,
  ...REGISTER_COMMANDS,
  ...QUEUE_COMMANDS,
  ...SWITCH_COMMANDS,
};

/** What may come before INIT_HCA; all else needs a function that is initialised. */
const NEEDS: Readonly<Record<number, number>> = {
  [OPCODES.NOP]: FUNCTION_STATES.disabled,
  [OPCODES.QUERY_ADAPTER]: FUNCTION_STATES.disabled,
  [OPCODES.ENABLE_HCA]: FUNCTION_STATES.disabled,
  [OPCODES.DISABLE_HCA]: FUNCTION_STATES.disabled,
  [OPCODES.QUERY_HCA_CAP]: FUNCTION_STATES.enabled,
  [OPCODES.SET_HCA_CAP]: FUNCTION_STATES.enabled,
  [OPCODES.QUERY_PAGES]: FUNCTION_STATES.enabled,
  [OPCODES.MANAGE_PAGES]: FUNCTION_STATES.enabled,
  [OPCODES.QUERY_ISSI]: FUNCTION_STATES.enabled,
  [OPCODES.SET_ISSI]: FUNCTION_STATES.enabled,
  [OPCODES.ACCESS_REG]: FUNCTION_STATES.enabled,
  [OPCODES.INIT_HCA]: FUNCTION_STATES.enabled,
};

/** Does what the input says, as far as the function has been brought up. @returns one of `STATUS` */
export function execute(fn: NicFunction, input: Uint32Array, output: Uint32Array): number {
  const opcode = getWord(input, HEADER.opcode);
  const command = COMMANDS[opcode];
  if (command === undefined) return STATUS.badOpcode;
  if (fn.state < (NEEDS[opcode] ?? FUNCTION_STATES.initialised)) return STATUS.badSystemState;
  return command(fn, input, output);
}
