import { describe, expect, test } from 'vitest';
import { Errno, EventFd, VIRTIO_FEATURES, VIRTIO_ID, VIRTIO_NET_CONFIG, VIRTIO_STATUS } from '../../../core/index.js';
import { VdpaUser } from '../../../plugins/mlx5-vnet.js';
import { NetGuest, PACKET_BYTES, STARTED, VnetBench, frame, macOf } from './fixture.js';

const { ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK, FAILED, NEEDS_RESET } = VIRTIO_STATUS;
const NEEDED = VIRTIO_FEATURES.VERSION_1 | VIRTIO_FEATURES.ACCESS_PLATFORM;
const NODE = 'vhost-vdpa-1';

/** The code that it is refused with; `none` when it is not. */
async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'none';
  } catch (error) {
    return Errno.codeOf(error);
  }
}

/** A device that nobody has started. */
async function opened(bench: VnetBench): Promise<VdpaUser> {
  return VdpaUser.open(bench.system.core, NODE, bench.user('user').task);
}

describe('a vDPA device', () => {
  test('says what it is', async () => {
    await using bench = await VnetBench.start({ count: 1, pairs: 2 });
    await using vdpa = await opened(bench);
    expect(vdpa.info).toMatchObject({ deviceId: VIRTIO_ID.net, vendorId: 0x15b3, vqCount: 4, vqNumMax: 4096 });
    const config = new DataView((await vdpa.config(0, VIRTIO_NET_CONFIG.sizeBytes)).buffer);
    expect(config.getUint16(VIRTIO_NET_CONFIG.maxVirtqueuePairs, true)).toBe(2);
    expect(config.getUint16(VIRTIO_NET_CONFIG.mtu, true)).toBe(1500);
    expect(config.getUint16(VIRTIO_NET_CONFIG.status, true)).toBe(VIRTIO_NET_CONFIG.linkUp);
    expect(await codeOf(vdpa.config(0, 0))).toBe('EINVAL');
    expect(await codeOf(vdpa.config(vdpa.info.configBytes - 1, 2))).toBe('E2BIG');
  });

  test('has one user at a time, whose memory devices can work in', async () => {
    await using bench = await VnetBench.start({ count: 1 });
    const first = await opened(bench);
    expect(await codeOf(opened(bench))).toBe('EBUSY');
    await first[Symbol.asyncDispose]();
    expect(await codeOf(VdpaUser.open(bench.system.core, NODE, { name: 'none', mm: {} }))).toBe('EINVAL');
    await using second = await opened(bench);
    expect(await second.status()).toBe(0);
  });

  test('is no other task’s, though that has its file', async () => {
    await using bench = await VnetBench.start({ count: 1 });
    await using vdpa = await opened(bench);
    await using shared = vdpa.file.share(bench.user('other').task);
    expect(() => shared.mmap({ sizeBytes: 4096 })).toThrow(/EPERM/);
  });

  test('keeps bits of its status until it is reset', async () => {
    await using bench = await VnetBench.start({ count: 1 });
    await using vdpa = await opened(bench);
    await vdpa.setStatus(ACKNOWLEDGE | DRIVER);
    expect(await codeOf(vdpa.setStatus(ACKNOWLEDGE))).toBe('EINVAL');
    expect(await vdpa.status()).toBe(ACKNOWLEDGE | DRIVER);
    await vdpa.setStatus(0);
    expect(await vdpa.status()).toBe(0);
  });

  test('takes features that it has, with those that it needs, until they are agreed upon', async () => {
    await using bench = await VnetBench.start({ count: 1 });
    await using vdpa = await opened(bench);
    expect(await codeOf(vdpa.setFeatures(VIRTIO_FEATURES.NET_MAC))).toBe('EOPNOTSUPP');
    expect(await codeOf(vdpa.setFeatures(NEEDED | VIRTIO_FEATURES.NET_MQ))).toBe('EINVAL');
    expect(await codeOf(vdpa.setFeatures(NEEDED))).toBe('none');
    await vdpa.setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK);
    expect(await codeOf(vdpa.setFeatures(NEEDED))).toBe('EBUSY');
  });

  test('checks what is set for a queue: ENOBUFS, EINVAL', async () => {
    await using bench = await VnetBench.start({ count: 1 });
    await using vdpa = await opened(bench);
    const addresses = { descriptor: 0x1000, driver: 8, device: 0x2000 };
    expect(await codeOf(vdpa.setVringNum(2, 16))).toBe('ENOBUFS');
    for (const entries of [0, 3, 8192, 1.5]) expect(await codeOf(vdpa.setVringNum(0, entries))).toBe('EINVAL');
    expect(await codeOf(vdpa.setVringAddr(0, addresses))).toBe('none');
    for (const bad of [{ descriptor: 0x1010 }, { driver: 4 }, { device: 0x20 }, { device: -4096 }]) {
      expect(await codeOf(vdpa.setVringAddr(0, { ...addresses, ...bad }))).toBe('EINVAL');
    }
    const closed = new EventFd();
    closed.close();
    expect(await codeOf(vdpa.setVringCall(0, closed))).toBe('EBADF');
    expect(() => vdpa.doorbells(2)).toThrow(/ENOBUFS/);
    expect(() => vdpa.file.mmap({ sizeBytes: 8192 })).toThrow(/EOPNOTSUPP/);
    expect(() => vdpa.file.mmap({ sizeBytes: 4096, shared: false })).toThrow(/EINVAL/);
  });

  test('does not change queues that are at work', async () => {
    await using bench = await VnetBench.start({ count: 1 });
    await using guest = await bench.guest(0);
    expect(await codeOf(guest.vdpa.setVringNum(0, 16))).toBe('EINVAL');
    expect(await codeOf(guest.vdpa.setVringAddr(0, { descriptor: 0, driver: 0, device: 0 }))).toBe('EINVAL');
    expect(await guest.vdpa.status()).toBe(STARTED);
  });

  test('has FAILED when its queues cannot be made, and works after a reset', async () => {
    await using bench = await VnetBench.start({ count: 1 });
    const fault = bench.silicon.inject({ opcode: 0x904, status: 0x08 });
    const memory = bench.user('guest');
    await using guest = new NetGuest(await VdpaUser.open(bench.system.core, NODE, memory.task), memory);
    const before = bench.sf(0).irqTable.vectors.available;
    await guest.start();
    expect(await guest.vdpa.status()).toBe((STARTED & ~DRIVER_OK) | FAILED);
    expect(bench.sf(0).irqTable.vectors.available).toBeGreaterThanOrEqual(before - 1);
    expect(bench.logged('not_started')).toHaveLength(1);
    fault.cancel();
    await guest.vdpa.setStatus(0);
    expect(await guest.vdpa.status()).toBe(0);
  });

  test('that fails says so to its user, who has to reset it', async () => {
    await using bench = await VnetBench.start({ count: 1 });
    await using guest = await bench.guest(0);
    const changed = new EventFd('config');
    await guest.vdpa.setConfigCall(changed);
    bench.sf(0).fail('a test');
    expect([await guest.vdpa.status(), changed.count]).toEqual([STARTED | NEEDS_RESET, 1]);
    await guest.vdpa.setStatus(0);
    expect(await guest.vdpa.status()).toBe(0);
  });

  test('tells its user when a queue was given more than it has room for', async () => {
    await using bench = await VnetBench.start();
    await using a = await bench.guest(0);
    await using b = await bench.guest(1);
    // Completions that are never taken: the ring is full after as many as it has entries.
    const { wq } = a.queues[0]!;
    for (let n = 0; n < 20; n++) {
      b.send(1, frame(a.mac, b.mac, 64, n));
      await bench.settle(10);
      wq.receive(a.packet(0, n), PACKET_BYTES);
      b.queues[1]!.cq.take();
    }
    await bench.settle();
    expect((await a.vdpa.status()) & NEEDS_RESET).toBe(NEEDS_RESET);
    expect((await b.vdpa.status()) & NEEDS_RESET).toBe(0);
  });

  test('gives back what a queue has when it is suspended, and begins anew after a reset', async () => {
    await using bench = await VnetBench.start();
    await using a = await bench.guest(0);
    await using b = await bench.guest(1);
    await a.vdpa.suspend();
    await bench.settle();
    const flushed = a.queues[0]!.cq.take();
    expect([flushed.length, new Set(flushed.map(({ syndrome }) => syndrome))]).toEqual([16, new Set([5])]);
    b.send(1, frame(a.mac, b.mac, 64));
    await bench.settle();
    expect(a.queues[0]!.cq.take()).toEqual([]);
    expect(await codeOf(a.vdpa.setVringNum(0, 8))).toBe('none');
  });

  test('stops a queue alone, and starts it with its first entry', async () => {
    await using bench = await VnetBench.start();
    await using a = await bench.guest(0);
    await using b = await bench.guest(1);
    await a.vdpa.setVringEnable(0, false);
    b.send(1, frame(a.mac, b.mac, 64, 1));
    await bench.settle();
    expect(a.received(0)).toEqual([]);
    await a.vdpa.setVringEnable(0, true);
    const sent = frame(a.mac, b.mac, 64, 2);
    b.send(1, sent);
    await bench.settle();
    expect(a.received(0)).toEqual([sent]);
  });

  test('sends when its user signals an eventfd in place of the doorbell', async () => {
    await using bench = await VnetBench.start();
    await using a = await bench.guest(0);
    await using b = await bench.guest(1);
    const kick = new EventFd('kick');
    await a.vdpa.setVringKick(1, kick);
    const sent = frame(b.mac, a.mac, 99);
    const { wq } = a.queues[1]!;
    a.memory.write(a.packet(1, 0), sent);
    wq.send(a.packet(1, 0), sent.length);
    await bench.settle();
    expect(b.received(0)).toEqual([]);
    kick.signal();
    await bench.settle();
    expect(b.received(0)).toEqual([sent]);
    await a.vdpa.setVringKick(1, undefined);
    // An eventfd that was signalled before it was given.
    wq.send(a.packet(1, 0), sent.length);
    await a.vdpa.setVringKick(1, kick);
    await bench.settle();
    expect(b.received(0)).toEqual([sent]);
    await a.vdpa.setVringKick(1, undefined);
  });

  test('is not offered where nothing keeps users apart', async () => {
    await using bench = await VnetBench.start({ count: 1, machine: { iommu: false } });
    const dev = bench.system.device('mlx5_core.vnet.1');
    expect([dev.bound, String(dev.probeError)]).toEqual([
      false,
      expect.stringMatching(/EOPNOTSUPP: mlx5_core.vnet.1: has no PASIDs/),
    ]);
  });
});

test('an address that the manager has given is that of the device', async () => {
  await using bench = await VnetBench.start();
  await using b = await bench.guest(1);
  expect(b.mac).toBe(macOf(1));
});
