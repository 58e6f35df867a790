import { describe, expect, test } from 'vitest';
import { Devlinks, System, VIRTIO_STATUS } from '../../../core/index.js';
import { DriverHarness } from '../../../core/testing/index.js';
import { hostSim } from '../../../plugins/host-sim.js';
import { mlx5 } from '../../../plugins/mlx5.js';
import mlx5VnetPlugin, { VdpaUser } from '../../../plugins/mlx5-vnet.js';
import { failNth } from '../../helpers/fail-nth.js';
import { NetGuest, STARTED, VnetBench, frame } from './fixture.js';
import { openVnet, vnetHarness } from './harness.js';

/** What a queue is made of, before it is one that works. */
const START = ['vector handler', 'user cq', 'vector kick'] as const;

describe('Mlx5VnetDriver', () => {
  test('probe gives everything back whichever acquisition fails', async () => {
    await using harness = new DriverHarness(vnetHarness);
    expect(await harness.failEach()).toEqual(['port events', 'uar', 'failure', 'mdev parent', 'class char']);
  });

  test('its ledger reads the same backwards', async () => {
    await using harness = new DriverHarness(vnetHarness);
    await harness.bind();
    await harness.unbind();
    expect(harness.trace.isPalindrome('mlx5_core.vnet.1')).toBe(true);
  });

  test('the adapter may vanish at any access, acquisition, interrupt and turn, with queues in use', async () => {
    await using harness = new DriverHarness(vnetHarness);
    const points = await harness.removeAnywhere(undefined, {
      use: async ({ kernel }) => {
        const user = await openVnet(kernel);
        // It runs on while what it was given goes.
        using guest = kernel.vfio.guest({ vcpus: 1 });
        guest.vcpu(0).run(1);
        await user.start();
        guest.irqfd(user.queues[1]!.call, { vcpus: [0], vector: 0x41 });
        user.arm(1);
        user.send(1, frame('02:00:00:00:00:01', '02:00:00:00:00:02', 64));
        await kernel.clock.sleep(20);
      },
    });
    expect(points.length).toBeGreaterThan(100);
  }, 120_000);

  test('holds in every interleaving of binds, removals, interrupts, opens, work and closes', async () => {
    await using harness = new DriverHarness(vnetHarness);
    const guests: NetGuest[] = [];
    let started = 0;
    const { schedules } = await harness.explore({
      runs: 80,
      steps: 150,
      operations: {
        // Those of an earlier schedule are left in the list: they are gone, and must do no harm.
        open: async ({ kernel, device }) => {
          await kernel.core.attach(device);
          const guest = await openVnet(kernel);
          guests.push(guest);
          await guest.start();
          started++;
          guest.arm(1);
          guest.send(1, frame('02:00:00:00:00:01', '02:00:00:00:00:02', 64));
        },
        reset: () => guests.at(-1)?.vdpa.setStatus(0),
        close: () => guests.pop()?.[Symbol.asyncDispose](),
      },
    });
    expect(schedules).toBe(80);
    expect(started).toBeGreaterThan(0);
  }, 120_000);
});

