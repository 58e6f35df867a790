import { describe, expect, test } from 'vitest';
import { type Errno, System } from '../../../core/index.js';
import type { Mlx5Core } from '../../../drivers/mlx5/mlx5-core.js';
import { type NicProfile, nic } from '../../../hw/models/nic/index.js';
import type { PciModel } from '../../../hw/sim/index.js';
import { hostSim } from '../../../plugins/host-sim.js';
import mlx5Plugin from '../../../plugins/mlx5.js';
import { ADDRESS, NicBench } from './fixture.js';

const BRING_UP = [
  'ENABLE_HCA QUERY_ISSI SET_ISSI QUERY_PAGES MANAGE_PAGES QUERY_HCA_CAP QUERY_PAGES MANAGE_PAGES',
  'INIT_HCA SET_DRIVER_VERSION QUERY_HCA_CAP ALLOC_UAR CREATE_EQ CREATE_EQ CREATE_EQ',
].flatMap((line) => line.split(' '));

const probeError = async (profile: NicProfile): Promise<string> => {
  await using bench = await NicBench.start({ profile });
  expect(bench.dev.bound).toBe(false);
  expect(bench.dev.devres.size).toBe(0);
  return (bench.dev.probeError as Errno).message;
};

describe('bring-up', () => {
  test('1 commands come in the order of Linux; the first event queue is made polling, the others by events; parts come last', async () => {
    await using bench = await NicBench.start();
    const names = bench.commands.map(({ name }) => name);
    expect(names.slice(0, BRING_UP.length)).toEqual(BRING_UP);
    const eqs = bench.commands.filter(({ name }) => name === 'CREATE_EQ');
    expect(eqs.map(({ hasEvent }) => hasEvent)).toEqual([false, true, true]);
    expect(bench.core.parts.map(({ name }) => name)).toEqual(['mlx5_core.eth.0', 'mlx5_core.rdma.0']);
    expect(bench.silicon.pf.driverVersion).toBe('Linux,mlx5_core,7.2.0');
    expect(bench.silicon.pf.pages.count).toBe(16 + 64);
  });

  test('firmware that does not start is waited for half a minute', async () => {
    expect(await probeError({ initUs: 31_000_000 })).toBe(
      `ETIMEDOUT: ${ADDRESS}: the firmware has not started within 30000000 us`,
    );
  });

  test('firmware that takes its time is waited for, and that is said every 20 seconds', async () => {
    await using bench = await NicBench.start({ profile: { initUs: 25_000_000 } });
    expect(bench.core.isUp).toBe(true);
    expect(bench.logged('wait_firmware')).toEqual(['Waiting for FW initialization, timeout abort in 10s']);
  });

  test('a driver that is removed while firmware starts waits no longer', async () => {
    const sim = hostSim({ nic: [{ initUs: 60_000_000 }], clock: 'manual' });
    const starting = System.start(sim.plugin, mlx5Plugin);
    await sim.settle(1_000_000);
    sim.yank('00:04.0');
    await sim.settle(1_000_000);
    await using system = await starting;
    expect(sim.clock.now()).toBe(2_000_000);
    expect(system.core.buses.get('pci')?.find('0000:00:04.0')).toBeUndefined();
  });

  test('likewise one whose device is taken off the bus', async () => {
    await using bench = await NicBench.start({ profile: { sfs: 0 } });
    const { dev, sim, silicon } = bench;
    const { core } = bench.system;
    await core.unbind(dev);
    silicon.pf.reset(25_000_000);
    sim.clock.mode = 'manual';
    const attaching = core.attach(dev);
    await sim.settle(1_000_000);
    const removing = core.remove(dev);
    const begin = sim.clock.now();
    await sim.settle(100_000);
    await Promise.all([attaching, removing]);
    expect([sim.clock.now() - begin, dev.registered, String(dev.probeError)]).toEqual([
      100_000,
      false,
      `Errno: ENODEV: ${ADDRESS}: its driver is removed while the firmware starts`,
    ]);
  });

  test('4 registers that are no memory are refused', async () => {
    const model = nic({ sfs: 0 });
    const io: PciModel = {
      ...model,
      config: { ...model.config, capabilities: [], extended: [], bars: { 0: { kind: 'io', sizeBytes: 256 } } },
    };
    const sim = hostSim({ devices: [{ at: '00:04.0', model: io }] });
    await using system = await System.start(sim.plugin, mlx5Plugin);
    expect(String(system.device('0000:00:04.0').probeError)).toContain('ENODEV: 0000:00:04.0: BAR 0 is no memory');
  });

  test('5 a command interface that is not known is refused', async () => {
    const prefix = `EINVAL: ${ADDRESS}: the command interface has`;
    expect(await probeError({ commandRevision: 4 })).toBe(`${prefix} revision 4, not 5`);
    expect(await probeError({ logSlots: 6 })).toBe(`${prefix} 64 slots, more than 32`);
    expect(await probeError({ logStride: 8 })).toBe(`${prefix} 32 slots of 256 bytes, more than a page`);
  });

  test('event queues of a size that cannot be are refused', async () => {
    for (const options of [{ eventEqSize: 63 }, { ioEqSize: 4097 }]) {
      await using bench = await NicBench.start({ options });
      expect((bench.dev.probeError as Errno).code).toBe('ERANGE');
    }
    await using bench = await NicBench.start({ options: { eventEqSize: 64, ioEqSize: 4096 } });
    await bench.core.compEqn(0);
    const all = [...bench.core.eqs.asyncEqs, ...bench.core.eqs.completionEqs];
    expect(all.map(({ logSize }) => logSize)).toEqual([8, 8, 8, 13]);
  });

  test('its end is the beginning backwards, and the function is as it was', async () => {
    const bench = await NicBench.start({ profile: { sfs: 0 } });
    const { silicon } = bench;
    await bench.core.compEqn(1);
    bench.takeCommands();
    await bench[Symbol.asyncDispose]();
    expect(bench.takeCommands()).toEqual(
      'DESTROY_EQ DESTROY_EQ DESTROY_EQ DESTROY_EQ DEALLOC_UAR TEARDOWN_HCA MANAGE_PAGES DISABLE_HCA'.split(' '),
    );
    expect([silicon.pf.state, silicon.pf.pages.count, bench.sim.dma.allocatedBytes]).toEqual([0, 0, 0]);
    expect([bench.sim.modelErrors, bench.sim.guestErrors, bench.sim.iommuFaults]).toEqual([[], [], []]);
  });

  test('down and up again are as they were, with the same driver bound', async () => {
    await using bench = await NicBench.start();
    const ledger = bench.dev.devres.entries().map(({ label }) => label);
    const { core } = bench;
    await core.compEqn(0);
    await core.down();
    expect([core.isUp, core.parts, bench.silicon.pf.state]).toEqual([false, [], 0]);
    await core.up();
    const again = bench.dev.devres.entries().map(({ label }) => label);
    expect(again.toSorted()).toEqual(ledger.toSorted());
    expect(core.parts.map(({ name }) => name)).toEqual(['mlx5_core.eth.0', 'mlx5_core.rdma.0']);
  });

  test('two adapters have parts with ids of their own, the lowest that are free', async () => {
    const sim = hostSim({ nic: 2 });
    await using system = await System.start(sim.plugin, mlx5Plugin);
    const names = (at: string): string[] => (system.device(at).state as Mlx5Core).parts.map(({ name }) => name);
    expect(names('0000:00:05.0')).toEqual(['mlx5_core.eth.1', 'mlx5_core.rdma.1']);
    await system.core.unbind(system.device('0000:00:04.0'));
    await system.core.attach(system.device('0000:00:04.0'));
    expect(names('0000:00:04.0')).toEqual(['mlx5_core.eth.0', 'mlx5_core.rdma.0']);
  });

  test('shutdown cuts the function off, and nothing interrupts any more', async () => {
    await using bench = await NicBench.start();
    const { core } = bench;
    await core.shutdown();
    expect(bench.commands.at(-1)?.name).toBe('TEARDOWN_HCA');
    expect(core.eqs.asyncEqs.map(({ lease }) => lease.refs)).toEqual([1, 1, 1]);
    await expect(core.exec(0x100, new Uint32Array(4))).rejects.toMatchObject({ code: 'ENOLINK' });
  });
});
