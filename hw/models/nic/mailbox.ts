import { type DmaPort, NO_ADDRESS } from '../../endpoint/index.js';
import { CMD, DELIVERY, MAILBOX } from '../../regs/nic-commands.js';
import { fromBigEndian, getWord, toBigEndian } from '../../regs/nic-words.js';
import type { CommandQueue } from './command-queue.js';

const BLOCKS_MAX = 128;
/** Input or output at most. */
export const COMMAND_BYTES_MAX = CMD.inlineBytes + BLOCKS_MAX * MAILBOX.dataBytes;
const INLINE_WORDS = CMD.inlineBytes / 4;
const DATA_WORDS = MAILBOX.dataBytes / 4;
const MAILBOX_WORDS = MAILBOX.sizeBytes / 4;

/** Which side of a command a chain is for, and what its delivery status says of it. */
interface Side {
  readonly pointer: number;
  readonly align: number;
  readonly length: number;
}
const IN: Side = { pointer: CMD.inMailbox, align: DELIVERY.inAlign, length: DELIVERY.inLength };
const OUT: Side = { pointer: CMD.outMailbox, align: DELIVERY.outAlign, length: DELIVERY.outLength };

/** The mailboxes of the command that is being executed: a device does so one at a time. */
export class Mailboxes {
  readonly #dma: DmaPort;
  readonly #input = new Uint32Array(COMMAND_BYTES_MAX / 4);
  readonly #output = new Uint32Array(COMMAND_BYTES_MAX / 4);
  readonly #bytes = new Uint8Array(MAILBOX.sizeBytes);
  readonly #words = new Uint32Array(MAILBOX_WORDS);
  /** Where the mailboxes of the output are. */
  readonly #outAt = new Float64Array(BLOCKS_MAX);
  input = this.#input;
  output = this.#output;

  constructor(dma: DmaPort) {
    this.#dma = dma;
  }

  /** Reads all input of a descriptor, and finds the places of its output. @returns one of `DELIVERY` */
  open(queue: CommandQueue, descriptor: Uint32Array): number {
    const inBytes = getWord(descriptor, CMD.inBytes);
    const outBytes = getWord(descriptor, CMD.outBytes);
    this.#input.set(descriptor.subarray(CMD.in / 4, CMD.in / 4 + INLINE_WORDS));
    const delivery = this.#walk(queue, descriptor, IN, inBytes) || this.#walk(queue, descriptor, OUT, outBytes);
    if (delivery !== DELIVERY.ok) return delivery;
    this.input = this.#input.subarray(0, Math.ceil(inBytes / 4));
    this.output = this.#output.subarray(0, Math.ceil(outBytes / 4)).fill(0);
    return DELIVERY.ok;
  }

  /** Writes what of the output is not in the descriptor. */
  writeOutput(queue: CommandQueue): void {
    const { output } = this;
    const { epoch } = queue;
    for (let block = 0, from = INLINE_WORDS; from < output.length && epoch === queue.epoch; block++, from += DATA_WORDS) {
      const count = Math.min(DATA_WORDS, output.length - from);
      toBigEndian(output, from, this.#bytes, 0, count);
      this.#dma.write(this.#outAt[block]!, this.#bytes, 0, 4 * count);
    }
  }

  #walk(queue: CommandQueue, descriptor: Uint32Array, side: Side, bytes: number): number {
    if (bytes < CMD.inlineBytes || bytes > COMMAND_BYTES_MAX) return side.length;
    const token = getWord(descriptor, CMD.token);
    const blocks = Math.ceil((bytes - CMD.inlineBytes) / MAILBOX.dataBytes);
    let hi = descriptor[side.pointer / 4]!;
    let lo = descriptor[side.pointer / 4 + 1]!;
    const { epoch } = queue;
    for (let block = 0; block < blocks; block++) {
      if (lo % MAILBOX.alignBytes !== 0) return side.align;
      const address = this.#dma.address(lo, hi);
      const isRead = address !== NO_ADDRESS && this.#dma.read(address, this.#bytes, 0, MAILBOX.sizeBytes);
      if (!isRead || epoch !== queue.epoch) return DELIVERY.firmware;
      const words = this.#words;
      fromBigEndian(this.#bytes, 0, words, 0, MAILBOX_WORDS);
      if (getWord(words, MAILBOX.token) !== token) return DELIVERY.token;
      if (getWord(words, MAILBOX.block) !== block) return DELIVERY.block;
      if (side === IN) this.#input.set(words.subarray(0, DATA_WORDS), INLINE_WORDS + block * DATA_WORDS);
      else this.#outAt[block] = address;
      hi = words[MAILBOX.next / 4]!;
      lo = words[MAILBOX.next / 4 + 1]!;
    }
    return DELIVERY.ok;
  }
}
