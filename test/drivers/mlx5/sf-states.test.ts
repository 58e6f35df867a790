import { describe, expect, test } from 'vitest';
import { AuxiliaryDevice, type Device, Devlinks } from '../../../core/index.js';
import { ETH } from '../../../drivers/mlx5/api.js';
import type { Mlx5Core } from '../../../drivers/mlx5/mlx5-core.js';
import type { NicProfile } from '../../../hw/models/nic/index.js';
import { OPCODES } from '../../../hw/regs/nic-commands.js';
import { VHCA_STATES } from '../../../hw/regs/nic-contexts.js';
import { SfBench, refusal } from './sf-fixture.js';

describe('parameters and reload of a sub-function', () => {
  test('68 parts that were asked for come with a reload, with vectors of the pools of sub-functions', async () => {
    await using bench = await SfBench.start();
    await bench.attach(88);
    const sf = bench.sfDevlink(1);
    const values = Object.fromEntries(sf.params().map(({ name, values: [value] }) => [name, value!.value]));
    expect(values).toEqual({
      enable_roce: false,
      enable_eth: false,
      enable_rdma: false,
      enable_vnet: false,
      io_eq_size: 1024,
      event_eq_size: 4096,
      num_doorbells: 8,
      max_macs: 128,
    });
    await sf.setParam('enable_eth', true, 'driverinit');
    await sf.setParam('enable_vnet', true, 'driverinit');
    expect((bench.sf(1).state as Mlx5Core).parts).toEqual([]);
    expect(await sf.reload()).toBeUndefined();
    const core = bench.sf(1).state as Mlx5Core;
    expect(core.parts.map(({ name, parent }) => [name, parent?.name])).toEqual([
      ['mlx5_core.eth.1', 'mlx5_core.sf.1'],
      ['mlx5_core.vnet.1', 'mlx5_core.sf.1'],
    ]);
    await core.compEqn(0);
    const names = core.irqTable.vectors.leasesOf(core.dev).map(({ name }) => name.split('@')[0]);
    expect(names).toEqual(['mlx5_sf_ctrl9', 'mlx5_sf_comp10']);
    expect(sf.ports()).toEqual([{ index: 1, type: 'eth', flavour: 'virtual', port: 0 }]);
  });

  test('68 RDMA over Ethernet is for the part to know', async () => {
    await using bench = await SfBench.start();
    await bench.attach(88);
    const sf = bench.sfDevlink(1);
    const core = bench.sf(1).state as Mlx5Core;
    expect([bench.nic.core.isRoceEnabled, core.isRoceEnabled]).toEqual([true, false]);
    await sf.setParam('enable_roce', true, 'driverinit');
    await sf.setParam('enable_rdma', true, 'driverinit');
    expect(core.isRoceEnabled).toBe(false);
    await sf.reload();
    expect([core.isRoceEnabled, core.parts.map(({ name }) => name)]).toEqual([true, ['mlx5_core.rdma.1']]);
  });

  test('69 what a reload, or a parameter, cannot be is refused', async () => {
    await using bench = await SfBench.start();
    await bench.attach(88);
    const sf = bench.sfDevlink(1);
    expect(await refusal(() => sf.reload({ action: 'fw_activate' }))).toMatch(/^EOPNOTSUPP/);
    expect(await refusal(() => sf.reload({ limits: ['no_reset'] }))).toBe('EINVAL: Requested limit is invalid for this action');
    for (const [value, code] of [
      [32, 'EINVAL'],
      [63, 'EINVAL'],
      [64, 'nothing'],
      [4096, 'nothing'],
      [4097, 'EINVAL'],
      [8192, 'EINVAL'],
    ] as const) {
      expect(await refusal(() => sf.setParam('io_eq_size', value, 'driverinit'))).toMatch(new RegExp(`^${code}`));
    }
    expect(await refusal(() => sf.setParam('enable_dpll', true, 'driverinit'))).toMatch(/^EINVAL/);
    expect(await refusal(() => sf.setParam('enable_eth', true, 'runtime'))).toMatch(/^EOPNOTSUPP/);
    expect(sf.isReloadFailed()).toBe(false);
    expect(await sf.reload({ action: 'driver_reinit' })).toEqual(['driver_reinit']);
  });

  test('a reload that fails leaves the function down, and the next one brings it up', async () => {
    await using bench = await SfBench.start();
    await bench.attach(88);
    const sf = bench.sfDevlink(1);
    await sf.setParam('enable_eth', true, 'driverinit');
    const fault = bench.nic.silicon.inject({ opcode: OPCODES.INIT_HCA, status: 0x01 });
    expect(await refusal(() => sf.reload())).toMatch(/^EIO/);
    fault.cancel();
    expect(sf.isReloadFailed()).toBe(true);
    expect(bench.parts).not.toContain('mlx5_core.eth.1');
    await sf.reload();
    expect([sf.isReloadFailed(), bench.parts.includes('mlx5_core.eth.1')]).toEqual([false, true]);
  });
});

