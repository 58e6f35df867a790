import { NO_ADDRESS } from '../../endpoint/index.js';
import { PAGE_BYTES } from '../../regs/nic.js';
import { STATUS } from '../../regs/nic-commands.js';
import type { NicFunction } from './function.js';

const ADDRESS_BYTES = 8;

/**
 * The addresses of the pages of a queue, high words first, from byte `at` of the input on.
 *
 * @param sizeBytes of the queue; @param logPageBytes binary logarithm of the bytes of a page
 * @returns a status where the list is too short, or a page is none
 */
export function readPageList(
  fn: NicFunction,
  input: Uint32Array,
  at: number,
  sizeBytes: number,
  logPageBytes: number,
): Float64Array | number {
  const count = Math.ceil(sizeBytes / 2 ** logPageBytes);
  if (input.byteLength < at + ADDRESS_BYTES * count) return STATUS.inLength;
  const pages = new Float64Array(count);
  for (let i = 0, word = at / 4; i < count; i++, word += 2) {
    const address = fn.dma.address(input[word + 1]!, input[word]!);
    if (address === NO_ADDRESS || address % PAGE_BYTES !== 0) return STATUS.badParameter;
    pages[i] = address;
  }
  return pages;
}
