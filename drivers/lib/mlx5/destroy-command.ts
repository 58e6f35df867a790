import { Errno } from '../../../core/index.js';
import { OBJECT } from '../../../hw/regs/nic-commands.js';
import { setWord } from '../../../hw/regs/nic-words.js';
import type { CommandOwner } from './queue-owner.js';

/** Ends an object by its number. @throws {Errno} as the command */
export async function destroyCommand(owner: CommandOwner, opcode: number, number: number): Promise<void> {
  const input = new Uint32Array(4);
  setWord(input, OBJECT, number);
  await owner.exec(opcode, input);
}

/** Waits for a command that takes back what another has set; of a function that is down nothing is left to take back. @throws {Errno} as the command */
export async function takenBack(command: PromiseLike<void>): Promise<void> {
  try {
    await command;
  } catch (error) {
    if (!Errno.is(error, 'ENOLINK')) throw error;
  }
}
