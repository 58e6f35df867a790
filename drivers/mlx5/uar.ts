import type { Device } from '../../core/index.js';
import { PAGE_BYTES } from '../../hw/regs/nic.js';
import { OBJECT, OPCODES } from '../../hw/regs/nic-commands.js';
import { getWord, setWord } from '../../hw/regs/nic-words.js';
import type { Mlx5Uar } from './api.js';
import type { Commands } from './commands.js';
import type { FunctionWindow } from './function-window.js';
import { type Held, hold, warnOnly } from './held.js';

/**
 * A page of doorbells. It is no mapping of its own: the window of the function is, and ends with its binding.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/uar.c alloc_uars_page
 */
export class Uar implements Mlx5Uar, AsyncDisposable {
  readonly #window: FunctionWindow;
  readonly #held: Held<number>;
  readonly #at: number;

  /** @internal */
  constructor(window: FunctionWindow, held: Held<number>) {
    this.#window = window;
    this.#held = held;
    this.#at = held.value * PAGE_BYTES;
  }

  get index(): number {
    return this.#held.value;
  }

  get offset(): number {
    return this.#window.offset + this.#at;
  }

  get barIndex(): number {
    return this.#window.barIndex;
  }

  write32(offset: number, value: number): void {
    this.#window.write32(this.#at + offset, value);
  }

  write64(offset: number, lo: number, hi: number): void {
    this.#window.write64(this.#at + offset, lo, hi);
  }

  /** Gives it back; harmless when that was done. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#held[Symbol.asyncDispose]();
  }
}

/** Allocates a page, for `dev`. In the ledger it is `uar`. @throws {Errno} as `Mlx5Child.exec` */
export async function allocUar(dev: Device, commands: Commands, window: FunctionWindow): Promise<Uar> {
  const alloc = async (): Promise<number> => getWord(await commands.exec(OPCODES.ALLOC_UAR, new Uint32Array(4)), OBJECT);
  const free = async (index: number): Promise<void> => {
    const input = new Uint32Array(4);
    setWord(input, OBJECT, index);
    await warnOnly(dev, `uar ${index} is not freed`, commands.exec(OPCODES.DEALLOC_UAR, input));
  };
  return new Uar(window, await hold(dev, 'uar', alloc, free));
}
