import { describe, expect, test } from 'vitest';
import { DIM_PROFILES, type NetDevice, XMIT } from '../../../core/index.js';
import type { Mlx5EthOptions } from '../../../drivers/mlx5-eth/api.js';
import type { Channel } from '../../../drivers/mlx5-eth/channel.js';
import { Mlx5Eth } from '../../../drivers/mlx5-eth/eth.js';
import { OPCODES, STATUS } from '../../../hw/regs/nic-commands.js';
import { EthBench, frame } from './fixture.js';

const FIXED = { rxUs: 16, rxFrames: 32, txUs: 16, txFrames: 32 };
const periodsOf = (profiles: readonly { us: number }[]): number[] => profiles.map(({ us }) => us);
const [RX, TX] = [periodsOf(DIM_PROFILES.rx), periodsOf(DIM_PROFILES.tx)];

/** Two adapters; the one at the other end is looked at. */
async function open(more: Mlx5EthOptions = {}) {
  const bench = await EthBench.start({ options: { channels: 1, logSqSize: 9, logRqSize: 9, ...more } });
  const [a, b] = [bench.eth(0), bench.eth(1)];
  for (const eth of [a, b]) await eth.open();
  const channelOf = (n: number): Channel =>
    (bench.system.device(`mlx5_core.eth.${n}`).state as Mlx5Eth & { live: readonly Channel[] }).live[0]!;
  const moderation = (n: number, half: 'rx' | 'tx'): readonly [us: number, frames: number] => {
    const cq = bench.nics[n]!.pf.cqs[channelOf(n)[half].cq.cqn]!;
    return [cq.moderation.periodUs, cq.moderation.maxCount];
  };
  /** @returns the periods that the queue had, one after the other */
  const watch = async (n: number, half: 'rx' | 'tx', rounds: number, round: () => void): Promise<number[]> => {
    const periods = [moderation(n, half)[0]];
    for (let at = 0; at < rounds; at++) {
      round();
      await bench.settle(4);
      const [us] = moderation(n, half);
      if (us !== periods.at(-1)) periods.push(us);
    }
    return periods;
  };
  const [toA, toB] = [frame(a.info().mac, b.info().mac, 100), frame(b.info().mac, a.info().mac, 100)];
  const post = (eth: NetDevice, one: Uint8Array): void => {
    if (eth.send(0, one, 0, one.length) !== XMIT.OK) throw new Error('full');
  };
  return {
    bench,
    a,
    b,
    moderation,
    watch,
    /** Two frames, every 4 microseconds. */
    stream: () => {
      post(a, toB);
      post(a, toB);
    },
    /** One frame is under way, to and fro. */
    pingPong: () => {
      a.onReceive(() => post(a, toB));
      b.onReceive(() => post(b, toA));
      post(a, toB);
    },
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
}

describe('adaptive interrupt moderation', () => {
  test('is off at first: every queue keeps what its user has set', async () => {
    await using it = await open();
    expect(it.b.coalesce()).toEqual(FIXED);
    expect(await it.watch(1, 'rx', 3000, it.stream)).toEqual([16]);
    expect([it.moderation(0, 'tx'), it.moderation(1, 'rx')]).toEqual([
      [16, 32],
      [16, 32],
    ]);
  });

  test('under a stream a receive queue comes to the last profile, and has fewer interrupts', async () => {
    await using it = await open();
    const { b, watch, stream, moderation } = it;
    const events = async (): Promise<number> => (await b.ethtoolStatistics()).get('ch_events')!;
    await b.setCoalesce({ adaptiveRx: true });
    expect(b.coalesce()).toEqual({ ...FIXED, adaptiveRx: true });
    expect(moderation(1, 'rx')).toEqual([RX[0], DIM_PROFILES.rx[0]!.frames]);
    const before = await events();
    await watch(1, 'rx', 1000, stream);
    const first = (await events()) - before;
    const periods = await watch(1, 'rx', 20_000, stream);
    expect(periods.at(-1)).toBe(RX.at(-1));
    const then = await events();
    await watch(1, 'rx', 1000, stream);
    expect((await events()) - then).toBeLessThan(first / 10);
    expect(moderation(1, 'tx')).toEqual([16, 32]);
  });

  test('who waits for answers has them at once', async () => {
    await using it = await open();
    const { bench, a, b, moderation, watch, stream, pingPong } = it;
    await b.setCoalesce({ adaptiveRx: true });
    await watch(1, 'rx', 10_000, stream);
    expect(moderation(1, 'rx')[0]).toBeGreaterThan(RX[1]!);
    // Nothing else wakes them.
    for (const eth of [a, b]) await eth.setCoalesce({ txUs: 4000, txFrames: 60_000 });
    await a.setCoalesce({ rxUs: 0 });
    await bench.settle(5000);
    pingPong();
    await bench.settle(60_000);
    expect(moderation(1, 'rx')[0]).toBe(RX[0]);
  });

  test('a transmit queue has profiles of its own', async () => {
    await using it = await open({ adaptiveTx: true });
    expect(it.a.coalesce()).toEqual({ ...FIXED, adaptiveTx: true });
    const periods = await it.watch(0, 'tx', 20_000, it.stream);
    expect(periods[0]).toBe(TX[0]);
    expect(periods.at(-1)).toBe(TX.at(-1));
    expect(it.moderation(1, 'rx')).toEqual([16, 32]);
  });

  test('switched off, the queue has what was set, and keeps it; reopened, it adapts from the beginning', async () => {
    await using it = await open({ adaptiveRx: true });
    const { b, watch, stream, moderation } = it;
    expect((await watch(1, 'rx', 3000, stream)).length).toBeGreaterThan(1);
    await b.setCoalesce({ rxUs: 50 });
    expect(moderation(1, 'rx')[0]).not.toBe(50);
    await b.setCoalesce({ adaptiveRx: false });
    expect(b.coalesce()).toEqual({ ...FIXED, rxUs: 50 });
    expect(await watch(1, 'rx', 3000, stream)).toEqual([50]);
    await b.setCoalesce({ adaptiveRx: true });
    await watch(1, 'rx', 10_000, stream);
    await b.close();
    await b.open();
    expect(moderation(1, 'rx')[0]).toBe(RX[0]);
  });

  test('a command that fails is told, and the next choice is tried all the same', async () => {
    await using it = await open({ adaptiveRx: true });
    const { bench, watch, stream } = it;
    bench.nics[1]!.inject({ opcode: OPCODES.MODIFY_CQ, status: STATUS.noResources, times: 1 });
    const periods = await watch(1, 'rx', 20_000, stream);
    expect(bench.logged('dim_failed')).toEqual([expect.stringMatching(/^completion queue \d+ keeps its moderation: .*EAGAIN/)]);
    expect(periods.at(-1)).toBe(RX.at(-1));
  });

  /** A choice is under way, for half a millisecond. */
  const choosing = async (it: Awaited<ReturnType<typeof open>>): Promise<void> => {
    const slow = it.bench.nics[1]!.inject({ opcode: OPCODES.MODIFY_CQ, delayUs: 500, times: 1 });
    for (let n = 0; n < 3000 && slow.left > 0; n++) {
      it.stream();
      await it.bench.settle(4);
    }
    expect(slow.left).toBe(0);
  };

  test('what is set while a choice is under way comes after it', async () => {
    await using it = await open({ adaptiveRx: true });
    await choosing(it);
    const setting = it.b.setCoalesce({ adaptiveRx: false, rxUs: 77 });
    await it.bench.settle(5000);
    await setting;
    expect(it.moderation(1, 'rx')).toEqual([77, 32]);
  });

  test('a device that is closed while a choice is under way waits for its end', async () => {
    await using it = await open({ adaptiveRx: true });
    await choosing(it);
    const closing = it.b.close();
    await it.bench.settle(5000);
    await closing;
    expect(it.bench.logged('dim_failed')).toEqual([]);
  });
});
