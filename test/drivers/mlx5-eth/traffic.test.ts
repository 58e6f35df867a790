import { describe, expect, test } from 'vitest';
import { type NetDevice, Random, XMIT } from '../../../core/index.js';
import type { Channel } from '../../../drivers/mlx5-eth/channel.js';
import { Mlx5Eth } from '../../../drivers/mlx5-eth/eth.js';
import { OPCODES, STATUS } from '../../../hw/regs/nic-commands.js';
import { EthBench, type Received, frame, receiver } from './fixture.js';

async function pair(more: Parameters<typeof EthBench.start>[0] = {}) {
  const bench = await EthBench.start(more);
  const [a, b] = [bench.eth(0), bench.eth(1)];
  await a.open();
  await b.open();
  return { bench, a, b, [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose]() };
}

/** Sends all frames, waiting where a queue is full. @returns how often it had to */
async function sendAll(
  from: NetDevice,
  frames: readonly Uint8Array[],
  queueOf: (n: number) => number,
  more = 1,
): Promise<number> {
  let waits = 0;
  for (const [n, bytes] of frames.entries()) {
    const queue = queueOf(n);
    const isLast = n === frames.length - 1 || n % more === more - 1;
    while (from.send(queue, bytes, 0, bytes.length, !isLast) === XMIT.BUSY) {
      waits++;
      await from.ready(queue);
    }
  }
  return waits;
}

const numbered = (to: NetDevice, from: NetDevice, count: number, size = (_n: number): number => 100): Uint8Array[] =>
  Array.from({ length: count }, (_, n) => frame(to.info().mac, from.info().mac, size(n), n));

