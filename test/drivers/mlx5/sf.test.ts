import { describe, expect, test } from 'vitest';
import type { Devlink } from '../../../core/index.js';
import type { Mlx5Core } from '../../../drivers/mlx5/mlx5-core.js';
import { OPCODES } from '../../../hw/regs/nic-commands.js';
import { VHCA_STATES } from '../../../hw/regs/nic-contexts.js';
import { SfBench, refusal } from './sf-fixture.js';

const pcisf = { flavour: 'pcisf', pfnum: 0 } as const;

describe('port add', () => {
  test('61 in mode legacy there are no sub-functions', async () => {
    await using bench = await SfBench.start({ isLegacy: true });
    expect(await refusal(() => bench.add(88))).toBe(
      'EOPNOTSUPP: mlx5_core: SF ports are only supported in eswitch switchdev mode.',
    );
    expect(bench.takeAsked()).toEqual([]);
  });

  test('62 what is wanted is checked in the order of Linux', async () => {
    await using bench = await SfBench.start({ profile: { sfs: 1 } });
    const add = async (wanted: Parameters<Devlink['addPort']>[0]): Promise<string> =>
      refusal(() => bench.devlink.addPort(wanted));
    const wrong = { flavour: 'pcivf', pfnum: 1, index: 7, controller: 1 } as const;
    expect(await add(wrong)).toBe('EOPNOTSUPP: mlx5_core: Driver supports only SF port addition');
    expect(await add({ ...wrong, flavour: 'pcisf' })).toBe(
      'EOPNOTSUPP: mlx5_core: Driver does not support user defined port index assignment',
    );
    expect(await add({ flavour: 'pcisf', pfnum: 1, controller: 1 })).toBe(
      'EOPNOTSUPP: mlx5_core: User must provide unique sfnum. Driver does not support auto assignment',
    );
    expect(await add({ flavour: 'pcisf', pfnum: 1, controller: 1, sfnum: 88 })).toBe(
      'EOPNOTSUPP: mlx5_core: External controller is unsupported',
    );
    expect(await add({ flavour: 'pcisf', pfnum: 1, sfnum: 88 })).toBe('EOPNOTSUPP: mlx5_core: Invalid pfnum supplied');
    expect(bench.takeAsked()).toEqual([]);
  });

  test('62 a device without sub-functions says so before anything else', async () => {
    await using bench = await SfBench.start({ profile: { sfs: 0 }, isLegacy: true });
    expect(await refusal(() => bench.add(88))).toBe('EOPNOTSUPP: mlx5_core: SF ports are not supported.');
  });

  test('63 the first one: its port, its state, the commands', async () => {
    await using bench = await SfBench.start();
    const port = await bench.devlink.addPort({ ...pcisf, sfnum: 88 });
    expect(port).toEqual({
      index: 32_768,
      type: 'eth',
      flavour: 'pcisf',
      controller: 0,
      pfnum: 0,
      sfnum: 88,
      isExternal: false,
      function: { hwAddr: '00:00:00:00:00:00', state: 'inactive', opstate: 'detached' },
    });
    expect(bench.takeAsked()).toEqual(['ALLOC_SF 32768', 'MODIFY_VHCA_STATE 32768']);
    expect(bench.nic.silicon.vhca.swId(0x8000)).toBe(88);
    expect(bench.vhca(0x8000)).toBe(VHCA_STATES.allocated);
  });

  test('64 a number is taken once; all may be taken', async () => {
    await using bench = await SfBench.start({ profile: { sfs: 2 } });
    await bench.add(88);
    expect(await refusal(() => bench.add(88))).toBe('EEXIST: mlx5_core: SF already exist. Choose different sfnum');
    await bench.add(89);
    expect(await refusal(() => bench.add(90))).toMatch(/^ENOSPC/);
    expect(await refusal(() => bench.add(89))).toMatch(/^EEXIST/);
  });

  test('65 the lowest index is used again', async () => {
    await using bench = await SfBench.start();
    const ports = [await bench.add(88), await bench.add(89), await bench.add(90)];
    await bench.devlink.deletePort(ports[1]!);
    expect(await bench.add(91)).toBe(32_769);
    expect(await bench.add(92)).toBe(32_771);
  });

  test('what a failed command has begun is undone', async () => {
    await using bench = await SfBench.start();
    const { silicon } = bench.nic;
    const fault = silicon.inject({ opcode: OPCODES.MODIFY_VHCA_STATE, status: 0x08 });
    expect(await refusal(() => bench.add(88))).toMatch(/^ENOMEM/);
    fault.cancel();
    expect(bench.takeAsked()).toEqual(['ALLOC_SF 32768', 'MODIFY_VHCA_STATE 32768', 'DEALLOC_SF 32768']);
    expect(bench.vhca(0x8000)).toBe(VHCA_STATES.invalid);
    expect(await bench.add(88)).toBe(32_768);
  });
});

