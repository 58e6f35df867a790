import type { NicFunction } from '../function.js';

/**
 * What a command does. Both arrays have exactly the words that software says: what is beyond the end reads 0, and is not written. The
 * output is zero, and its header is made by the caller.
 * @returns one of `STATUS`
 */
export type Command = (fn: NicFunction, input: Uint32Array, output: Uint32Array) => number;
/** By opcode. */
export type CommandTable = Readonly<Record<number, Command>>;