describe('port del', () => {
  test('73 of one that is inactive frees it before it returns', async () => {
    await using bench = await SfBench.start();
    const port = await bench.add(88);
    bench.takeAsked();
    await bench.devlink.deletePort(port);
    expect(bench.takeAsked()).toEqual(['DEALLOC_SF 32768']);
    expect(bench.vhca(port)).toBe(VHCA_STATES.invalid);
  });

  test('74 of one that is attached: the port is gone at once, its number once the driver has gone', async () => {
    await using bench = await SfBench.start();
    const port = await bench.attach(88);
    bench.takeAsked();
    await bench.devlink.deletePort(port);
    expect(bench.takeAsked()).toEqual(['DISABLE_HCA 32768']);
    expect(bench.devlink.ports()).toEqual([]);
    expect(await refusal(() => bench.add(88))).toMatch(/^EEXIST/);
    expect(await bench.add(89)).toBe(port + 1);
    await bench.settle();
    expect(bench.parts.filter((name) => name.includes('.sf.'))).toEqual([]);
    expect(await bench.add(88)).toBe(port);
  });

  test('74 of one that was activated and nobody drives frees it at once', async () => {
    await using bench = await SfBench.start();
    const port = await bench.attach(88);
    await bench.nic.system.core.unbind(bench.sf(1));
    await bench.settle();
    await bench.devlink.deletePort(port);
    expect(bench.vhca(port)).toBe(VHCA_STATES.invalid);
    const again = await bench.attach(90);
    expect(again).toBe(port);
    await bench.settle();
    expect(bench.functionOf(again)).toMatchObject({ state: 'active', opstate: 'attached' });
    const [name] = bench.parts.filter((part) => part.includes('.sf.'));
    expect((bench.nic.system.device(name!) as AuxiliaryDevice).attributes.open('sfnum', 'r').read()).toBe('90\n');
  });
});

describe('states', () => {
  test('75 a change between a look and the arming of the next event is not lost', async () => {
    await using bench = await SfBench.start();
    const port = await bench.attach(88);
    const { vhca } = bench.nic.silicon;
    const { core } = bench.nic;
    const exec = core.exec.bind(core);
    let isMoved = false;
    core.exec = async (opcode, input, output) => {
      const answer = await exec(opcode, input, output);
      if (opcode === OPCODES.QUERY_VHCA_STATE && !isMoved) {
        isMoved = true;
        vhca.move(port, 'disableSelf');
        vhca.move(port, 'enableSelf');
        vhca.move(port, 'disableSelf');
      }
      return answer;
    };
    vhca.move(port, 'disableSelf');
    vhca.move(port, 'enableSelf');
    await bench.settle();
    expect(isMoved).toBe(true);
    expect(bench.state(port)).toBe('active detached');
    vhca.move(port, 'enableSelf');
    await bench.settle();
    expect(bench.state(port)).toBe('active attached');
  });
});

describe('the switch', () => {
  test('76 mode legacy deletes all sub-functions', async () => {
    await using bench = await SfBench.start();
    await bench.attach(88);
    await bench.add(89);
    await bench.devlink.setEswitchMode('legacy');
    expect([bench.devlink.ports(), bench.devlink.eswitchMode()]).toEqual([[], 'legacy']);
    await bench.settle();
    expect([bench.vhca(0x8000), bench.vhca(0x8001)]).toEqual([VHCA_STATES.invalid, VHCA_STATES.invalid]);
    expect(bench.parts).toEqual(['mlx5_core.eth.0', 'mlx5_core.rdma.0']);
  });

  test('the part for representors comes and goes with the mode', async () => {
    await using bench = await SfBench.start();
    expect(bench.parts).toEqual(['mlx5_core.eth-rep.0', 'mlx5_core.eth.0', 'mlx5_core.rdma.0']);
    bench.nic.takeCommands();
    await bench.devlink.setEswitchMode('switchdev');
    expect(bench.nic.takeCommands()).toEqual([]);
    await bench.devlink.setEswitchMode('legacy');
    expect(bench.nic.takeCommands()).toEqual(['SET_ESWITCH_MODE']);
    expect(bench.parts).toEqual(['mlx5_core.eth.0', 'mlx5_core.rdma.0']);
  });

  test('a device that refuses the mode keeps the one it has', async () => {
    await using bench = await SfBench.start({ isLegacy: true });
    const fault = bench.nic.silicon.inject({ opcode: OPCODES.SET_ESWITCH_MODE, status: 0x01 });
    expect(await refusal(() => bench.devlink.setEswitchMode('switchdev'))).toMatch(/^EIO/);
    fault.cancel();
    expect([bench.devlink.eswitchMode(), bench.parts]).toEqual(['legacy', ['mlx5_core.eth.0', 'mlx5_core.rdma.0']]);
  });
});

