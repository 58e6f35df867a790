import type { Device, Dma, DmaBuffer } from '../../core/index.js';
import { MAILBOX } from '../../hw/regs/nic-commands.js';
import { fromBigEndian, setAddress, setWord, toBigEndian } from '../../hw/regs/nic-words.js';
import { freeCoherent, takeCoherent } from './coherent.js';

const PAGE = 4096;
const WORDS = MAILBOX.sizeBytes / 4;
const DATA_WORDS = MAILBOX.dataBytes / 4;

/** One mailbox: 512 bytes of a command, or of its answer. */
class Mailbox {
  constructor(
    readonly buffer: DmaBuffer,
    readonly offset: number,
  ) {}

  get address(): number {
    return this.buffer.address + this.offset;
  }
}

/** What of a command does not fit its descriptor. */
export type MailboxChain = readonly Mailbox[];

/**
 * The mailboxes of a function. They are taken from pages that come when they are needed and go with the command interface.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/cmd.c mlx5_alloc_cmd_msg
 */
export class Mailboxes {
  readonly #dma: Dma;
  readonly #dev: Device;
  readonly #pages: DmaBuffer[] = [];
  readonly #free: Mailbox[] = [];
  readonly #words = new Uint32Array(WORDS);
  readonly #bytes = new Uint8Array(MAILBOX.sizeBytes);

  constructor(dma: Dma, dev: Device) {
    this.#dma = dma;
    this.#dev = dev;
  }

  /** Mailboxes for so many words beyond the descriptor; none for none. @throws {Errno} ENOMEM */
  take(words: number): MailboxChain {
    const count = Math.ceil(Math.max(words, 0) / DATA_WORDS);
    while (this.#free.length < count) this.#grow();
    return count === 0 ? [] : this.#free.splice(-count);
  }

  give(chain: MailboxChain): void {
    this.#free.push(...chain);
  }

  /** Links a chain, with `words` from `from` on in it; what is left over is 0. */
  write(chain: MailboxChain, token: number, words: Uint32Array, from: number): void {
    for (const [n, { buffer, offset }] of chain.entries()) {
      const all = this.#words.fill(0);
      const at = from + n * DATA_WORDS;
      all.set(words.subarray(at, at + DATA_WORDS));
      setAddress(all, MAILBOX.next, chain[n + 1]?.address ?? 0);
      setWord(all, MAILBOX.block, n);
      setWord(all, MAILBOX.token, token);
      toBigEndian(all, 0, this.#bytes, 0, WORDS);
      buffer.write(offset, this.#bytes);
    }
  }

  /** Reads what is in a chain into `words`, from `from` on. */
  read(chain: MailboxChain, words: Uint32Array, from: number): void {
    for (const [n, { buffer, offset }] of chain.entries()) {
      const at = from + n * DATA_WORDS;
      buffer.read(offset, this.#bytes);
      fromBigEndian(this.#bytes, 0, words, at, Math.min(DATA_WORDS, words.length - at));
    }
  }

  /** Frees the memory: no command is under way. */
  end(): void {
    this.#free.length = 0;
    for (const page of this.#pages.splice(0)) freeCoherent(this.#dma, page);
  }

  #grow(): void {
    const page = takeCoherent(this.#dma, this.#dev, PAGE);
    this.#pages.push(page);
    for (let offset = PAGE - MAILBOX.alignBytes; offset >= 0; offset -= MAILBOX.alignBytes)
      this.#free.push(new Mailbox(page, offset));
  }
}
