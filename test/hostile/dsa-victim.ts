import { expect } from 'vitest';
import { type Desc, DsaBench } from '../acceptance/dsa-bench.js';

const MOVE = 3;
export const PAGE = 4096;

/** What is so after each step, whatever the steps. */
const must = (actual: unknown, expected: unknown): void => expect(actual).toEqual(expected);

/** A working device, and what of its memory nobody may change; it still works at the end, and its model threw nothing. */
export class Victim implements AsyncDisposable {
  readonly #before: Uint8Array;
  private constructor(readonly bench: DsaBench) {
    bench.seed(bench.source, 0x1000);
    bench.seed(bench.destination, 0x1000, 13);
    this.#before = bench.bytes(bench.arena.address + PAGE, bench.arena.sizeBytes - PAGE);
  }

  static async start(): Promise<Victim> {
    const bench = await DsaBench.start();
    bench.enable();
    return new Victim(bench);
  }

  /** A move that would work, but for what is given. */
  move(wrong: Desc = {}): ReturnType<DsaBench['run']> {
    const { bench } = this;
    return bench.run({ op: MOVE, source: bench.source, destination: bench.destination, size: 64, ...wrong });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { bench } = this;
    must(Buffer.compare(bench.bytes(bench.arena.address + PAGE, this.#before.length), this.#before), 0);
    must(bench.run({}).status, 1);
    must(bench.sim.modelErrors, []);
    await bench[Symbol.asyncDispose]();
  }
}