describe('the function itself', () => {
  test('77 its reload deletes its sub-functions, and begins in mode legacy', async () => {
    await using bench = await SfBench.start();
    await bench.attach(88);
    await bench.add(89);
    await bench.devlink.reload();
    expect(bench.parts).toEqual(['mlx5_core.eth.0', 'mlx5_core.rdma.0']);
    expect([bench.devlink.ports(), bench.devlink.eswitchMode()]).toEqual([[], 'legacy']);
    await bench.devlink.setEswitchMode('switchdev');
    await bench.attach(88);
    expect(bench.sf(1).bound).toBe(true);
  });

  test('78 it is unbound with many of them alive, and nothing is left', async () => {
    const bench = await SfBench.start({ profile: { sfs: 128 } satisfies NicProfile });
    for (let sfnum = 0; sfnum < 100; sfnum++) await bench.attach(sfnum);
    const { sim, silicon } = bench.nic;
    expect(bench.parts.filter((name) => name.includes('.sf.'))).toHaveLength(100);
    await bench[Symbol.asyncDispose]();
    expect([sim.dma.allocatedBytes, silicon.pf.pages.count]).toEqual([0, 0]);
    expect([sim.modelErrors, sim.guestErrors, sim.iommuFaults]).toEqual([[], [], []]);
  });

  test('it is pulled out with them alive, and nothing is left', async () => {
    await using bench = await SfBench.start();
    await bench.attach(88);
    await bench.attach(89);
    bench.nic.sim.yank('06:00.0');
    await bench.settle();
    expect(bench.parts).toEqual([]);
    expect(Devlinks.list(bench.nic.system.core)).toEqual([]);
    expect(bench.nic.sim.dma.allocatedBytes).toBe(0);
  });

  test('what users see of it', async () => {
    await using bench = await SfBench.start();
    const { devlink } = bench;
    expect(devlink.resources()).toEqual([
      { name: 'max_local_SFs', size: 16 },
      { name: 'max_external_SFs', size: 0 },
    ]);
    expect(await devlink.info()).toMatchObject({ driver: 'mlx5_core', versions: { running: { fw: expect.any(String) } } });
    expect(devlink.params().map(({ name }) => name)).toEqual([
      'enable_roce',
      'enable_eth',
      'enable_rdma',
      'io_eq_size',
      'event_eq_size',
      'num_doorbells',
      'max_macs',
    ]);
    expect(devlink.reporters()).toMatchObject([{ name: 'fw_fatal', state: 'healthy', errors: 0 }]);
  });
});

describe('the bus of parts', () => {
  test('79 matches whole names, and refuses what lacks something', async () => {
    await using bench = await SfBench.start();
    const { core, kernel } = bench.nic.system;
    const bound: string[] = [];
    const eth = { name: 'only-eth', ids: [ETH], probe: (dev: AuxiliaryDevice) => void bound.push(dev.name) };
    await core.registerDriver(kernel.auxiliary, eth);
    expect([bound, bench.parts]).toEqual([['mlx5_core.eth.0'], ['mlx5_core.eth-rep.0', 'mlx5_core.eth.0', 'mlx5_core.rdma.0']]);
    await core.unregisterDriver(kernel.auxiliary, eth);
    const noProbe = { name: 'no-probe', ids: [ETH] };
    const noIds = { ...eth, ids: [] };
    expect(await refusal(() => core.registerDriver(kernel.auxiliary, noProbe))).toMatch(/^EINVAL/);
    expect(await refusal(() => core.registerDriver(kernel.auxiliary, noIds))).toMatch(/^EINVAL/);
    const options = { name: ETH, data: bench.nic.core };
    expect(await refusal(() => new AuxiliaryDevice(options as typeof options & { parent: Device }))).toMatch(
      /^EINVAL: .*no parent/,
    );
  });
});
