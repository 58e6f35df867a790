import { describe, expect, test } from 'vitest';
import { Devlinks, Errno, EventFd, VFIO_PCI_IRQ, VIRTIO_FEATURES, VIRTIO_STATUS } from '../../../core/index.js';
import { DriverHarness } from '../../../core/testing/index.js';
import { VNET_CONTROL, VNET_REGIONS } from '../../../drivers/mlx5-vnet/api.js';
import { UAR_SQ_DOORBELLS } from '../../../hw/regs/nic.js';
import mlx5VnetPlugin, { VdpaUser } from '../../../plugins/mlx5-vnet.js';
import { failNth } from '../../helpers/fail-nth.js';
import { STARTED, VnetBench, frame } from './fixture.js';
import { vfioBench, vnetHarness } from './harness.js';
import { VfioGuest, createMdev, uuidOf } from './vfio-guest.js';

const { ACKNOWLEDGE, DRIVER, FEATURES_OK, FAILED, NEEDS_RESET } = VIRTIO_STATUS;
const { ERR, REQ } = VFIO_PCI_IRQ;
const AGREED = ACKNOWLEDGE | DRIVER | FEATURES_OK;
const HANDLE = 'pci/0000:06:00.0';
const NODE = 'vhost-vdpa-1';
const MINUTE_US = 60_000_000;
/** Less than who is asked to go is given. */
const WHILE_US = 100_000;

/** The code that it is refused with; `none` when it is not. */
async function codeOf(fn: () => unknown): Promise<string> {
  try {
    await fn();
    return 'none';
  } catch (error) {
    return Errno.codeOf(error);
  }
}

/** How many vectors a user has. */
const leasesOf = (bench: VnetBench, { dev }: VfioGuest): number => bench.pf.irqTable.vectors.leasesOf(dev).length;

/** Deletes sub-function 0. */
async function deleteSf(bench: VnetBench): Promise<void> {
  const devlink = Devlinks.get(bench.system.core, HANDLE);
  await devlink.deletePort(devlink.ports()[0]!.index);
}