describe('port function set', () => {
  test('66 active: the device comes with its number and window, light: no event queues, no parts', async () => {
    await using bench = await SfBench.start();
    const port = await bench.add(88);
    bench.takeAsked();
    await bench.devlink.setPortFunction(port, { state: 'active' });
    expect(bench.takeAsked()).toEqual(['QUERY_HCA_CAP 32768', 'SET_HCA_CAP 32768', 'ENABLE_HCA 32768']);
    await bench.settle();
    const dev = bench.sf(1);
    expect(dev.attributes.open('sfnum', 'r').read()).toBe('88\n');
    expect(dev.parent).toBe(bench.nic.dev);
    const core = dev.state as Mlx5Core;
    expect([core.window.barIndex, core.window.offset, core.isUp, core.parts.length]).toEqual([2, 0, false, 0]);
    expect(bench.nic.silicon.sfs[0]!.eqs.filter((eq) => eq !== undefined)).toEqual([]);
    expect(bench.functionOf(port)).toMatchObject({ state: 'active', opstate: 'attached', nested: 'auxiliary/mlx5_core.sf.1' });
    expect(bench.vhca(port)).toBe(VHCA_STATES.inUse);
  });

  test('66 windows are one behind the other', async () => {
    await using bench = await SfBench.start();
    await bench.attach(88);
    await bench.attach(89);
    expect((bench.sf(2).state as Mlx5Core).window.offset).toBe(0x1_0000);
  });

  test('67 what is active already stays so, without a command', async () => {
    await using bench = await SfBench.start();
    const port = await bench.attach(88);
    bench.takeAsked();
    await bench.devlink.setPortFunction(port, { state: 'active' });
    expect(bench.takeAsked()).toEqual([]);
    expect(bench.state(port)).toBe('active attached');
  });

  test('70 inactive while attached: it stays attached until its driver has gone, parts first', async () => {
    await using bench = await SfBench.start();
    const port = await bench.attach(88);
    const sf = bench.sfDevlink(1);
    await sf.setParam('enable_eth', true, 'driverinit');
    await sf.setParam('enable_vnet', true, 'driverinit');
    await sf.reload();
    const gone: string[] = [];
    const watch = bench.nic.system.core.uevents.on((event) => {
      if (event.action === 'remove') gone.push(event.device!.name);
    });
    bench.takeAsked();
    await bench.devlink.setPortFunction(port, { state: 'inactive' });
    expect(bench.takeAsked()).toEqual(['DISABLE_HCA 32768']);
    expect(bench.state(port)).toBe('inactive attached');
    await bench.settle();
    watch.dispose();
    expect(gone.filter((name) => name.startsWith('mlx5_core'))).toEqual([
      'mlx5_core.vnet.1',
      'mlx5_core.eth.1',
      'mlx5_core.sf.1',
    ]);
    expect(bench.state(port)).toBe('inactive detached');
    expect(bench.vhca(port)).toBe(VHCA_STATES.allocated);
  });

  test('71 active again before its driver has gone is too early', async () => {
    await using bench = await SfBench.start();
    const port = await bench.attach(88);
    await bench.devlink.setPortFunction(port, { state: 'inactive' });
    expect(await refusal(() => bench.devlink.setPortFunction(port, { state: 'active' }))).toBe(
      'EBUSY: mlx5_core: SF is inactivated but it is still attached',
    );
    await bench.settle();
    await bench.devlink.setPortFunction(port, { state: 'active' });
    await bench.settle();
    expect(bench.state(port)).toBe('active attached');
  });

  test('72 a driver that is unbound detaches it, and one that is bound attaches it', async () => {
    await using bench = await SfBench.start();
    const port = await bench.attach(88);
    const { core } = bench.nic.system;
    await core.unbind(bench.sf(1));
    await bench.settle();
    expect([bench.state(port), bench.functionOf(port).nested]).toEqual(['active detached', undefined]);
    await core.attach(bench.sf(1));
    await bench.settle();
    expect([bench.state(port), bench.functionOf(port).nested]).toEqual(['active attached', 'auxiliary/mlx5_core.sf.1']);
  });

  test('a command that fails leaves the state as it was', async () => {
    await using bench = await SfBench.start();
    const port = await bench.add(88);
    const fault = bench.nic.silicon.inject({ opcode: OPCODES.ENABLE_HCA, status: 0x06 });
    expect(await refusal(() => bench.devlink.setPortFunction(port, { state: 'active' }))).toMatch(/^EBUSY/);
    fault.cancel();
    expect(bench.state(port)).toBe('inactive detached');
    await bench.devlink.setPortFunction(port, { state: 'active' });
    await bench.settle();
    expect(bench.state(port)).toBe('active attached');
  });

  test('its address, RDMA and event queues are as the manager says', async () => {
    await using bench = await SfBench.start();
    const port = await bench.add(88);
    await bench.devlink.setPortFunction(port, { hwAddr: '02:00:00:00:00:58', roce: false, maxIoEqs: 2 });
    expect(bench.functionOf(port)).toMatchObject({ hwAddr: '02:00:00:00:00:58', roce: false, maxIoEqs: 2 });
    await bench.devlink.setPortFunction(port, { state: 'active' });
    await bench.settle();
    const sf = bench.sfDevlink(1);
    await sf.setParam('enable_eth', true, 'driverinit');
    await sf.setParam('enable_rdma', true, 'driverinit');
    await sf.reload();
    const core = bench.sf(1).state as Mlx5Core;
    expect([core.caps.roce, core.compVectorCount]).toEqual([0, 2]);
    expect(core.parts.map(({ name }) => name)).toEqual(['mlx5_core.eth.1']);
  });

  test('what sub-functions cannot do is refused', async () => {
    await using bench = await SfBench.start();
    const port = await bench.add(88);
    bench.takeAsked();
    for (const settings of [{ migratable: true }, { ipsecCrypto: true }, { ipsecPacket: true }]) {
      expect(await refusal(() => bench.devlink.setPortFunction(port, settings))).toMatch(/^EOPNOTSUPP/);
    }
    expect(await refusal(() => bench.devlink.setPortFunction(port, { maxIoEqs: 62 }))).toMatch(/^EINVAL: .*61 at most/);
    expect(bench.takeAsked()).toEqual([]);
  });
});
