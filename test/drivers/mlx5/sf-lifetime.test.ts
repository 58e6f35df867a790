import { describe, expect, test } from 'vitest';
import { type AuxiliaryDevice, type AuxiliaryDriver, Devlinks, type Kernel } from '../../../core/index.js';
import { DriverHarness, type HarnessOptions } from '../../../core/testing/index.js';
import { ETH, type Mlx5Child, SF as SF_NAME, VNET } from '../../../drivers/mlx5/api.js';
import { Mlx5Driver } from '../../../drivers/mlx5/mlx5-driver.js';
import type { Mlx5Core } from '../../../drivers/mlx5/mlx5-core.js';
import { SfDriver } from '../../../drivers/mlx5/sf/sf-driver.js';
import { SYNDROMES } from '../../../hw/regs/nic.js';
import { OPCODES } from '../../../hw/regs/nic-commands.js';
import { VHCA_STATES } from '../../../hw/regs/nic-contexts.js';
import { hostSim } from '../../../plugins/host-sim.js';
import { SfBench, refusal } from './sf-fixture.js';

const PF = 'pci/0000:00:04.0';
const SF = 'auxiliary/mlx5_core.sf.1';
const PORT = 32_768;
const WHILE_US = 10_000;
/** Within it, drivers look how their functions are. */
const HEALTH_US = 3_000_000;

const devlinkOf = ({ core }: Kernel, handle: string) => Devlinks.get(core, handle);

/** A function with one sub-function that is active, and has no driver. */
async function activate(kernel: Kernel): Promise<void> {
  const { core, pci, dma, irqs, ims, auxiliary } = kernel;
  await core.registerDriver(pci.bus, new Mlx5Driver(dma, irqs, ims, auxiliary, { enableEth: false, enableRdma: false }));
  await core.settle();
  const devlink = devlinkOf(kernel, PF);
  await devlink.setEswitchMode('switchdev');
  const { index } = await devlink.addPort({ flavour: 'pcisf', pfnum: 0, sfnum: 88 });
  await devlink.setPortFunction(index, { state: 'active' });
  await kernel.clock.sleep(WHILE_US);
}

const options: HarnessOptions = {
  host: () => hostSim({ nic: [{ sfs: 1 }] }),
  driver: () => new SfDriver(),
  bus: 'auxiliary',
  device: (kernel) => kernel.auxiliary.find('mlx5_core.sf.1'),
  setup: activate,
};

describe('the driver of sub-functions', () => {
  test('gives everything back whichever acquisition fails', async () => {
    await using harness = new DriverHarness(options);
    expect(await harness.failEach()).toEqual(expect.arrayContaining(['window', 'hca', 'boot pages', 'class devlink']));
  });

  test('survives that the adapter vanishes at any point', async () => {
    await using harness = new DriverHarness(options);
    const points = await harness.removeAnywhere();
    expect(points).toEqual(expect.arrayContaining(['acquire hca', 'acquire class devlink', 'turn']));
  });

  test('survives any order of what happens to it', async () => {
    await using harness = new DriverHarness(options);
    const { schedules } = await harness.explore({
      runs: 40,
      steps: 80,
      operations: {
        reload: ({ kernel }) => devlinkOf(kernel, SF).reload(),
        enable: ({ kernel }) => devlinkOf(kernel, SF).setParam('enable_eth', true, 'driverinit'),
        inactive: ({ kernel }) => devlinkOf(kernel, PF).setPortFunction(PORT, { state: 'inactive' }),
        active: ({ kernel }) => devlinkOf(kernel, PF).setPortFunction(PORT, { state: 'active' }),
        delete: ({ kernel }) => devlinkOf(kernel, PF).deletePort(PORT),
        add: ({ kernel }) => devlinkOf(kernel, PF).addPort({ flavour: 'pcisf', pfnum: 0, sfnum: 89 }),
      },
    });
    expect(schedules).toBe(40);
  });

  test('refuses a device that its own function has not made: ENODEV', async () => {
    await using bench = await SfBench.start();
    const { core, kernel } = bench.nic.system;
    const data = { parent: bench.nic.core, index: 0, functionId: 0x8000, sfnum: 1 };
    const dev = await kernel.auxiliary.create(bench.nic.dev, SF_NAME, { id: 9, data });
    expect(String(dev.probeError)).toMatch(/ENODEV: mlx5_core.sf.9: its maker is not the driver of its function/);
    await kernel.auxiliary.destroy(dev);
    expect(core.violations.active).toBe(false);
  });
});