describe('a device by VFIO', () => {
  test('has one user, whichever way he comes: EBUSY; and makes one mediated device: EUSERS', async () => {
    await using bench = await VnetBench.start({ count: 1 });
    const a = await VfioGuest.open(bench, 0);
    const open = (): Promise<VdpaUser> => VdpaUser.open(bench.system.core, NODE, bench.user('other').task);
    await expect(open()).rejects.toThrow(`EBUSY: mlx5_core.vnet.1: has a user, ${uuidOf(0)}: close that first`);
    expect(await codeOf(() => createMdev(bench, 0, uuidOf(9)))).toBe('EUSERS');
    await a[Symbol.asyncDispose]();
    await using vdpa = await open();
    expect([await codeOf(() => VfioGuest.open(bench, 0)), await vdpa.status()]).toEqual(['EBUSY', 0]);
  });

  test('says what it is; of its page only what can be set is set', async () => {
    await using bench = await VnetBench.start({ count: 1, pairs: 2 });
    await using a = await VfioGuest.open(bench, 0);
    const { info } = bench.vnet(0);
    const fixed = [VNET_CONTROL.generation, VNET_CONTROL.queueCount, VNET_CONTROL.entriesMax, VNET_CONTROL.deviceFeatures];
    const before = fixed.map((at) => a.read(at));
    expect(before.slice(1)).toEqual([4, info.vqNumMax, Number(info.features & 0xffff_ffffn)]);
    const last = VNET_CONTROL.queue(3) + VNET_CONTROL.device + 4;
    for (const at of [...fixed, VNET_CONTROL.config, last, last + 4]) a.write(at, 0xdead_beef);
    expect(fixed.map((at) => a.read(at))).toEqual(before);
    const config = new Uint8Array(info.configBytes);
    bench.vnet(0).getConfig(0, config);
    const seen = new Uint8Array(info.configBytes);
    a.file.read(VNET_REGIONS.control, VNET_CONTROL.config, seen);
    expect([seen, a.read(last), a.read(last + 4)]).toEqual([config, 0xdead_beef, 0]);
    expect(await codeOf(() => a.file.write(VNET_REGIONS.doorbells, 0, new Uint8Array(4)))).toBe('EINVAL');
  });

  test('refuses features by FEATURES_OK that stays away, and what no queue can be made of by FAILED', async () => {
    await using bench = await VnetBench.start({ count: 1 });
    await using a = await VfioGuest.open(bench, 0);
    a.writeLong(VNET_CONTROL.driverFeatures, VIRTIO_FEATURES.NET_MAC);
    expect(await a.setStatus(AGREED)).toBe(ACKNOWLEDGE | DRIVER | FAILED);
    const bad: [number, number][] = [
      [VNET_CONTROL.size, 3],
      [VNET_CONTROL.size, 8192],
      [VNET_CONTROL.size, 0xffff_ffff],
      [VNET_CONTROL.descriptor, 0x1010],
      [VNET_CONTROL.driver, 4],
      [VNET_CONTROL.device + 4, 0xffff_ffff],
    ];
    for (const [at, value] of bad) {
      expect(await a.setStatus(0)).toBe(0);
      a.setUp();
      a.write(VNET_CONTROL.queue(1) + at, value);
      await a.setStatus(AGREED);
      expect([at, value, await a.setStatus(STARTED)]).toEqual([at, value, AGREED | FAILED]);
    }
    expect(bench.logged('not_started')).toHaveLength(1 + bad.length);
    await a.setStatus(0);
    expect(a.read(VNET_CONTROL.queue(1) + VNET_CONTROL.size)).toBe(0);
    expect(await a.start()).toBe(STARTED);
  });

  test('shows its old status until the new one is set, and takes those that follow in their order', async () => {
    await using bench = await VnetBench.start({ count: 1 });
    await using a = await VfioGuest.open(bench, 0);
    a.setUp();
    a.enable();
    for (const status of [ACKNOWLEDGE, AGREED, STARTED]) a.write(VNET_CONTROL.status, status);
    expect(a.status).toBe(0);
    await bench.settle(100);
    expect(a.status).toBe(STARTED);
    a.write(VNET_CONTROL.status, 0);
    a.write(VNET_CONTROL.status, ACKNOWLEDGE);
    expect(a.status).toBe(STARTED);
    await bench.settle(100);
    expect([a.status, await codeOf(() => bench.vnet(0).vqIrq(0))]).toEqual([ACKNOWLEDGE, 'EOPNOTSUPP']);
  });

  test('reaches what its container maps, and nothing else', async () => {
    await using bench = await VnetBench.start();
    await using b = await bench.guest(1);
    await using a = await VfioGuest.open(bench, 0);
    await a.start();
    const hidden = a.memory.map(0x7000_0000, 4096);
    const { wq, cq } = a.queues[1]!;
    wq.send(hidden, 64);
    wq.doorbell(a.doorbells());
    await bench.settle();
    expect(cq.take().map(({ syndrome }) => syndrome)).toEqual([4]);
    expect([bench.sim.iommuFaults.length > 0, b.received(0)]).toEqual([true, []]);
  });

  test('4.4.5 a reset stops the queues and leaves the vectors, which they have again', async () => {
    await using bench = await VnetBench.start();
    await using b = await bench.guest(1);
    await using a = await VfioGuest.open(bench, 0);
    await a.start();
    const virq = bench.vnet(0).vqIrq(1);
    await a.file.reset();
    expect([a.status, await codeOf(() => bench.vnet(0).vqIrq(1))]).toEqual([0, 'EOPNOTSUPP']);
    a.setUp();
    a.enable();
    expect([await a.run(), bench.vnet(0).vqIrq(1)]).toEqual([STARTED, virq]);
    a.arm(1);
    a.send(1, frame(b.mac, a.mac, 64));
    await bench.settle();
    expect([b.received(0).length, a.signals(1)]).toEqual([1, 1]);
  });

  test('that fails tells its user by ERR', async () => {
    await using bench = await VnetBench.start({ count: 1 });
    await using a = await VfioGuest.open(bench, 0);
    await a.start();
    const failed = new EventFd('error');
    a.file.setIrqs({ index: ERR, action: 'trigger', start: 0, count: 1, eventfds: [failed] });
    bench.sf(0).fail('a test');
    expect([a.status, failed.count]).toEqual([STARTED | NEEDS_RESET, 1]);
    expect(await a.setStatus(0)).toBe(0);
  });

  test('can be loaded, unloaded and loaded again', async () => {
    await using bench = await VnetBench.start({ count: 1 });
    const a = await VfioGuest.open(bench, 0);
    await a.start();
    await a[Symbol.asyncDispose]();
    await bench.system.unload('mlx5-vnet');
    expect(bench.kernel.mdev.devices).toEqual([]);
    await bench.system.load(mlx5VnetPlugin);
    await bench.settle();
    await using again = await VfioGuest.open(bench, 0);
    expect(await again.start()).toBe(STARTED);
  });
});

