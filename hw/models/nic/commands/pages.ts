import { NO_ADDRESS } from '../../../endpoint/index.js';
import { FUNCTION_ID, HEADER, MANAGE_PAGES, OPCODES, PAGES, STATUS } from '../../../regs/nic-commands.js';
import { getWord, setAddress, setWord } from '../../../regs/nic-words.js';
import { FUNCTION_STATES } from '../function-state.js';
import type { NicFunction } from '../function.js';
import type { CommandTable } from './table.js';
import { targetOf } from './target.js';

const ADDRESS_BYTES = 8;

/** How many pages are wanted that are not there. */
function queryPages(fn: NicFunction, input: Uint32Array, output: Uint32Array): number {
  const target = targetOf(fn, input);
  if (target === undefined) return STATUS.badParameter;
  const { wants, pages } = target;
  setWord(output, FUNCTION_ID, target.id);
  switch (getWord(input, HEADER.opMod)) {
    case PAGES.boot:
      setWord(output, PAGES.count, Math.max(0, wants.boot - pages.count));
      return STATUS.ok;
    case PAGES.init:
      setWord(output, PAGES.count, Math.max(0, wants.boot + wants.init - pages.count));
      return STATUS.ok;
    case PAGES.regular:
      setWord(output, PAGES.count, pages.requested);
      return STATUS.ok;
    default:
      return STATUS.badParameter;
  }
}

function managePages(fn: NicFunction, input: Uint32Array, output: Uint32Array): number {
  const target = targetOf(fn, input);
  if (target === undefined) return STATUS.badParameter;
  const count = getWord(input, MANAGE_PAGES.count);
  switch (getWord(input, HEADER.opMod)) {
    case MANAGE_PAGES.cannotGive:
      target.pages.requested = 0;
      return STATUS.ok;
    case MANAGE_PAGES.give:
      if (input.byteLength < MANAGE_PAGES.pages + ADDRESS_BYTES * count) return STATUS.inLength;
      return give(target, input, count);
    case MANAGE_PAGES.take:
      if (output.byteLength < MANAGE_PAGES.pages + ADDRESS_BYTES * count) return STATUS.outLength;
      take(target, output, count);
      return STATUS.ok;
    default:
      return STATUS.badParameter;
  }
}

function give(target: NicFunction, input: Uint32Array, count: number): number {
  const addresses: number[] = [];
  for (let i = 0, at = MANAGE_PAGES.pages / 4; i < count; i++, at += 2) {
    const address = target.dma.address(input[at + 1]!, input[at]!);
    if (address === NO_ADDRESS) return STATUS.badParameter;
    addresses.push(address);
  }
  return target.pages.give(addresses) ? STATUS.ok : STATUS.badParameter;
}

/** What is not needed comes back: all of it, when the function is not initialised. */
function take(target: NicFunction, output: Uint32Array, count: number): void {
  const { wants } = target;
  const needed = target.state === FUNCTION_STATES.initialised ? wants.boot + wants.init : 0;
  const taken = target.pages.take(count, needed);
  setWord(output, MANAGE_PAGES.outCount, taken.length);
  taken.forEach((address, i) => setAddress(output, MANAGE_PAGES.pages + ADDRESS_BYTES * i, address));
}

/** Commands about the memory that the firmware works in. */
export const PAGE_COMMANDS: CommandTable = {
  [OPCODES.QUERY_PAGES]: queryPages,
  [OPCODES.MANAGE_PAGES]: managePages,
};