describe('the driver of the function, with what users do to its sub-functions', () => {
  test('survives any order of it', async () => {
    const on = ({ kernel }: { readonly kernel: Kernel }) => devlinkOf(kernel, PF);
    await using harness = new DriverHarness({
      host: () => hostSim({ nic: [{ sfs: 2 }] }),
      driver: ({ dma, irqs, ims, auxiliary }) =>
        new Mlx5Driver(dma, irqs, ims, auxiliary, { enableEth: false, enableRdma: false }),
      setup: ({ core, auxiliary }) => core.registerDriver(auxiliary, new SfDriver()),
    });
    const { schedules, steps } = await harness.explore({
      runs: 40,
      steps: 80,
      operations: {
        switchdev: (system) => on(system).setEswitchMode('switchdev'),
        legacy: (system) => on(system).setEswitchMode('legacy'),
        add: (system) => on(system).addPort({ flavour: 'pcisf', pfnum: 0, sfnum: 88 }),
        addOther: (system) => on(system).addPort({ flavour: 'pcisf', pfnum: 0, sfnum: 89 }),
        active: (system) => on(system).setPortFunction(PORT, { state: 'active' }),
        inactive: (system) => on(system).setPortFunction(PORT, { state: 'inactive' }),
        delete: (system) => on(system).deletePort(PORT),
        reload: (system) => on(system).reload(),
        reloadSf: ({ kernel }) => devlinkOf(kernel, SF).reload(),
        pass: ({ kernel }) => kernel.clock.sleep(WHILE_US),
      },
    });
    expect([schedules, steps['add']! > 0, steps['legacy']! > 0]).toEqual([40, true, true]);
  });
});

