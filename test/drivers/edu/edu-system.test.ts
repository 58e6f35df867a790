import { describe, expect, test } from 'vitest';
import { System } from '../../../core/index.js';
import { Edus } from '../../../drivers/edu/api.js';
import { edu as eduModel } from '../../../hw/models/edu.js';
import edu from '../../../plugins/edu.js';
import { hostSim } from '../../../plugins/host-sim.js';
import { eduScenarios } from './scenarios.js';

eduScenarios('the simulated machine', { make: (count) => hostSim({ edu: count }) });

describe('the edu driver when its device is pulled out', () => {
  test('its object is gone, and the next one that is plugged in works', async () => {
    const sim = hostSim({ edu: 1 });
    await using system = await System.start(sim.plugin, edu);
    const old = system.get(Edus, 'edu0');
    const wait = old.copy(new Uint8Array(8));
    wait.catch(() => {});
    sim.yank('00:04.0');
    await system.core.settle();
    expect(system.list(Edus)).toEqual([]);
    await expect(wait).rejects.toThrow('ENODEV: edu0: is gone');
    sim.plug({ at: '00:06.0', model: eduModel() });
    await system.core.settle();
    expect(await system.get(Edus, 'edu0').factorial(5)).toBe(120);
    expect(sim.guestErrors).toEqual([]);
    expect(sim.dmaFaults).toEqual([]);
  });

  test('silently, work ends with ETIMEDOUT and not never', async () => {
    const sim = hostSim({ edu: 1 });
    await using system = await System.start(sim.plugin, edu);
    const dev = system.get(Edus, 'edu0');
    const removal = sim.yank('00:04.0', { silent: true });
    await expect(dev.factorial(5)).rejects.toThrow('ETIMEDOUT: 0000:00:04.0: STATUS: no result within 1000000 us');
    expect(dev.isAlive()).toBe(false);
    removal.report();
    await system.core.settle();
    expect(() => dev.isAlive()).toThrow('ENODEV');
  });
});

describe('the edu driver when it is unloaded in the middle of a transfer', () => {
  test('waits until the device is at rest: nothing is sent from or to memory that was given back', async () => {
    const sim = hostSim({ edu: 1 });
    await using system = await System.start(sim.plugin, edu);
    const dev = system.get(Edus, 'edu0');
    const lost = dev.copy(new Uint8Array(100)).catch((error: Error) => error.message);
    await sim.clock.sleep(50);
    const before = sim.clock.now();
    await system.unload('edu');
    expect(sim.clock.now() - before).toBeGreaterThan(50_000);
    await sim.clock.sleep(500_000);
    expect(sim.dmaFaults).toEqual([]);
    expect(await lost).toBe('ENODEV: edu0: is gone');
  });
});
