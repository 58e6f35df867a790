import { CMD, CMD_OWNED_BY_HARDWARE, CMD_TYPE_PCI } from '../../hw/regs/nic-commands.js';
import { fromBigEndian, getWord, setAddress, setWord, toBigEndian } from '../../hw/regs/nic-words.js';

/** Words of a command that are in its descriptor. */
export const INLINE_WORDS = CMD.inlineBytes / 4;
export const DESCRIPTOR_WORDS = CMD.sizeBytes / 4;

/** What a descriptor says. */
export interface DescriptorParts {
  readonly input: Uint32Array;
  readonly outBytes: number;
  /** Addresses of the first mailboxes; 0: there is none. */
  readonly inMailbox: number;
  readonly outMailbox: number;
  readonly token: number;
}

/**
 * Makes a descriptor that is the hardware's. Its signature is such that all its bytes together are 0xff.
 * @param words, @param bytes take it
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/cmd.c cmd_work_handler, set_signature
 */
export function encodeDescriptor(words: Uint32Array, bytes: Uint8Array, parts: DescriptorParts): void {
  const { input, outBytes, inMailbox, outMailbox, token } = parts;
  words.fill(0);
  setWord(words, CMD.type, CMD_TYPE_PCI);
  setWord(words, CMD.inBytes, 4 * input.length);
  setWord(words, CMD.outBytes, outBytes);
  setAddress(words, CMD.inMailbox, inMailbox);
  setAddress(words, CMD.outMailbox, outMailbox);
  words.set(input.subarray(0, INLINE_WORDS), CMD.in / 4);
  setWord(words, CMD.token, token);
  setWord(words, CMD.status, CMD_OWNED_BY_HARDWARE);
  toBigEndian(words, 0, bytes, 0, DESCRIPTOR_WORDS);
  setWord(words, CMD.signature, ~bytes.reduce((xor, byte) => xor ^ byte));
  toBigEndian(words, 0, bytes, 0, DESCRIPTOR_WORDS);
}

/** Reads a descriptor. @returns whether the device has given it back */
export function decodeDescriptor(words: Uint32Array, bytes: Uint8Array): boolean {
  fromBigEndian(bytes, 0, words, 0, DESCRIPTOR_WORDS);
  return (getWord(words, CMD.status) & CMD_OWNED_BY_HARDWARE) === 0;
}
