import { describe, expect, test } from 'vitest';
import { type Device, Devlinks, Errno, Random, System } from '../../../core/index.js';
import type { Kernel } from '../../../core/kernel.js';
import { DriverHarness, type HarnessOptions, explore, failEach, removeAnywhere } from '../../../core/testing/index.js';
import type { Mlx5Core } from '../../../drivers/mlx5/mlx5-core.js';
import { Mlx5Driver } from '../../../drivers/mlx5/mlx5-driver.js';
import { SfDriver } from '../../../drivers/mlx5/sf/sf-driver.js';
import { type Nic, type NicProfile, nic } from '../../../hw/models/nic/index.js';
import { EQE, EVENTS } from '../../../hw/regs/nic.js';
import { OPCODES, STATUS } from '../../../hw/regs/nic-commands.js';
import { Machine } from '../../../hw/sim/index.js';
import { hostSim } from '../../../plugins/host-sim.js';
import mlx5Plugin, { mlx5 } from '../../../plugins/mlx5.js';

/** The adapter as little as there can be: what is tried at every access is tried soon. */
const SMALL = { sfs: 0, pages: { boot: 1, init: 1 } } as const satisfies NicProfile;
const FIRMWARE_PAGE = 'dma map 4096 bytes';
const ACQUISITIONS = [
  'adev_idx, bar 0, bus master, dma mask 0x1fffffffffffff, dma limits, reset, dma 4096 bytes, command interface, firmware pages, hca',
  `health poll, ${FIRMWARE_PAGE}, boot pages, ${FIRMWARE_PAGE}, ${FIRMWARE_PAGE}, hca init, uar, page requests, msix vectors, msi domain`,
  'vector of mlx5_comp, irq 24, command gate, dma 16384 bytes, eq cmd, vector handler, command events',
  'dma 16384 bytes, eq async, vector handler, dma 16384 bytes, eq pages, vector handler, sub-functions',
  'child mlx5_core.eth.0, child mlx5_core.rdma.0, class devlink',
].flatMap((line) => line.split(', '));
const OPTIONS = { eventEqSize: 64, ioEqSize: 64 };

interface Mlx5Harness extends HarnessOptions {
  silicon(): Nic;
}

/** On the machine, with the PCI function as the device under test. */
function harness(profile: NicProfile = SMALL): Mlx5Harness {
  let silicon: Nic | undefined;
  const model = nic({ ...profile, onCreate: (made) => (silicon = made) });
  return {
    host: () => new Machine({ cpus: 2, roots: [{ firstBus: 6 }], devices: [{ at: '06:00.0', model }] }),
    driver: ({ dma, irqs, ims, auxiliary }: Kernel) => new Mlx5Driver(dma, irqs, ims, auxiliary, OPTIONS),
    setup: ({ auxiliary }) => auxiliary.register(new SfDriver()),
    silicon: () => silicon!,
  };
}

/** What a driver of a part does: a completion vector, a doorbell page, commands at once. */
async function use({ device }: { readonly device: Device }): Promise<void> {
  const core = device.state as Mlx5Core;
  await core.compEqn(0);
  await core.allocUar(core.dev);
  await Promise.all([1, 2, 3].map(() => core.exec(OPCODES.NOP, new Uint32Array(4))));
}

type Where = { readonly kernel: Kernel; readonly device: Device };

/** What may go wrong with an adapter. */
function wrongs(one: Mlx5Harness): Readonly<Record<string, (where: Where) => unknown>> {
  return {
    lose: () => one.silicon().inject({ opcode: OPCODES.NOP, drop: true, times: 1 }),
    refuse: () => one.silicon().inject({ opcode: OPCODES.CREATE_EQ, status: STATUS.limit, times: 1 }),
    interruptLost: () => one.silicon().dropInterrupt(0),
    overrun: () => {
      const { pf } = one.silicon();
      for (let n = 0; n < 300; n++) pf.event(EVENTS.portChange, 1, (eqe) => eqe.setUint8(EQE.port, 16));
    },
    stall: () => one.silicon().pf.health.stall(),
    pages: () => one.silicon().pf.pages.request(2),
  };
}

