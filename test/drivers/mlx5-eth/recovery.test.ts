import { describe, expect, test } from 'vitest';
import { XMIT } from '../../../core/index.js';
import type { Channel } from '../../../drivers/mlx5-eth/channel.js';
import { Mlx5Eth } from '../../../drivers/mlx5-eth/eth.js';
import { WQ_STATES } from '../../../hw/regs/nic-contexts.js';
import { EthBench, frame, receiver } from './fixture.js';

const SECONDS = 1_000_000;

/** Two adapters; `channel` is the first of the first one. */
async function open(options = { channels: 1, logSqSize: 6, logRqSize: 6 }) {
  const bench = await EthBench.start({ options });
  const [a, b] = [bench.eth(0), bench.eth(1)];
  await a.open();
  await b.open();
  const eth = bench.system.device('mlx5_core.eth.0').state as Mlx5Eth & { live: readonly Channel[] };
  const [channel] = eth.live;
  const one = frame(b.info().mac, a.info().mac, 100);
  const send = (count: number): number => {
    for (let n = 0; n < count; n++) if (a.send(0, one, 0, one.length) !== XMIT.OK) return n;
    return count;
  };
  const count = async (name: string): Promise<number> => (await a.ethtoolStatistics()).get(name)!;
  return { bench, a, b, channel: channel!, one, send, count, [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose]() };
}

describe('the watchdog of a network device', () => {
  test('123 makes a lost interrupt good by looking: the queue goes on, and nothing is reset', async () => {
    await using both = await open();
    const { bench, a, b, send, count } = both;
    const eqn = await bench.core(0).compEqn(0);
    const got = receiver(b);
    bench.nics[0]!.dropInterrupt(eqn);
    expect(send(100)).toBe(64);
    await bench.settle(14 * SECONDS);
    expect(a.info().queues[0]).toMatchObject({ isStopped: true, transTimeout: 0 });
    expect(got).toHaveLength(64);
    await bench.settle(2 * SECONDS);
    expect(a.info().queues[0]).toMatchObject({ isStopped: false, transTimeout: 1 });
    expect(bench.logged('netdev_watchdog')).toEqual([
      expect.stringMatching(/^NETDEV WATCHDOG: CPU: 0: transmit queue 0 timed out 15\d\d\d ms$/),
    ]);
    expect(bench.logged('tx_timeout')).toHaveLength(1);
    expect(bench.logged('eq_recovered')).toEqual([`Recovered 1 eqes on EQ 0x${eqn.toString(16)}`]);
    expect([await count('ch_eq_rearm'), await count('tx_recover')]).toEqual([1, 0]);
    expect(send(30)).toBe(30);
    await bench.settle(1000);
    expect(got).toHaveLength(94);
  });

  test('122 begins a queue anew when there is nothing to be found', async () => {
    await using both = await open();
    const { bench, a, b, channel, send, count } = both;
    const got = receiver(b);
    // The device forgets that it was told of work.
    const sq = bench.nics[0]!.pf.sqs[channel.tx.sq.number]!;
    const ring = sq.ring.bind(sq);
    sq.ring = () => {};
    expect(send(100)).toBe(64);
    await bench.settle(1000);
    sq.ring = ring;
    await bench.settle(16 * SECONDS);
    expect([await count('tx_recover'), await count('ch_eq_rearm')]).toEqual([1, 0]);
    expect(a.info().queues[0]).toMatchObject({ isStopped: false, inFlight: 0, transTimeout: 1 });
    expect(send(50)).toBe(50);
    await bench.settle(1000);
    expect(got).toHaveLength(50);
  });
});

