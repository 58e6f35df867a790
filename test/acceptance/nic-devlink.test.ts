import { describe, expect, test } from 'vitest';
import { NetDevices } from '../../core/index.js';
import { NicWorld, WHILE_US, refusal } from './nic-bench.js';

const FIRST = 0x8000;

async function switchdev(sfs = 16): Promise<NicWorld> {
  const world = await NicWorld.start({ nics: [{ sfs }] });
  await world.devlink.setEswitchMode('switchdev');
  return world;
}

describe('devlink port add', () => {
  test('61, 63 and 65 needs mode switchdev; then the lowest free index is taken', async () => {
    await using world = await NicWorld.start();
    const add = (sfnum: number): unknown => world.devlink.addPort({ flavour: 'pcisf', pfnum: 0, sfnum });
    expect(await refusal(() => add(88))).toContain('SF ports are only supported in eswitch switchdev mode.');
    await world.devlink.setEswitchMode('switchdev');
    for (const sfnum of [88, 89, 90]) await add(sfnum);
    expect(world.devlink.port(FIRST).function).toMatchObject({ state: 'inactive', opstate: 'detached' });
    await world.devlink.deletePort(FIRST + 1);
    expect(await add(91)).toMatchObject({ index: FIRST + 1, sfnum: 91 });
  });

  test('64 a number in use, and one port more than there can be', async () => {
    await using world = await switchdev(4);
    const add = (sfnum: number): unknown => world.devlink.addPort({ flavour: 'pcisf', pfnum: 0, sfnum });
    await add(1);
    expect(await refusal(() => add(1))).toMatch(/^EEXIST: .*SF already exist\. Choose different sfnum/);
    for (const sfnum of [2, 3, 4]) await add(sfnum);
    expect(await refusal(() => add(5))).toMatch(/^ENOSPC/);
    expect(world.devlink.ports().filter(({ flavour }) => flavour === 'pcisf')).toHaveLength(4);
  });

  test('62 a number that waits for its deletion is in use still', async () => {
    await using world = await switchdev();
    const port = await world.sf(88);
    await world.devlink.deletePort(port);
    expect(await refusal(() => world.devlink.addPort({ flavour: 'pcisf', pfnum: 0, sfnum: 88 }))).toMatch(/^EEXIST/);
    await world.settle(WHILE_US);
    expect(await world.devlink.addPort({ flavour: 'pcisf', pfnum: 0, sfnum: 88 })).toMatchObject({ index: port });
  });
});

describe('devlink port function set', () => {
  test('66, 67 and 70 a function goes up once, and down with its parts', async () => {
    await using world = await switchdev();
    const port = await world.sf(88);
    expect(world.devlink.port(port).function).toMatchObject({ state: 'active', opstate: 'attached' });
    await world.devlink.setPortFunction(port, { state: 'active' });
    await world.devlinkOf('mlx5_core.sf.1').setParam('enable_eth', true, 'driverinit');
    await world.devlinkOf('mlx5_core.sf.1').reload();
    expect(world.parts).toContain('mlx5_core.eth.1');
    await world.devlink.setPortFunction(port, { state: 'inactive' });
    await world.settle(WHILE_US);
    expect(world.devlink.port(port).function).toMatchObject({ state: 'inactive', opstate: 'detached' });
    expect(world.parts.filter((name) => name.endsWith('.1'))).toEqual([]);
  });

  test('an address is set before the function is up, is its own then, and must be one of a device', async () => {
    await using world = await switchdev();
    const { index } = await world.devlink.addPort({ flavour: 'pcisf', pfnum: 0, sfnum: 88 });
    expect(await refusal(() => world.devlink.setPortFunction(index, { hwAddr: '01:00:5e:00:00:01' }))).toMatch(/^EINVAL/);
    await world.devlink.setPortFunction(index, { hwAddr: '02:00:00:00:00:88', state: 'active' });
    await world.settle(WHILE_US);
    const own = world.devlinkOf('mlx5_core.sf.1');
    await own.setParam('enable_eth', true, 'driverinit');
    await own.reload();
    expect(world.system.get(NetDevices, 'p0sf88').info().mac).toBe('02:00:00:00:00:88');
  });

  test('sub-functions come and go as often as wanted, and nothing is left of them', async () => {
    await using world = await switchdev();
    const { dma } = world.sim;
    const round = async (sfnum: number): Promise<void> => {
      const port = await world.sf(sfnum);
      await world.devlink.deletePort(port);
      await world.settle(WHILE_US);
    };
    await round(1);
    const bytes = dma.allocatedBytes;
    for (let sfnum = 2; sfnum < 12; sfnum++) await round(sfnum);
    expect(dma.allocatedBytes).toBe(bytes);
    expect(world.parts).toEqual(['mlx5_core.eth-rep.0', 'mlx5_core.eth.0', 'mlx5_core.rdma.0']);
  });
});
