import { describe, expect, test } from 'vitest';
import { XMIT } from 'backplane';
import { NicWorld, frame, received } from './nic-bench.js';

/** Sends frames with numbers from one device to the other; waits where the queue is stopped. */
async function sendAll(world: NicWorld, count: number, length: number, during?: (n: number) => void): Promise<Uint8Array[]> {
  const [from, to] = [world.eth(0), world.eth(1)];
  const sent: Uint8Array[] = [];
  for (let n = 0; n < count; n++) {
    const one = frame(to.info().mac, from.info().mac, length, n);
    while (from.send((n >>> 3) & 1, one, 0, length, n % 8 !== 7) === XMIT.BUSY) await from.ready((n >>> 3) & 1);
    sent.push(one);
    during?.(n);
    if (n % 8 === 7) await world.settle(5);
  }
  await world.settle(1000);
  return sent;
}

async function twoPorts(): Promise<NicWorld> {
  const world = await NicWorld.start({ nics: [{ sfs: 0 }, { sfs: 0 }] });
  for (const n of [0, 1]) await world.eth(n).open();
  await world.settle(1000);
  return world;
}

/** Expects the same frames, each as often, in whatever order. */
function expectSame(got: readonly Uint8Array[], sent: readonly Uint8Array[]): void {
  expect(got.length).toBe(sent.length);
  const sorted = (frames: readonly Uint8Array[]): string[] =>
    frames.map((bytes) => Buffer.from(bytes).toString('hex')).toSorted();
  const wanted = sorted(sent);
  expect(sorted(got).findIndex((text, n) => text !== wanted[n])).toBe(-1);
}

describe('two ports', () => {
  test.each([14, 60, 64, 1500, 1514])('frames of %i bytes arrive as they were sent, each once', async (length) => {
    await using world = await twoPorts();
    const got = received(world.eth(1));
    const sent = await sendAll(world, 400, length);
    expectSame(got, sent);
    expect(await world.eth(0).statistics()).toMatchObject({ txPackets: 400, txBytes: 400 * length, txErrors: 0, txDropped: 0 });
    expect(await world.eth(1).statistics()).toMatchObject({
      rxPackets: 400,
      rxBytes: 400 * length,
      rxErrors: 0,
      rxDropped: 0,
      rxMissed: 0,
    });
  });

  test('120 a queue without room is stopped, and woken once there is; nobody is told to keep a frame that was taken', async () => {
    await using world = await twoPorts();
    const [from, to] = [world.eth(0), world.eth(1)];
    const got = received(to);
    const one = frame(to.info().mac, from.info().mac, 64);
    let taken = 0;
    while (from.send(0, one, 0, 64) === XMIT.OK) taken++;
    expect(taken).toBeGreaterThan(0);
    expect(taken).toBeLessThanOrEqual(64);
    expect([from.info().queues[0]!.isStopped, from.send(0, one, 0, 64)]).toEqual([true, XMIT.BUSY]);
    expect(from.send(1, one, 0, 64)).toBe(XMIT.OK);
    await from.ready(0);
    await world.settle(1000);
    expect(got).toHaveLength(taken + 1);
    expect(from.info().queues[0]!.isStopped).toBe(false);
    const counters = await from.ethtoolStatistics();
    expect([counters.get('tx_queue_stopped'), counters.get('tx_queue_wake')]).toEqual([1, 1]);
  });

  test('121 frames without a link never reach the driver, and the link is counted', async () => {
    await using world = await twoPorts();
    const [near, far] = [world.eth(0), world.eth(1)];
    expect(near.info()).toMatchObject({ hasCarrier: true });
    const { carrierUpCount, carrierDownCount } = near.info();
    world.silicon[1]!.wire = undefined;
    await world.settle(1000);
    expect(near.info()).toMatchObject({ hasCarrier: false, carrierUpCount, carrierDownCount: carrierDownCount + 1 });
    const one = frame(far.info().mac, near.info().mac, 64);
    expect(near.send(0, one, 0, 64)).toBe(XMIT.DROP);
    expect(await near.statistics()).toMatchObject({ txDropped: 1, txPackets: 0 });
    expect((await near.ethtoolStatistics()).get('tx_packets')).toBe(0);
  });

  test('53 messages in memory are moved to another CPU under traffic: none is lost, and none comes to a third', async () => {
    const nics = [
      { sfs: 0, msix: 1, imsCapacity: 64 },
      { sfs: 0, msix: 1, imsCapacity: 64 },
    ];
    await using world = await NicWorld.start({ nics, cpus: 4 });
    for (const n of [0, 1]) await world.eth(n).open();
    await world.settle(1000);
    const { irqs } = world.system.kernel;
    const core = world.core(1);
    const moved = [0, 1].map((vector) => core.irqOf(vector));
    const before = moved.map((virq) => [0, 1, 2, 3].map((cpu) => irqs.desc(virq).countOn(cpu)));
    const got = received(world.eth(1));
    const sent = await sendAll(world, 800, 64, (n) => {
      if (n % 100 === 50) for (const virq of moved) irqs.setAffinity(virq, [n % 200 === 50 ? 3 : 1]);
    });
    expectSame(got, sent);
    expect(
      core.irqTable.pcif
        .list()
        .map(({ source }) => source)
        .slice(1),
    ).toContain('memory');
    const counts = moved.map((virq, i) => [0, 1, 2, 3].map((cpu) => irqs.desc(virq).countOn(cpu) - before[i]![cpu]!));
    for (const [, , third] of counts) expect(third).toBe(0);
    expect(counts.reduce((sum, [, , , last]) => sum + last!, 0)).toBeGreaterThan(0);
    expect(await world.eth(1).statistics()).toMatchObject({ rxPackets: 800, rxMissed: 0, rxErrors: 0 });
  });
});