describe('a sub-function that goes while a user has its queues by VFIO', () => {
  test('waits for him; he is asked by REQ, goes on, and when he closes it, nothing is left', async () => {
    await using bench = await VnetBench.start();
    const sf = bench.system.device('mlx5_core.sf.1');
    const a = await VfioGuest.open(bench, 0);
    await a.start();
    const asked = new EventFd('request');
    a.file.setIrqs({ index: REQ, action: 'trigger', start: 0, count: 1, eventfds: [asked] });
    await deleteSf(bench);
    await bench.sim.settle(WHILE_US);
    const ports = Devlinks.get(bench.system.core, HANDLE).ports();
    expect([asked.count, sf.bound, ports.filter(({ flavour }) => flavour === 'pcisf').length]).toEqual([1, true, 1]);
    expect(await codeOf(() => bench.kernel.vfio.openDevice(a.dev.name))).toBe('ENODEV');
    expect([a.status, leasesOf(bench, a)]).toEqual([STARTED, 2]);
    await a[Symbol.asyncDispose]();
    await bench.settle(WHILE_US);
    expect([sf.registered, bench.kernel.mdev.devices, leasesOf(bench, a)]).toEqual([false, [], 0]);
    expect(bench.sim.iommuFaults).toEqual([]);
  });

  test('goes without him when he does not close it: ENODEV for all that he does; his guest has lost its interrupts; nothing is leaked', async () => {
    await using bench = await VnetBench.start();
    const { vectors } = bench.pf.irqTable;
    await using b = await bench.guest(1);
    const before = vectors.available;
    const a = await VfioGuest.open(bench, 0);
    await a.start();
    using guest = bench.kernel.vfio.guest({ vcpus: 1 });
    guest.vcpu(0).run(1);
    const irqfd = guest.irqfd(a.queues[0]!.call, { vcpus: [0], vector: 0x41 });
    const page = a.doorbells();
    expect(irqfd.isPosted).toBe(true);
    const broken: string[] = [];
    bench.system.core.violations.on(({ rule }) => broken.push(rule));
    await deleteSf(bench);
    await bench.settle(2 * MINUTE_US);
    expect(broken.splice(0)).toEqual(['hung-callback']);
    expect([irqfd.isPosted, bench.kernel.vfio.bypass.isConnected(a.queues[0]!.call), a.dev.registered]).toEqual([
      false,
      false,
      false,
    ]);
    const uses = [
      () => a.status,
      () => a.write(VNET_CONTROL.status, 0),
      () => a.enable(),
      () => a.disable(),
      () => a.file.reset(),
      () => a.file.mmap(VNET_REGIONS.doorbells, 0, 4096),
      () => page.write64(UAR_SQ_DOORBELLS[0], 0, 1),
    ];
    for (const use of uses) expect(await codeOf(use)).toBe('ENODEV');
    await a[Symbol.asyncDispose]();
    expect([bench.kernel.mdev.devices, leasesOf(bench, a), bench.sim.iommuFaults, broken]).toEqual([[], 0, [], []]);
    expect(bench.kernel.irqs.list().flatMap(({ actions }) => actions.filter((one) => one.name.startsWith('vfio')))).toEqual([]);
    expect(vectors.available).toBeGreaterThanOrEqual(before);
    // The other one goes on.
    expect(await b.vdpa.status()).toBe(STARTED);
  });

  test('a mediated device that is removed goes when its user has closed it, and another can be made', async () => {
    await using bench = await VnetBench.start({ count: 1 });
    const a = await VfioGuest.open(bench, 0);
    await a.start();
    const going = bench.kernel.mdev.remove(a.dev);
    await bench.sim.settle(WHILE_US);
    expect(a.status).toBe(STARTED);
    await a[Symbol.asyncDispose]();
    await going;
    await using again = await VfioGuest.open(bench, 0);
    expect(await again.start()).toBe(STARTED);
  });
});

