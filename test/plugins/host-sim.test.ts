import { describe, expect, test } from 'vitest';
import { System } from '../../core/index.js';
import { edu as eduModel } from '../../hw/models/edu.js';
import { hostSim } from '../../plugins/host-sim.js';

const found = async (sim: ReturnType<typeof hostSim>): Promise<string[]> => {
  await using system = await System.start(sim.plugin);
  return system.kernel.pci.devices.map((dev) => dev.name);
};

describe('hostSim', () => {
  test('without devices is a machine that starts and ends', async () => {
    expect(await found(hostSim())).toEqual([]);
  });

  test('puts devices asked for by number into slots from 00:04.0 on', async () => {
    expect(await found(hostSim({ edu: 2 }))).toEqual(['0000:00:04.0', '0000:00:05.0']);
  });

  test('passes over slots that are taken, however they are written', async () => {
    const devices = ['00:04.0', '0000:00:06.0'].map((at) => ({ at, model: eduModel() }));
    expect(await found(hostSim({ edu: 2, devices }))).toEqual(['0000:00:04.0', '0000:00:05.0', '0000:00:06.0', '0000:00:07.0']);
  });

  test('fills the bus, and one device more is ENOSPC', () => {
    expect(() => hostSim({ edu: 28 })).not.toThrow();
    expect(() => hostSim({ edu: 29 })).toThrow('ENOSPC: host-sim: 29 devices: bus 00 has no more free slots');
  });

  test('has network adapters, by number or each as it is said to be', async () => {
    expect(await found(hostSim({ nic: 2 }))).toEqual(['0000:00:04.0', '0000:00:05.0']);
    const sim = hostSim({ nic: [{ sfs: 0 }, { msix: 7 }] });
    await using system = await System.start(sim.plugin);
    const windows = system.kernel.pci.devices.map((dev) => dev.bar(2)?.sizeBytes);
    expect([windows, system.kernel.pci.devices[1]!.msixVectorCount]).toEqual([[undefined, 16 * 65_536], 7]);
  });

  test('is the machine: its time is the time of the system', async () => {
    const sim = hostSim();
    await using system = await System.start(sim.plugin);
    sim.elapse(1500);
    expect(system.core.clock.now()).toBe(1500);
  });
});