/** Something to wait for. */
function gate() {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

/** Enables a part of the first sub-function, and reloads it. */
async function reloadWith(bench: SfBench, name: string): Promise<void> {
  await bench.sfDevlink(1).setParam(name, true, 'driverinit');
  await bench.sfDevlink(1).reload();
}

describe('sub-functions and the drivers of their parts', () => {
  test('one is deleted while a part of it is probed: that ends first, and all of it goes', async () => {
    await using bench = await SfBench.start();
    const probing = gate();
    const log: string[] = [];
    const eth: AuxiliaryDriver<Mlx5Child, void> = {
      name: 'slow-eth',
      ids: [ETH],
      probe: async (dev: AuxiliaryDevice<Mlx5Child>) => {
        if (!dev.data.isSf) return;
        log.push('probe begins');
        await probing.opened;
        log.push('probe ends');
      },
      remove: () => void log.push('remove'),
    };
    const { core, kernel } = bench.nic.system;
    await core.registerDriver(kernel.auxiliary, eth);
    const port = await bench.attach(88);
    bench.stopClock();
    const reload = refusal(() => reloadWith(bench, 'enable_eth'));
    await bench.pass(undefined);
    await bench.pass(bench.devlink.deletePort(port));
    expect([bench.devlink.ports(), log]).toEqual([[], ['probe begins']]);
    expect(await refusal(() => bench.add(88))).toMatch(/^EEXIST/);
    probing.open();
    bench.nic.sim.clock.mode = 'auto';
    await reload;
    await bench.settle();
    expect(log).toEqual(['probe begins', 'probe ends', 'remove']);
    expect(bench.parts.filter((name) => name.endsWith('.1'))).toEqual([]);
    expect(await bench.add(88)).toBe(port);
    await core.unregisterDriver(kernel.auxiliary, eth);
  });

  test('one that is in use is deleted when its user has closed it; its port is gone at once', async () => {
    await using bench = await SfBench.start();
    const closed = gate();
    const vnet: AuxiliaryDriver<Mlx5Child, void> = { name: 'used', ids: [VNET], probe: () => {}, remove: () => closed.opened };
    const { core, kernel } = bench.nic.system;
    await core.registerDriver(kernel.auxiliary, vnet);
    const port = await bench.attach(88);
    await reloadWith(bench, 'enable_vnet');
    bench.stopClock();
    await bench.pass(bench.devlink.deletePort(port));
    expect(bench.devlink.ports()).toEqual([]);
    expect(await refusal(() => bench.add(88))).toMatch(/^EEXIST/);
    expect(bench.vhca(port)).toBe(VHCA_STATES.teardownRequest);
    const other = await bench.pass(bench.add(89));
    await bench.pass(bench.devlink.setPortFunction(other, { state: 'active' }));
    expect(bench.state(other)).toBe('active attached');
    closed.open();
    bench.nic.sim.clock.mode = 'auto';
    await bench.settle();
    expect(bench.vhca(port)).toBe(VHCA_STATES.invalid);
    expect(await bench.add(88)).toBe(port);
    await core.unregisterDriver(kernel.auxiliary, vnet);
  });

  test('an id is used again when nobody holds its device any more', async () => {
    await using bench = await SfBench.start();
    const port = await bench.attach(88);
    const dev = bench.sf(1).get();
    await bench.devlink.deletePort(port);
    await bench.settle();
    await bench.attach(89);
    expect(bench.parts).toContain('mlx5_core.sf.2');
    dev.put();
    await bench.attach(90);
    expect(bench.parts).toContain('mlx5_core.sf.1');
  });
});

describe('sub-functions whose hardware does not do its part', () => {
  test('a command that never ends fails the reload, and the next one works', async () => {
    await using bench = await SfBench.start();
    await bench.attach(88);
    const sf = bench.sfDevlink(1);
    const fault = bench.nic.silicon.inject({ opcode: OPCODES.INIT_HCA, drop: true });
    expect(await refusal(() => sf.reload())).toMatch(/^ETIMEDOUT: mlx5_core.sf.1: INIT_HCA\(0x102\)/);
    expect(sf.isReloadFailed()).toBe(true);
    fault.cancel();
    await sf.reload();
    expect((bench.sf(1).state as Mlx5Core).isUp).toBe(true);
  });

  test('one that does not come up is a device without a driver, and can be deleted', async () => {
    await using bench = await SfBench.start();
    const fault = bench.nic.silicon.inject({ opcode: OPCODES.SET_ISSI, status: 0x01 });
    const port = await bench.attach(88);
    fault.cancel();
    expect(bench.sf(1).bound).toBe(false);
    expect(bench.state(port)).toBe('active detached');
    await bench.devlink.deletePort(port);
    await bench.settle();
    expect(bench.parts.filter((name) => name.includes('.sf.'))).toEqual([]);
  });

  test('one that fails is reported, and works again when it was inactive', async () => {
    await using bench = await SfBench.start();
    const port = await bench.attach(88);
    await reloadWith(bench, 'enable_eth');
    bench.nic.silicon.sfs[0]!.health.report(SYNDROMES.eqOverrun);
    await bench.nic.settle(HEALTH_US);
    const sf = bench.sfDevlink(1);
    expect(sf.reporters()).toEqual([{ name: 'fw_fatal', state: 'error', errors: 1, recoveries: 0 }]);
    expect(await refusal(() => sf.recover('fw_fatal'))).toMatch(/^EOPNOTSUPP/);
    await bench.devlink.setPortFunction(port, { state: 'inactive' });
    await bench.settle();
    expect([bench.state(port), bench.parts.filter((name) => name.endsWith('.1'))]).toEqual(['inactive detached', []]);
    await bench.devlink.setPortFunction(port, { state: 'active' });
    await bench.settle();
    expect(bench.state(port)).toBe('active attached');
  });

  test('one that has failed can be deleted, and its number is free', async () => {
    await using bench = await SfBench.start();
    const port = await bench.attach(88);
    bench.nic.silicon.sfs[0]!.health.stall();
    await bench.nic.settle(10 * HEALTH_US);
    await bench.devlink.deletePort(port);
    await bench.settle();
    expect(await bench.attach(88)).toBe(port);
    expect(bench.state(port)).toBe('active attached');
  });

  test('their function fails, and is recovered when its user says so', async () => {
    await using bench = await SfBench.start({ recovers: false });
    await bench.attach(88);
    const { core } = bench.nic;
    core.fail('for this test');
    await bench.settle();
    expect(bench.devlink.reporters()).toMatchObject([{ state: 'error', errors: 1, recoveries: 0 }]);
    await bench.devlink.recover('fw_fatal');
    expect(bench.devlink.reporters()).toMatchObject([{ state: 'healthy', recoveries: 1 }]);
    expect([core.isFailed, core.isUp, bench.devlink.ports(), bench.devlink.eswitchMode()]).toEqual([false, true, [], 'legacy']);
    await bench.devlink.setEswitchMode('switchdev');
    await bench.attach(88);
    expect(bench.sf(1).bound).toBe(true);
  });

  test('a kept doorbell page is dead after its sub-function was unbound', async () => {
    await using bench = await SfBench.start();
    await bench.attach(88);
    await reloadWith(bench, 'enable_eth');
    const { uar } = bench.sf(1).state as Mlx5Core;
    await bench.nic.system.core.unbind(bench.sf(1));
    expect(() => uar.write32(0x40, 0)).toThrow('ENODEV: mlx5_core.sf.1: window used after unbind');
  });
});
