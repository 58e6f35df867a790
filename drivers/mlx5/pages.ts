import { type Device, type Dma, type DmaBuffer, Errno, type Subscription, describeError, hex } from '../../core/index.js';
import { EQE, EVENTS, PAGE_BYTES } from '../../hw/regs/nic.js';
import { FUNCTION_ID, HEADER, MANAGE_PAGES, OPCODES, PAGES } from '../../hw/regs/nic-commands.js';
import { getAddress, getWord, setAddress, setWord } from '../../hw/regs/nic-words.js';
import { freeCoherent, takeCoherent } from './coherent.js';
import type { Commands } from './commands.js';
import type { Events } from './events.js';
import { warnOnly } from './held.js';

/** Pages that one command gives or takes at most: a chain of mailboxes. @see Linux 7.2 pagealloc.c MAX_RECLAIM_NPAGES */
const PAGES_PER_COMMAND = 512;

/**
 * The memory of the firmware: pages that it asks for to start, to be initialised and while it runs, and gives back when it has too many.
 * Between, they are its own.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/pagealloc.c
 */
export class FirmwarePages {
  readonly #dev: Device;
  readonly #dma: Dma;
  readonly #commands: Commands;
  /** By their addresses, as the device has them. */
  readonly #pages = new Map<number, DmaBuffer>();
  /** Ends with the last request that has come. */
  #work: Promise<void> = Promise.resolve();

  constructor(dev: Device, dma: Dma, commands: Commands) {
    this.#dev = dev;
    this.#dma = dma;
    this.#commands = commands;
  }

  /** How many the firmware has. */
  get count(): number {
    return this.#pages.size;
  }

  /**
   * Gives what the firmware wants now.
   * @throws {Errno} ENOMEM without memory; as `Mlx5Child.exec`
   * @see Linux 7.2 pagealloc.c mlx5_satisfy_startup_pages
   */
  async satisfy(when: 'boot' | 'init'): Promise<void> {
    const input = new Uint32Array(4);
    setWord(input, HEADER.opMod, PAGES[when]);
    const output = await this.#commands.exec(OPCODES.QUERY_PAGES, input);
    const count = getWord(output, PAGES.count) | 0;
    if (count > 0) await this.#give(getWord(output, FUNCTION_ID), count);
  }

  /** Serves what the firmware asks for while it runs, until it is disposed of. @see Linux 7.2 pagealloc.c req_pages_handler */
  serve(events: Events): AsyncDisposable {
    const listening: Subscription = events.on(EVENTS.pageRequest, (event) => {
      const functionId = event.read16(EQE.pageFunction);
      const count = event.read32(EQE.pageCount) | 0;
      this.#work = this.#work.then(() => this.#request(functionId, count));
    });
    return {
      [Symbol.asyncDispose]: () => {
        listening.dispose();
        return this.#work;
      },
    };
  }

  /** Takes back what the firmware gives. @see Linux 7.2 pagealloc.c mlx5_reclaim_startup_pages */
  async reclaim(): Promise<void> {
    while (this.#pages.size > 0) {
      const before = this.#pages.size;
      await warnOnly(this.#dev, 'pages of the firmware are not given back', this.#take(0, Math.min(before, PAGES_PER_COMMAND)));
      if (this.#pages.size === before) return;
    }
  }

  /** Frees what the firmware has not given back: it is down. */
  end(): void {
    for (const page of this.#pages.values()) freeCoherent(this.#dma, page);
    this.#pages.clear();
  }

  async #request(functionId: number, count: number): Promise<void> {
    try {
      if (count > 0) await this.#give(functionId, count);
      else await this.#take(functionId, -count);
    } catch (error) {
      const text = `${count} pages for function 0x${hex(functionId)}: ${describeError(error)}`;
      this.#dev.log('warn', text, 'page_request_failed');
      if (count > 0) await this.#refuse(functionId);
    }
  }

  async #give(functionId: number, count: number): Promise<void> {
    for (let left = count; left > 0; left -= PAGES_PER_COMMAND)
      await this.#giveSome(functionId, Math.min(left, PAGES_PER_COMMAND));
  }

  /** @see Linux 7.2 pagealloc.c give_pages */
  async #giveSome(functionId: number, count: number): Promise<void> {
    const input = new Uint32Array((MANAGE_PAGES.pages + 8 * count) / 4);
    setWord(input, HEADER.opMod, MANAGE_PAGES.give);
    setWord(input, FUNCTION_ID, functionId);
    setWord(input, MANAGE_PAGES.count, count);
    const pages: DmaBuffer[] = [];
    try {
      for (let n = 0; n < count; n++) {
        const page = takeCoherent(this.#dma, this.#dev, PAGE_BYTES);
        pages.push(page);
        setAddress(input, MANAGE_PAGES.pages + 8 * n, page.address);
      }
      await this.#commands.exec(OPCODES.MANAGE_PAGES, input);
    } catch (error) {
      // What was not answered may be in use.
      if (Errno.is(error, 'ETIMEDOUT')) this.#keep(pages);
      else for (const page of pages) freeCoherent(this.#dma, page);
      throw error;
    }
    this.#keep(pages);
  }

  #keep(pages: readonly DmaBuffer[]): void {
    for (const page of pages) this.#pages.set(page.address, page);
  }

  async #take(functionId: number, count: number): Promise<void> {
    const input = new Uint32Array(4);
    setWord(input, HEADER.opMod, MANAGE_PAGES.take);
    setWord(input, FUNCTION_ID, functionId);
    setWord(input, MANAGE_PAGES.count, count);
    const output = await this.#commands.exec(OPCODES.MANAGE_PAGES, input, new Uint32Array((MANAGE_PAGES.pages + 8 * count) / 4));
    const taken = getWord(output, MANAGE_PAGES.outCount);
    for (let n = 0; n < Math.min(taken, count); n++) this.#free(getAddress(output, MANAGE_PAGES.pages + 8 * n));
  }

  #free(address: number): void {
    const page = this.#pages.get(address);
    if (page === undefined) {
      this.#dev.log('warn', `page 0x${hex(address)} was given back, which the firmware did not have`, 'page_unknown');
      return;
    }
    this.#pages.delete(address);
    freeCoherent(this.#dma, page);
  }

  /** @see Linux 7.2 pagealloc.c page_notify_fail */
  async #refuse(functionId: number): Promise<void> {
    const input = new Uint32Array(4);
    setWord(input, HEADER.opMod, MANAGE_PAGES.cannotGive);
    setWord(input, FUNCTION_ID, functionId);
    await warnOnly(this.#dev, 'the firmware does not know', this.#commands.exec(OPCODES.MANAGE_PAGES, input));
  }
}