describe('what a user asks for', () => {
  test('opening gives everything back whichever acquisition fails', async () => {
    await using bench = await VnetBench.start({ count: 1 });
    const memory = bench.user('user');
    const open = (): Promise<VdpaUser> => VdpaUser.open(bench.system.core, 'vhost-vdpa-1', memory.task);
    const failed: string[] = [];
    for (let n = 0; ; n++) {
      const label = await failNth(bench.system.kernel, n, open);
      if (label === undefined) break;
      failed.push(label);
      const dev = bench.system.device('mlx5_core.vnet.1');
      expect(dev.children).toHaveLength(1);
    }
    expect(failed).toEqual(['child file0', 'vhost user', 'sva pasid 1', 'vdpa reset']);
  });

  test('a start that fails at any acquisition leaves the status FAILED and nothing else', async () => {
    await using bench = await VnetBench.start({ count: 1 });
    const dev = bench.system.device('mlx5_core.vnet.1');
    // Event queues are the function's, and stay when they were made.
    await bench.sf(0).compEqn(0);
    const before = dev.devres.entries().map(({ label }) => label);
    const { vectors } = bench.pf.irqTable;
    const { available } = vectors;
    const failed: string[] = [];
    for (let n = 0; ; n++) {
      const memory = bench.user(`user${n}`);
      const guest = new NetGuest(await VdpaUser.open(bench.system.core, 'vhost-vdpa-1', memory.task), memory);
      const label = await failNth(bench.system.kernel, n, () => guest.start());
      const status = await guest.vdpa.status();
      if (label === undefined) {
        expect(status).toBe(STARTED);
        await guest[Symbol.asyncDispose]();
        break;
      }
      failed.push(label.replace(/\d+/, 'n'));
      // Without a vector of its own it is told of by an event queue.
      if (label === 'msix vector') expect(status).toBe(STARTED);
      else expect([label, status & VIRTIO_STATUS.FAILED]).toEqual([label, VIRTIO_STATUS.FAILED]);
      await guest[Symbol.asyncDispose]();
      expect(dev.devres.entries().map((entry) => entry.label)).toEqual(before);
      expect([vectors.available, vectors.leasesOf(dev)]).toEqual([available, []]);
    }
    expect(failed.filter((label) => !/^irq|^msix/.test(label))).toEqual([
      'dedicated vector',
      'dedicated vector',
      ...START,
      'user rq',
      ...START,
      'user sq',
      'rqt',
      'tir',
      'rx tir',
    ]);
  });
});

describe('a device in use', () => {
  test('goes with its sub-function: the user gets ENODEV, and all that it had is given back', async () => {
    await using bench = await VnetBench.start();
    const { vectors } = bench.pf.irqTable;
    const b = await bench.guest(1);
    const a = await bench.guest(0);
    using guest = bench.system.kernel.vfio.guest({ vcpus: 1 });
    guest.vcpu(0).run(1);
    const irqfd = guest.irqfd(a.queues[0]!.call, { vcpus: [0], vector: 0x41 });
    expect(irqfd.isPosted).toBe(true);
    const doorbells = a.vdpa.doorbells(1);
    const devlink = Devlinks.get(bench.system.core, 'pci/0000:06:00.0');
    await devlink.deletePort(devlink.ports()[0]!.index);
    await bench.settle(100_000);
    expect(irqfd.isPosted).toBe(false);
    expect(() => doorbells.write64(0x20, 0, 1)).toThrow(/ENODEV/);
    await expect(a.vdpa.status()).rejects.toMatchObject({ code: 'ENODEV' });
    await a[Symbol.asyncDispose]();
    await b.vdpa.setStatus(0);
    expect(vectors.leasesOf(bench.system.device('mlx5_core.vnet.2'))).toEqual([]);
    await b[Symbol.asyncDispose]();
    expect(bench.sim.iommuFaults).toEqual([]);
  });

  test('goes while it is started', async () => {
    await using bench = await VnetBench.start({ count: 1 });
    const starting = bench.guest(0).catch((error: unknown) => String(error));
    await Promise.resolve();
    await bench.system.core.unbind(bench.system.device('mlx5_core.vnet.1'));
    expect(await starting).toMatch(/ENODEV|ENOENT/);
  });

  test('can be loaded, unloaded and loaded again', async () => {
    await using bench = await VnetBench.start();
    await bench.system.unload('mlx5-vnet');
    await bench.system.load(mlx5VnetPlugin);
    await bench.settle();
    await using a = await bench.guest(0);
    await using b = await bench.guest(1);
    a.send(1, frame(b.mac, a.mac, 64));
    await bench.settle();
    expect(b.received(0)).toHaveLength(1);
  });

  test('needs nothing of a system without sub-functions', async () => {
    const sim = hostSim({ nic: 1 });
    await using system = await System.start(sim.plugin, mlx5(), mlx5VnetPlugin);
    expect(system.core.buses.get('auxiliary')!.devices.map(({ name }) => name)).toEqual(['mlx5_core.eth.0', 'mlx5_core.rdma.0']);
  });
});