describe('a user of VFIO', () => {
  test('who meets a failure of any acquisition leaves nothing, and can try again', async () => {
    await using bench = await VnetBench.start({ count: 1 });
    // Event queues are the function's, and stay when they were made.
    await bench.sf(0).compEqn(0);
    const dev = bench.system.device('mlx5_core.vnet.1');
    const labels = (): string[] => dev.devres.entries().map(({ label }) => label);
    const before = labels();
    const { vectors } = bench.pf.irqTable;
    const { available } = vectors;
    const failed: string[] = [];
    for (let n = 0; ; n++) {
      const mdev = await createMdev(bench, 0);
      const start = async (): Promise<void> => {
        await using a = await VfioGuest.open(bench, 0);
        const status = await a.start();
        if (status !== STARTED) throw new Errno('EIO', `injected: status 0x${status.toString(16)}`);
      };
      const label = await failNth(bench.kernel, n, start);
      expect([mdev.devres.size, labels(), vectors.available]).toEqual([1, before, available]);
      await start();
      await bench.kernel.mdev.remove(mdev);
      if (label === undefined) break;
      failed.push(label.replace(/\d+/, 'n'));
    }
    expect(failed.filter((label) => !label.startsWith('msix'))).toEqual([
      'aux domain',
      'dedicated vector',
      'dedicated vector',
      'irq n',
      'irq n',
      'virtqueues',
      'user cq',
      'vector kick',
      'user rq',
      'user cq',
      'vector kick',
      'user sq',
      'rqt',
      'tir',
      'rx tir',
    ]);
  });

  test('and others, in every interleaving of binds, removals, interrupts, vectors, starts and closes, leave nothing', async () => {
    await using harness = new DriverHarness(vnetHarness);
    let user: VfioGuest | undefined;
    let started = 0;
    const close = async (): Promise<void> => {
      const it = user;
      user = undefined;
      await it?.[Symbol.asyncDispose]();
    };
    const start = async (): Promise<void> => {
      if ((await user?.run()) !== STARTED) return;
      started++;
      user?.arm(1);
      user?.send(1, frame('02:00:00:00:00:01', '02:00:00:00:00:02', 64));
    };
    const { schedules } = await harness.explore({
      runs: 60,
      steps: 120,
      operations: {
        // Those of an earlier schedule are gone, and must do no harm.
        open: async ({ kernel, device }) => {
          await close();
          await kernel.core.attach(device);
          const opened = await VfioGuest.open(vfioBench(kernel), 0);
          user = opened;
          // Who is asked for the device gives it up.
          const asked = new EventFd('request');
          asked.listen(() => void opened.file.close());
          opened.file.setIrqs({ index: REQ, action: 'trigger', start: 0, count: 1, eventfds: [asked] });
          opened.setUp();
          opened.enable();
          await start();
        },
        start,
        enable: () => void user?.enable(),
        disable: () => void user?.disable(),
        stop: () => user?.write(VNET_CONTROL.status, 0),
        reset: () => user?.file.reset(),
        close,
        destroy: ({ kernel }) => {
          const dev = kernel.mdev.find(uuidOf(0));
          return dev && kernel.mdev.remove(dev);
        },
      },
    });
    expect(schedules).toBe(60);
    expect(started).toBeGreaterThan(0);
  }, 120_000);

  test('finds nothing wrong when the adapter vanishes at any access, acquisition, interrupt and turn', async () => {
    await using harness = new DriverHarness(vnetHarness);
    const points = await harness.removeAnywhere(undefined, {
      use: async ({ kernel }) => {
        await using user = await VfioGuest.open(vfioBench(kernel), 0);
        using guest = kernel.vfio.guest({ vcpus: 1 });
        guest.vcpu(0).run(1);
        user.setUp(1);
        user.enable();
        guest.irqfd(user.queues[1]!.call, { vcpus: [0], vector: 0x41 });
        await user.run();
        user.arm(1);
        user.send(1, frame('02:00:00:00:00:01', '02:00:00:00:00:02', 64));
        await kernel.clock.sleep(20);
      },
    });
    expect(points).toEqual(expect.arrayContaining(['acquire dedicated vector', 'acquire virtqueues', 'acquire user sq']));
    expect(points.length).toBeGreaterThan(100);
  }, 120_000);
});
