import { expect, test } from 'vitest';
import { type NetDevice, NetDevices, VIRTIO_STATUS } from '../../../core/index.js';
import { mlx5Eth } from '../../../plugins/mlx5-eth.js';
import { VdpaUser } from '../../../plugins/mlx5-vnet.js';
import { NetGuest, STARTED, VnetBench, frame, macOf } from './fixture.js';

/** A sub-function with a network device and one for a user, and a second one that sends to it. */
async function start(): Promise<{ bench: VnetBench; eth: NetDevice }> {
  const plugins = [mlx5Eth({ channels: 1 })];
  const bench = await VnetBench.start({ enable: ['enable_eth', 'enable_vnet'], plugins });
  const [name] = bench.system.list(NetDevices).find(([it]) => bench.system.get(NetDevices, it).info().mac === macOf(0))!;
  return { bench, eth: bench.system.get(NetDevices, name) };
}

test('while a network device of the same sub-function is open, a user cannot start: it is in the log who has the packets', async () => {
  const { bench, eth } = await start();
  await using _bench = bench;
  await eth.open();
  const memory = bench.user('user');
  await using a = new NetGuest(await VdpaUser.open(bench.system.core, 'vhost-vdpa-1', memory.task), memory);
  await a.start();
  expect((await a.vdpa.status()) & (VIRTIO_STATUS.FAILED | VIRTIO_STATUS.DRIVER_OK)).toBe(VIRTIO_STATUS.FAILED);
  expect(bench.logged('not_started').join()).toMatch(
    /EBUSY: mlx5_core\.vnet\.1: .* received by mlx5_core\.eth\.1: stop that first/,
  );
  // The network device has them still; when it stops, the user can have them.
  await using b = await bench.guest(1);
  b.send(1, frame(macOf(0), b.mac, 64));
  await bench.settle();
  expect((await eth.statistics()).rxPackets).toBe(1);
  await eth.close();
  await a[Symbol.asyncDispose]();
  await using again = await bench.guest(0, 'next');
  b.send(1, frame(again.mac, b.mac, 64));
  await bench.settle();
  expect(again.received(0)).toHaveLength(1);
});

test('while a user has the packets, the network device cannot be opened: EBUSY, and he goes on having them', async () => {
  const { bench, eth } = await start();
  await using _bench = bench;
  const a = await bench.guest(0);
  await using b = await bench.guest(1);
  await expect((async () => eth.open())()).rejects.toThrow(/EBUSY: mlx5_core\.eth\.1: .* mlx5_core\.vnet\.1/);
  b.send(1, frame(a.mac, b.mac, 64));
  await bench.settle();
  expect([await a.vdpa.status(), a.received(0).length]).toEqual([STARTED, 1]);
  await a[Symbol.asyncDispose]();
  await eth.open();
  b.send(1, frame(a.mac, b.mac, 64, 1));
  await bench.settle();
  expect((await eth.statistics()).rxPackets).toBe(1);
});
