import { describe, expect, test } from 'vitest';
import { type NetDevice, XMIT } from 'backplane';
import { cable } from 'backplane/sim';
import { NicWorld, frame, received, refusal } from './nic-bench.js';

async function twoPorts(channels = 2): Promise<{ world: NicWorld; from: NetDevice; to: NetDevice }> {
  const world = await NicWorld.start({ nics: [{ sfs: 0 }, { sfs: 0 }], eth: { channels } });
  const [from, to] = [world.eth(0), world.eth(1)];
  for (const port of [from, to]) await port.open();
  await world.settle(1000);
  return { world, from, to };
}

/** A datagram of IPv4 from a port of UDP. */
function datagram(to: NetDevice, from: NetDevice, port: number): Uint8Array {
  const bytes = frame(to.info().mac, from.info().mac, 64);
  bytes.set([0x08, 0x00, 0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, port >>> 8, port & 0xff, 0, 9], 12);
  return bytes;
}

describe('a network device of the adapter', () => {
  test('28 packets that find no buffer are counted as missed, and those that found one come whole', async () => {
    const [mine, its] = cable();
    await using world = await NicWorld.start({ nics: [{ sfs: 0, wire: its }], eth: { channels: 1 } });
    mine.attach({ receive: () => {}, setLink: () => {} });
    const to = world.eth(0);
    await to.open();
    await world.settle(1000);
    const got = received(to);
    const one = frame(to.info().mac, '02:00:00:00:00:01', 64);
    const sent = 300;
    // All of them before anybody polls.
    for (let n = 0; n < sent; n++) mine.send(one, 0, 64);
    await world.settle(1000);
    const { rxPackets, rxMissed } = await to.statistics();
    expect(rxPackets + rxMissed).toBe(sent);
    expect(rxMissed).toBeGreaterThan(0);
    expect(got).toHaveLength(rxPackets);
    expect(got.every((bytes) => Buffer.compare(bytes, one) === 0)).toBe(true);
    expect((await to.ethtoolStatistics()).get('rx_out_of_buffer')).toBe(rxMissed);
    // It goes on.
    mine.send(one, 0, 64);
    await world.settle(1000);
    expect(got).toHaveLength(rxPackets + 1);
  });

  test('packets of one flow come to one queue, in order; many flows come to all', async () => {
    const { world, from, to } = await twoPorts(4);
    await using _ = world;
    const flows = new Map<number, Set<number>>();
    to.onReceive((buffer, offset, _length, queue) => {
      const port = (buffer[offset + 34]! << 8) | buffer[offset + 35]!;
      flows.set(port, (flows.get(port) ?? new Set<number>()).add(queue));
    });
    for (let n = 0; n < 256; n++) {
      const one = datagram(to, from, 1000 + (n % 32));
      while (from.send(n % 4, one, 0, 64) === XMIT.BUSY) await from.ready(n % 4);
      if (n % 16 === 15) await world.settle(50);
    }
    await world.settle(1000);
    expect(flows.size).toBe(32);
    expect([...flows.values()].every((queues) => queues.size === 1)).toBe(true);
    expect(new Set([...flows.values()].flatMap((queues) => [...queues]))).toEqual(new Set([0, 1, 2, 3]));
  });

  test('128 an interrupt comes 16 microseconds after the first packet, or with the 32nd', async () => {
    const { world, from, to } = await twoPorts(1);
    await using _ = world;
    expect(to.coalesce()).toEqual({ rxUs: 16, rxFrames: 32, txUs: 16, txFrames: 32 });
    const got = received(to);
    world.sim.clock.mode = 'manual';
    const one = frame(to.info().mac, from.info().mac, 64);
    for (let n = 0; n < 10; n++) from.send(0, one, 0, 64, n < 9);
    world.sim.elapse(15);
    expect(got).toHaveLength(0);
    world.sim.elapse(5);
    expect(got).toHaveLength(10);
    for (let n = 0; n < 40; n++) from.send(0, one, 0, 64, n < 39);
    world.sim.elapse(3);
    expect(got.length).toBeGreaterThanOrEqual(42);
    world.sim.clock.mode = 'auto';
    expect(await refusal(() => to.setCoalesce({ rxUs: 4096 }))).toMatch(/^ERANGE/);
    expect(await refusal(() => to.setCoalesce({ rxFrames: 65_536 }))).toMatch(/^ERANGE/);
  });

  test('a larger MTU takes larger frames at both ends, and a smaller one refuses them', async () => {
    const { world, from, to } = await twoPorts();
    await using _ = world;
    const got = received(to);
    const long = frame(to.info().mac, from.info().mac, 4014, 3);
    expect(await refusal(() => from.send(0, long, 0, long.length))).toMatch(/^ERANGE/);
    for (const port of [from, to]) await port.setMtu(4000);
    await world.settle(1000);
    expect(from.send(0, long, 0, long.length)).toBe(XMIT.OK);
    await world.settle(1000);
    expect(got.map((bytes) => Buffer.compare(bytes, long))).toEqual([0]);
    expect(await refusal(() => from.setMtu(67))).toMatch(/^EINVAL/);
    expect(await refusal(() => from.setMtu(20_000))).toMatch(/^EINVAL/);
  });

  test('frames to others are not received, unless it listens to all; groups are when it asked for them', async () => {
    const { world, from, to } = await twoPorts();
    await using _ = world;
    const got = received(to);
    const send = async (address: string): Promise<number> => {
      const before = got.length;
      from.send(0, frame(address, from.info().mac, 64), 0, 64);
      await world.settle(1000);
      return got.length - before;
    };
    expect(await send('ff:ff:ff:ff:ff:ff')).toBe(1);
    expect(await send('02:11:22:33:44:55')).toBe(0);
    await to.setRxMode({ unicast: ['02:11:22:33:44:55'] });
    expect(await send('02:11:22:33:44:55')).toBe(1);
    await to.setRxMode({ unicast: [], promiscuous: true });
    expect(await send('02:66:77:88:99:aa')).toBe(1);
    await to.setRxMode({ promiscuous: false });
    expect(await send('02:66:77:88:99:aa')).toBe(0);
  });

  test('an adapter that is pulled out with packets under way leaves nothing behind', async () => {
    const { world, from, to } = await twoPorts();
    await using _ = world;
    const one = frame(to.info().mac, from.info().mac, 64);
    for (let n = 0; n < 40; n++) from.send(n & 1, one, 0, 64, n % 3 !== 2);
    world.sim.yank('00:04.0');
    await world.settle(100_000);
    expect(() => from.send(0, one, 0, 64)).toThrow(/^ENODEV/);
    // The other end of its cable has no link.
    expect(to.info()).toMatchObject({ isOpen: true, hasCarrier: false });
    expect(world.sim.modelErrors).toEqual([]);
    expect(world.parts).toEqual(['mlx5_core.eth.1', 'mlx5_core.rdma.1']);
  });
});
