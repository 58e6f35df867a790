import { describe, expect, test } from 'vitest';
import { NetDevices, System } from '../../../core/index.js';
import { DriverHarness, explore, failEach, removeAnywhere } from '../../../core/testing/index.js';
import { hostSim } from '../../../plugins/host-sim.js';
import { mlx5 } from '../../../plugins/mlx5.js';
import { mlx5Eth } from '../../../plugins/mlx5-eth.js';
import { EthBench, SMALL, frame } from './fixture.js';
import { OPERATIONS, ethOf, functionHarness, partHarness, useIt } from './harness.js';

describe('the driver of packets', () => {
  test('probe gives everything back whichever acquisition fails', async () => {
    expect(await failEach(partHarness)).toEqual(['port events', 'class net']);
  });

  test('the device may vanish anywhere: while it is opened, sends and is closed', { timeout: 120_000 }, async () => {
    const points = await removeAnywhere(partHarness, { use: useIt });
    expect(points.filter((point) => point.startsWith('acquire'))).toContain('acquire rx tir');
    expect(points.length).toBeGreaterThan(60);
  });

  test(
    'interleavings of users, interrupts, binds and removals hold nothing and break no rule',
    { timeout: 120_000 },
    async () => {
      const { schedules, steps } = await explore(partHarness, { operations: OPERATIONS, runs: 40, steps: 60 });
      expect(schedules).toBe(40);
      for (const name of Object.keys(OPERATIONS)) expect(steps[name]).toBeGreaterThan(0);
    },
  );

  test('its function may go at any time', { timeout: 120_000 }, async () => {
    const { schedules } = await explore(functionHarness, { operations: OPERATIONS, runs: 25, steps: 60 });
    expect(schedules).toBe(25);
  });

  test('what is open is closed by the unbind, and handles are dead', async () => {
    await using harness = new DriverHarness(partHarness);
    await harness.bind();
    const eth = ethOf(harness.kernel)!;
    await eth.open();
    await harness.unbind();
    expect(() => eth.send(0, new Uint8Array(60), 0, 60)).toThrow(/ENODEV/);
    await expect(async () => eth.open()).rejects.toThrow(/ENODEV/);
    expect(harness.leaks()).toEqual([]);
    await harness.bind();
    await ethOf(harness.kernel)!.open();
  });

  test('an acquisition that fails while it is opened leaves it closed, and nothing is held', async () => {
    await using bench = await EthBench.start();
    const dev = bench.system.device('mlx5_core.eth.0');
    const eth = bench.eth(0);
    const held = dev.devres.size;
    const labels: string[] = [];
    for (let n = 0; ; n++) {
      let count = 0;
      const hooks = dev.devresHooks;
      const failing = {
        acquiring: (_ledger: unknown, label: string) => {
          if (count++ === n) {
            labels.push(label);
            throw Object.assign(new Error('injected'), { code: 'ENOMEM' });
          }
        },
      };
      Object.defineProperty(dev, 'devresHooks', { value: failing, configurable: true });
      let failed = true;
      try {
        await eth.open();
        failed = false;
      } catch {
        expect(eth.info().isOpen).toBe(false);
        expect(dev.devres.size).toBe(held);
      } finally {
        Object.defineProperty(dev, 'devresHooks', { value: hooks, configurable: true });
      }
      if (!failed) break;
    }
    expect(new Set(labels)).toEqual(
      new Set([
        ...labels.filter((label) => label.startsWith('dma ')),
        'uar',
        'cq',
        'sq',
        'rq',
        'active channels',
        'rqt',
        'tir',
        'rx tir',
      ]),
    );
    expect(eth.info().isOpen).toBe(true);
  });

  test('loaded, unloaded and loaded again, its devices have their names and work', async () => {
    const sim = hostSim({ cpus: 2, nic: 1 });
    await using system = await System.start(sim.plugin, mlx5());
    for (let round = 0; round < 3; round++) {
      const plugin = mlx5Eth(SMALL);
      await system.load(plugin);
      const eth = system.get(NetDevices, 'eth0');
      await eth.open();
      eth.send(0, frame('02:00:00:00:00:99', eth.info().mac, 60), 0, 60);
      await sim.settle(100);
      expect(await eth.statistics()).toMatchObject({ txPackets: 1 });
      await system.unload('mlx5-eth');
      expect(system.list(NetDevices)).toEqual([]);
    }
  });
});
