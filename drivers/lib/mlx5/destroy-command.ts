import { OBJECT } from '../../../hw/regs/nic-commands.js';
import { setWord } from '../../../hw/regs/nic-words.js';
import type { CommandOwner } from './queue-owner.js';

/** Ends an object by its number. @throws {Errno} as the command */
export async function destroyCommand(owner: CommandOwner, opcode: number, number: number): Promise<void> {
  const input = new Uint32Array(4);
  setWord(input, OBJECT, number);
  await owner.exec(opcode, input);
}