describe('two adapters with a cable', () => {
  test('frames of every size come byte for byte', async () => {
    await using both = await pair();
    const { bench, a, b } = both;
    expect(a.info()).toMatchObject({ hasCarrier: true, carrierUpCount: 1 });
    const got = receiver(b);
    const sizes = [14, 15, 60, 63, 64, 65, 1499, 1500, 1514, 1518];
    const sent = numbered(b, a, sizes.length, (n) => sizes[n]!);
    for (const one of sent) expect(a.send(0, one, 0, one.length)).toBe(XMIT.OK);
    await bench.settle();
    expect(got.map(({ bytes }) => bytes)).toEqual(sent);
    expect(await b.statistics()).toMatchObject({ rxPackets: 10, rxMissed: 0, rxDropped: 0 });
    expect(await a.statistics()).toMatchObject({ txPackets: 10, txDropped: 0, txBytes: sizes.reduce((x, y) => x + y) });
  });

  test('a part of a buffer is sent, and nothing else of it', async () => {
    await using both = await pair();
    const { bench, a, b } = both;
    const got = receiver(b);
    const one = frame(b.info().mac, a.info().mac, 90);
    const buffer = new Uint8Array(200).fill(0xee);
    buffer.set(one, 33);
    a.send(0, buffer, 33, 90);
    // The memory is the caller's again.
    buffer.fill(0);
    await bench.settle();
    expect(got.map(({ bytes }) => bytes)).toEqual([one]);
  });

  test('through rings of 64, both ways at once: 3,000 frames, none lost, none twice, in order', async () => {
    await using both = await pair();
    const { bench, a, b } = both;
    const random = new Random(1);
    const size = (): number => 14 + random.below(1500);
    const [atA, atB] = [receiver(a), receiver(b)];
    const [toB, toA] = [numbered(b, a, 3000, size), numbered(a, b, 3000, size)];
    const waits = await Promise.all([sendAll(a, toB, () => 0), sendAll(b, toA, () => 1, 7)]);
    await bench.settle(1000);
    expect(Math.min(...waits)).toBeGreaterThan(0);
    expect(firstDifference(atB, toB)).toBe(-1);
    expect(firstDifference(atA, toA)).toBe(-1);
    const names = await a.ethtoolStatistics();
    expect(names.get('tx_queue_stopped')).toBe(names.get('tx_queue_wake'));
    expect(names.get('tx_queue_stopped')).toBeGreaterThan(0);
    expect((await b.ethtoolStatistics()).get('tx_xmit_more')).toBeGreaterThan(1000);
    expect(await a.statistics()).toMatchObject({ txPackets: 3000, rxPackets: 3000, rxMissed: 0 });
  });

  test('what finds no buffer is dropped by the device, and counted', async () => {
    await using both = await pair({ options: { channels: 1, logSqSize: 8, logRqSize: 6 } });
    const { bench, a, b } = both;
    const got = receiver(b);
    const core = bench.core(1);
    const eqn = await core.compEqn(0);
    bench.nics[1]!.dropInterrupt(eqn);
    await sendAll(a, numbered(b, a, 100), () => 0);
    await bench.settle(1000);
    expect(got).toHaveLength(0);
    expect(core.pollEq(eqn)).toBe(1);
    await bench.settle();
    expect(got).toHaveLength(64);
    expect(await b.statistics()).toMatchObject({ rxPackets: 64, rxMissed: 36 });
    expect((await b.ethtoolStatistics()).get('rx_out_of_buffer')).toBe(36);
    // What was counted stays when the queues go.
    await b.close();
    expect(await b.statistics()).toMatchObject({ rxMissed: 36 });
  });

  test('flows are spread over the channels by their hash; a table of one queue brings all there', async () => {
    await using both = await pair();
    const { bench, a, b } = both;
    const got = receiver(b);
    const flows = Array.from({ length: 64 }, (_, n) => ipFrame(b.info().mac, a.info().mac, n));
    await sendAll(a, flows, () => 0);
    await bench.settle();
    const queues = got.map(({ queue }) => queue);
    expect(new Set(queues)).toEqual(new Set([0, 1]));
    got.length = 0;
    await sendAll(a, flows, () => 0);
    await bench.settle();
    const byFlow = (all: readonly { bytes: Uint8Array; queue: number }[]): number[] =>
      flows.map((flow) => all.find(({ bytes }) => Buffer.compare(bytes, flow) === 0)!.queue);
    // The same flow, the same queue.
    const before = byFlow(got);
    got.length = 0;
    const { table } = b.receiveHash();
    await b.setReceiveHash({ table: table.map(() => 1) });
    await sendAll(a, flows, () => 0);
    await bench.settle();
    expect(before).toContain(0);
    expect(got.map(({ queue }) => queue)).toEqual(flows.map(() => 1));
    await b.setReceiveHash({ table, key: b.receiveHash().key.map((byte) => byte ^ 0x5a) });
    got.length = 0;
    await sendAll(a, flows, () => 0);
    await bench.settle();
    expect(byFlow(got)).not.toEqual(before);
    await b.close();
  });

  test('a handler may send what it gets: 500 frames echoed', async () => {
    await using both = await pair();
    const { bench, a, b } = both;
    b.onReceive((buffer, offset, length) => {
      const back = swapped(buffer.subarray(offset, offset + length));
      expect(b.send(1, back, 0, length)).toBe(XMIT.OK);
    });
    const got = receiver(a);
    const sent = numbered(b, a, 500);
    for (let n = 0; n < 500; n += 20) {
      await sendAll(a, sent.slice(n, n + 20), () => 0, 20);
      await bench.settle(100);
    }
    expect(firstDifference(got, sent.map(swapped))).toBe(-1);
  });

  test('126 in mode legacy a broadcast comes to others and not to its sender; what is sent to oneself does not come back', async () => {
    await using both = await pair();
    const { bench, a, b } = both;
    const [atA, atB] = [receiver(a), receiver(b)];
    const broadcast = frame('ff:ff:ff:ff:ff:ff', a.info().mac, 60);
    a.send(0, broadcast, 0, 60);
    a.send(0, frame(a.info().mac, a.info().mac, 60), 0, 60);
    await bench.settle();
    expect([atA.length, atB.map(({ bytes }) => bytes)]).toEqual([0, [broadcast]]);
    expect(await b.statistics()).toMatchObject({ multicast: 1 });
  });

  test('to another address nothing comes, unless it is asked for', async () => {
    await using both = await pair();
    const { bench, a, b } = both;
    const got = receiver(b);
    const other = '02:aa:00:00:00:01';
    const send = async (to: string): Promise<number> => {
      got.length = 0;
      a.send(0, frame(to, a.info().mac, 60), 0, 60);
      await bench.settle();
      return got.length;
    };
    expect(await send(other)).toBe(0);
    await b.setRxMode({ unicast: [other] });
    expect(await send(other)).toBe(1);
    await b.setRxMode({ unicast: [] });
    expect(await send(other)).toBe(0);
    await b.setRxMode({ promiscuous: true });
    expect(await send(other)).toBe(1);
    await b.setRxMode({ promiscuous: false });
    const own = b.info().mac;
    await b.setMac(other);
    expect(await send(other)).toBe(1);
    expect(await send(own)).toBe(0);
  });

  test('jumbo frames pass when both ends take them', async () => {
    await using both = await pair();
    const { bench, a, b } = both;
    await a.setMtu(9000);
    const got = receiver(b);
    const big = frame(b.info().mac, a.info().mac, 9014);
    a.send(0, big, 0, big.length);
    await bench.settle();
    expect(got).toHaveLength(0);
    await b.setMtu(9000);
    await bench.settle();
    a.send(0, big, 0, big.length);
    await bench.settle();
    expect(got.map(({ bytes }) => bytes)).toEqual([big]);
  });

  test('other rings and channels open it again, and traffic goes on', async () => {
    await using both = await pair();
    const { bench, a, b } = both;
    const got = receiver(b);
    await b.setChannels(4);
    await b.setRing({ rx: 256, tx: 128 });
    await a.setChannels(1);
    expect([b.ring(), b.channels().combined, a.info().queues.length]).toEqual([
      { rx: 256, tx: 128, maxRx: 8192, maxTx: 8192 },
      4,
      1,
    ]);
    await sendAll(a, numbered(b, a, 300), () => 0);
    await bench.settle();
    expect(got).toHaveLength(300);
    expect(() => a.send(1, new Uint8Array(60), 0, 60)).toThrow(/EINVAL/);
    // What is refused leaves it open, as it was.
    await expect(async () => b.setRing({ rx: 100 })).rejects.toThrow(/EINVAL.*power of two/);
    expect([b.info().isOpen, b.ring().rx]).toEqual([true, 256]);
    await b.setReceiveHash({ table: b.receiveHash().table.map(() => 3) });
    await expect(async () => b.setChannels(2)).rejects.toThrow(/EINVAL.*has queue 3/);
    await sendAll(a, numbered(b, a, 10), () => 0);
    await bench.settle();
    expect(got).toHaveLength(310);
  });

  test('another key alone leaves the table to follow the channels', async () => {
    await using both = await pair({ options: { channels: 4, logSqSize: 6, logRqSize: 6 } });
    const { b } = both;
    const key = b.receiveHash().key.map((byte) => byte ^ 0x5a);
    await b.setReceiveHash({ key });
    await b.setChannels(2);
    expect([b.receiveHash().key, Math.max(...b.receiveHash().table)]).toEqual([key, 1]);
    await b.setChannels(4);
    expect(Math.max(...b.receiveHash().table)).toBe(3);
  });

  test('a hash that the device refuses is not said to be there', async () => {
    await using both = await pair();
    const { bench, b } = both;
    const before = b.receiveHash();
    for (const opcode of [OPCODES.MODIFY_RQT, OPCODES.CREATE_TIR]) {
      using _fault = bench.nics[1]!.inject({ opcode, status: STATUS.internal });
      const wanted = { table: before.table.map(() => 1), key: before.key.map((byte) => byte ^ 1) };
      await expect(b.setReceiveHash(wanted)).rejects.toThrow(/EIO/);
      expect(b.receiveHash()).toEqual(before);
    }
  });

  test('carrier follows the cable', async () => {
    await using both = await pair();
    const { bench, a } = both;
    bench.nics[1]!.wire = undefined;
    await bench.settle(1000);
    expect(a.info()).toMatchObject({ hasCarrier: false, carrierDownCount: 1 });
    expect(a.send(0, new Uint8Array(60), 0, 60)).toBe(XMIT.DROP);
    expect(await a.statistics()).toMatchObject({ txDropped: 1 });
  });

  test('opened and closed again and again it forgets nothing that it has counted', async () => {
    await using both = await pair();
    const { bench, a, b } = both;
    const held = bench.system.device('mlx5_core.eth.0').devres.size;
    for (let round = 1; round <= 4; round++) {
      const got = receiver(b);
      await sendAll(a, numbered(b, a, 50), (n) => n % 2);
      await bench.settle();
      expect(got).toHaveLength(50);
      await a.close();
      await a.open();
      expect(bench.system.device('mlx5_core.eth.0').devres.size).toBe(held);
      expect(await a.statistics()).toMatchObject({ txPackets: 50 * round });
    }
  });

  test('a poll that is not where its interrupt is completes, though there is work, and goes on there', async () => {
    await using both = await pair({ options: { channels: 1, logSqSize: 8, logRqSize: 8 } });
    const { bench, a, b } = both;
    const core = bench.core(1);
    await b.setCoalesce({ rxUs: 100, rxFrames: 1000 });
    const { irqs } = bench.system.kernel;
    const cpus: number[] = [];
    let count = 0;
    b.onReceive(() => {
      if (count++ > 0) return;
      cpus.push(core.compCpus(0)!.first);
      irqs.setAffinity(core.irqOf(0), [3]);
      cpus.push(core.compCpus(0)!.first);
    });
    await sendAll(a, numbered(b, a, 200), () => 0, 200);
    await bench.settle(1000);
    expect([count, cpus]).toEqual([200, [0, 3]]);
    expect((await b.ethtoolStatistics()).get('ch_aff_change')).toBe(1);
  });

  test('a poll without a budget cleans up what was sent, and completes nothing', async () => {
    await using both = await pair({ options: { channels: 1, logSqSize: 8, logRqSize: 8 } });
    const { bench, a, b } = both;
    const eth = bench.system.device('mlx5_core.eth.0').state as Mlx5Eth & { live: readonly Channel[] };
    const counts = async (): Promise<(number | undefined)[]> => {
      const names = await a.ethtoolStatistics();
      return ['tx_cqes', 'ch_arm', 'rx_packets'].map((name) => names.get(name));
    };
    for (const to of [a, b]) await to.setCoalesce({ rxUs: 4000, rxFrames: 1000, txUs: 4000, txFrames: 1000 });
    const [one, back] = [numbered(b, a, 1)[0]!, numbered(a, b, 1)[0]!];
    a.send(0, one, 0, one.length);
    b.send(0, back, 0, back.length);
    bench.sim.elapse(100);
    const [cqes, arm, packets] = await counts();
    expect(eth.live[0]!.poll(0)).toBe(0);
    expect(await counts()).toEqual([cqes! + 1, arm, packets]);
    await bench.settle(5000);
    expect(await counts()).toEqual([cqes! + 1, arm! + 1, packets! + 1]);
  });

  test('with a byte limit the queue is closed by bytes under way, and finds out how many keep it busy', async () => {
    await using both = await pair({ options: { channels: 1, logSqSize: 8, logRqSize: 8 } });
    const { bench, a, b } = both;
    const got = receiver(b);
    a.setByteLimit(0, 0);
    const [one] = numbered(b, a, 1, () => 1000);
    expect([a.send(0, one!, 0, 1000), a.send(0, one!, 0, 1000)]).toEqual([XMIT.OK, XMIT.BUSY]);
    const waits = await sendAll(a, numbered(b, a, 200), () => 0);
    await bench.settle();
    expect(got).toHaveLength(201);
    expect(waits).toBeGreaterThan(0);
    // It has grown: more than one frame is under way at a time.
    expect(waits).toBeLessThan(150);
  });

  test('a handler may close the device that calls it', async () => {
    await using both = await pair();
    const { bench, a, b } = both;
    let closed: PromiseLike<void> | void;
    b.onReceive(() => {
      closed ??= b.close();
    });
    await sendAll(a, numbered(b, a, 10), () => 0);
    await bench.settle();
    await closed!;
    expect(b.info().isOpen).toBe(false);
    await b.open();
    const got = receiver(b);
    await sendAll(a, numbered(b, a, 10), () => 0);
    await bench.settle();
    expect(got).toHaveLength(10);
  });
});

/** The first frame that is not as it was sent; -1 when there is none. */
function firstDifference(got: readonly Received[], sent: readonly Uint8Array[]): number {
  const count = Math.max(got.length, sent.length);
  for (let n = 0; n < count; n++) {
    const [one, other] = [got[n]?.bytes, sent[n]];
    if (one === undefined || other === undefined || Buffer.compare(one, other) !== 0) return n;
  }
  return -1;
}

/** A frame the other way round. */
function swapped(bytes: Uint8Array): Uint8Array {
  const out = Uint8Array.from(bytes);
  out.set(bytes.subarray(6, 12), 0);
  out.set(bytes.subarray(0, 6), 6);
  return out;
}

/** A UDP packet of flow `n`. */
function ipFrame(to: string, from: string, n: number): Uint8Array {
  const bytes = frame(to, from, 60, n);
  bytes.set([0x08, 0x00, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], 12);
  bytes.set([0x10, n, 0x20, 0x00], 34);
  return bytes;
}