describe('errors of queues', () => {
  test('a send queue that fails is stopped, told of once, flushed, and begins anew', async () => {
    await using both = await open();
    const { bench, a, b, channel, send, count } = both;
    const got = receiver(b);
    const { sq } = channel.tx;
    // An entry whose memory is not there, and others behind it.
    const at = sq.begin(1);
    sq.data(at, 0, 2 ** 45, 64);
    sq.end(at, 1, 64);
    expect(send(20)).toBe(20);
    await bench.settle(20);
    expect(a.info().queues[0]!.isStopped).toBe(true);
    expect(send(1)).toBe(0);
    await bench.settle(100_000);
    expect(bench.logged('error_cqe')).toHaveLength(1);
    expect(bench.logged('error_cqe')[0]).toMatch(/^Error cqe on cqn 0x.*opcode 0xd, syndrome 0x4, vendor syndrome 0x0$/);
    expect(await count('tx_recover')).toBe(1);
    expect(await count('tx_cqe_err')).toBeGreaterThan(1);
    expect(a.info().queues[0]).toMatchObject({ isStopped: false, inFlight: 0 });
    expect(sq.state).toBe('ready');
    got.length = 0;
    expect(send(64)).toBe(64);
    await bench.settle(1000);
    expect(got).toHaveLength(64);
  });

  test('a receive queue that fails is filled anew, and goes on', async () => {
    await using both = await open();
    const { bench, a, b, channel, one, count } = both;
    const got = receiver(a);
    const { rq } = channel.rx;
    // A buffer that is not there; its right place is kept.
    const { words } = rq;
    const address = words.get(2) + words.get(3) * 2 ** 32;
    rq.setBuffer(0, 2 ** 45, 2048);
    const back = Uint8Array.from(one);
    back.set(one.subarray(6, 12), 0);
    b.send(0, back, 0, back.length);
    await bench.settle(100_000);
    expect(await count('rx_wqe_err')).toBeGreaterThan(1);
    expect([await count('rx_recover'), bench.logged('error_cqe').length]).toEqual([1, 1]);
    expect([rq.state, bench.nics[0]!.pf.rqs[rq.number]!.state]).toEqual(['ready', WQ_STATES.ready]);
    rq.setBuffer(0, address, 2048);
    for (let n = 0; n < 200; n++) {
      b.send(0, back, 0, back.length);
      await bench.settle(20);
    }
    expect(got).toHaveLength(200);
    expect(got.every(({ bytes }) => Buffer.compare(bytes, back) === 0)).toBe(true);
  });

  test('a device that is closed while it recovers does not come back', async () => {
    await using both = await open();
    const { bench, a, channel, send } = both;
    const { sq } = channel.tx;
    const at = sq.begin(1);
    sq.data(at, 0, 2 ** 45, 64);
    sq.end(at, 1, 64);
    send(5);
    await bench.settle(30);
    const closing = a.close();
    await bench.settle(5 * SECONDS);
    await closing;
    expect(a.info()).toMatchObject({ isOpen: false, hasCarrier: false });
    expect(bench.logged('recover_failed')).toEqual([]);
    await a.open();
    expect(send(10)).toBe(10);
  });
});

describe('interrupt moderation', () => {
  test('128 ten packets are told of after the period; forty after the 32nd', async () => {
    await using both = await open({ channels: 1, logSqSize: 8, logRqSize: 8 });
    const { bench, a, b, send } = both;
    const times: number[] = [];
    const { clock } = bench.sim;
    await bench.settle(1000);
    const start = clock.now();
    b.onReceive(() => times.push(clock.now() - start));
    send(10);
    await bench.settle(100);
    expect(new Set(times)).toEqual(new Set([times[0]!]));
    expect(times).toHaveLength(10);
    expect(times[0]).toBeGreaterThanOrEqual(16);
    expect(times[0]).toBeLessThan(20);
    await bench.settle(1000);
    times.length = 0;
    const again = clock.now() - start;
    send(40);
    await bench.settle(10);
    expect(times.length).toBeGreaterThanOrEqual(32);
    expect(times[0]! - again).toBeLessThan(16);
    await bench.settle(100);
    expect(times).toHaveLength(40);
    await expect(a.setCoalesce({ rxUs: 5000 })).rejects.toThrow(/ERANGE/);
    await b.setCoalesce({ rxUs: 100, rxFrames: 1000 });
    times.length = 0;
    const third = clock.now() - start;
    send(40);
    await bench.settle(500);
    expect(times).toHaveLength(40);
    expect(times[0]! - third).toBeGreaterThanOrEqual(100);
    expect(b.coalesce()).toEqual({ rxUs: 100, rxFrames: 1000, txUs: 16, txFrames: 32 });
  });

  test('under load one interrupt serves many packets', async () => {
    await using both = await open({ channels: 1, logSqSize: 10, logRqSize: 10 });
    const { bench, b, send } = both;
    let count = 0;
    b.onReceive(() => count++);
    for (let n = 0; n < 10; n++) {
      expect(send(500)).toBe(500);
      await bench.settle(1000);
    }
    expect(count).toBe(5000);
    const names = await b.ethtoolStatistics();
    expect(names.get('ch_events')).toBeLessThan(5000 / 16);
    expect(names.get('ch_poll')).toBeLessThan(1000);
    expect(names.get('rx_packets')).toBe(5000);
  });
});