describe('the driver of the function', () => {
  test('gives everything back whichever acquisition fails', async () => {
    const acquisitions = await failEach(harness());
    expect(acquisitions).toEqual(ACQUISITIONS);
  });

  test('so it does with sub-functions and messages in memory', async () => {
    const acquisitions = await failEach(harness({ ...SMALL, sfs: 1, imsCapacity: 8 }));
    expect(acquisitions).toContain('ims domain');
    expect(acquisitions).toContain('sub-functions');
  });

  test('the device may vanish anywhere', async () => {
    const points = await removeAnywhere(harness(), { use, maxPoints: 4000 });
    expect(points.filter((point) => point.startsWith('interrupt')).length).toBeGreaterThan(3);
  }, 120_000);

  test('a probe holds in every interleaving of binds, removals, interrupts, and of what goes wrong', async () => {
    const one = harness();
    const result = await explore(one, { runs: 12, operations: wrongs(one) });
    expect(result.schedules).toBe(12);
    for (const step of ['bind', 'unbind', 'vanish', 'remove', 'lose', 'stall']) expect(result.steps[step]).toBeGreaterThan(0);
  }, 60_000);

  test('so does a driver that is bound, in any order of use and of what goes wrong', async () => {
    const random = new Random(1);
    const counts = new Map<string, number>();
    for (let run = 0; run < 25; run++) {
      const one = harness();
      await using bench = new DriverHarness(one);
      await bench.bind();
      const { kernel, device } = bench;
      const steps: Readonly<Record<string, (where: Where) => unknown>> = {
        ...wrongs(one),
        use: (where) => use(where),
        reload: () => Devlinks.get(kernel.core, `pci/${device.name}`).reload(),
        rebind: async () => {
          await bench.unbind();
          await bench.bind();
        },
        sleep: () => kernel.clock.sleep(random.below(3_000_000)),
        turn: () => Promise.resolve(),
      };
      const names = Object.keys(steps);
      const pending: Promise<unknown>[] = [];
      const errors: unknown[] = [];
      for (let n = 0; n < 12 && device.bound; n++) {
        const name = names[random.below(names.length)]!;
        counts.set(name, (counts.get(name) ?? 0) + 1);
        const done = Promise.resolve(steps[name]!({ kernel, device })).catch((error: unknown) => errors.push(error));
        // Users go on while other things happen; who binds and unbinds waits.
        if (name === 'use') pending.push(done);
        else await done;
      }
      if (run % 3 === 0) bench.vanish();
      if (device.bound) await bench.unbind();
      await Promise.all(pending);
      expect(errors.filter((error) => !Errno.is(error))).toEqual([]);
      expect(bench.leaks()).toEqual([]);
    }
    for (const name of ['use', 'reload', 'rebind', 'lose', 'overrun', 'stall', 'pages'])
      expect(counts.get(name)).toBeGreaterThan(5);
  }, 60_000);

  test('what was kept is dead when it is unbound', async () => {
    await using bench = new DriverHarness(harness());
    const core = await bench.bind<Mlx5Core>();
    const { uar } = core;
    await bench.unbind();
    await expect(core.exec(OPCODES.NOP, new Uint32Array(4))).rejects.toMatchObject({ code: 'ENOLINK' });
    await bench.expectViolation('use-after-unbind', () => uar.write32(0x40, 0));
  });

  test('load, unload, load', async () => {
    const sim = hostSim({ nic: 1 });
    await using system = await System.start(sim.plugin, mlx5Plugin);
    const dev = system.device('0000:00:04.0');
    expect(dev.bound).toBe(true);
    await system.unload('mlx5');
    expect([dev.bound, dev.devres.size, sim.dma.allocatedBytes > 0]).toEqual([false, 0, false]);
    await system.load(mlx5());
    expect((dev.state as Mlx5Core).parts.map(({ name }) => name)).toEqual(['mlx5_core.eth.0', 'mlx5_core.rdma.0']);
    expect([sim.modelErrors, sim.guestErrors]).toEqual([[], []]);
  });
});
