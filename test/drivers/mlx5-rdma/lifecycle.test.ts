import { describe, expect, test } from 'vitest';
import { CharDevices, Errno, type Kernel } from '../../../core/index.js';
import { DriverHarness, type HarnessOptions } from '../../../core/testing/index.js';
import type { Mlx5Core } from '../../../drivers/mlx5/mlx5-core.js';
import { Mlx5Driver } from '../../../drivers/mlx5/mlx5-driver.js';
import { Mlx5RdmaDriver } from '../../../drivers/mlx5-rdma/rdma-driver.js';
import { OPCODES } from '../../../hw/regs/nic-commands.js';
import { hostSim } from '../../../plugins/host-sim.js';
import mlx5Rdma from '../../../plugins/mlx5-rdma.js';
import { UserMemory } from '../mlx5-vnet/user-memory.js';
import { NODE, RdmaBench, RdmaTask } from './fixture.js';

/** Memory that nobody allocates: what a device that has gone did there matters to nobody. */
const UPPER_MEMORY = 0x0f00_0000;

/** More commands than any schedule has under way, each longer than any that makes a queue. */
const COMMANDS = 200;
const WORDS = 512;

const options: HarnessOptions = {
  host: () => hostSim({ cpus: 2, iommu: true, nic: [{ sfs: 0 }] }),
  driver: ({ iommu }) => new Mlx5RdmaDriver(iommu),
  bus: 'auxiliary',
  setup: async ({ core, pci, dma, irqs, ims, auxiliary }) => {
    await core.registerDriver(pci.bus, new Mlx5Driver(dma, irqs, ims, auxiliary, { enableEth: false }));
    await core.settle();
    // Event queues are the function's, and stay when they were made; so does the memory of commands, as much as was in use at once.
    const { state } = pci.find('0000:00:04.0')!;
    await (state as Mlx5Core).compEqn(0);
    await Promise.all(Array.from({ length: COMMANDS }, () => (state as Mlx5Core).exec(OPCODES.NOP, new Uint32Array(WORDS))));
  },
};

async function open({ core, host }: Kernel): Promise<RdmaTask> {
  const memory = new UserMemory(host.dma, 'user', UPPER_MEMORY);
  const file = await CharDevices.get(core, NODE).open({ ...memory.task, capabilities: ['CAP_NET_RAW'] });
  return new RdmaTask(file, memory);
}

/** Makes queues, and sends a packet whose completion interrupts. */
async function work(task: RdmaTask): Promise<void> {
  const cq = await task.createCq();
  const sq = await task.createSq(cq);
  cq.arm(task.doorbells);
  task.send(sq);
}

describe('Mlx5RdmaDriver', () => {
  test('probe gives everything back whichever acquisition fails', async () => {
    await using harness = new DriverHarness(options);
    expect(await harness.failEach()).toEqual(['class char']);
  });

  test('the adapter may vanish at any access, acquisition, interrupt and turn, with queues in use', async () => {
    await using harness = new DriverHarness(options);
    const points = await harness.removeAnywhere(undefined, {
      use: async ({ kernel }) => {
        const task = await open(kernel);
        await work(task);
        await kernel.clock.sleep(20);
        await task.events();
        await task.file.close();
        // This one is open, and at work, when it is unbound.
        const kept = await open(kernel);
        kept.file.wait().catch(() => {});
        await work(kept);
      },
    });
    expect(points.length).toBeGreaterThan(50);
    expect(points.some((point) => point.startsWith('interrupt'))).toBe(true);
  }, 120_000);

  test('holds in every interleaving of binds, removals, interrupts, opens, work and closes', async () => {
    await using harness = new DriverHarness(options);
    const tasks: RdmaTask[] = [];
    let worked = 0;
    const { schedules } = await harness.explore({
      runs: 40,
      steps: 200,
      operations: {
        // Those of an earlier schedule are left in the list: they are gone, and must do no harm.
        open: async ({ kernel, device }) => {
          await kernel.core.attach(device);
          const task = await open(kernel);
          tasks.push(task);
          await work(task);
          worked++;
        },
        events: () => tasks.at(-1)?.events(),
        close: () => tasks.pop()?.file.close(),
      },
    });
    expect(schedules).toBe(40);
    expect(worked).toBeGreaterThan(0);
  }, 120_000);
});

describe('a device that goes while it is open', () => {
  test('takes all with it: who waits gets ENODEV', async () => {
    await using bench = await RdmaBench.start();
    const task = await bench.open('one');
    await work(task);
    await bench.settle();
    await task.events();
    const waiting = task.file.wait().catch((error: unknown) => Errno.codeOf(error));
    await bench.system.unload('mlx5-rdma');
    expect(await waiting).toBe('ENODEV');
    expect(() => task.doorbells.write32(0, 0)).toThrow(/ENODEV/);
    expect(bench.silicon.pf.cqs.filter((cq) => cq !== undefined)).toEqual([]);
    await bench.system.load(mlx5Rdma);
    await work(await bench.open('two'));
  });
});
