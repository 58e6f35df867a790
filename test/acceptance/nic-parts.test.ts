import { describe, expect, test } from 'vitest';
import { AuxName, type AuxiliaryDevice, type AuxiliaryDriver } from 'backplane';
import { NicWorld, WHILE_US, refusal } from './nic-bench.js';

/** Takes parts of one name, and says which. */
class Taker implements AuxiliaryDriver<unknown, undefined> {
  readonly name = 'taker';
  readonly bound: string[] = [];
  readonly ids;
  constructor(part: string) {
    this.ids = [new AuxName<unknown>(part)];
  }
  probe({ name }: AuxiliaryDevice): undefined {
    this.bound.push(name);
    return undefined;
  }
  remove(): void {}
}

describe('parts of functions', () => {
  test('79 a driver of one name gets the parts of exactly that name', async () => {
    const taker = new Taker('mlx5_core.rdma');
    await using world = await NicWorld.start();
    await world.system.kernel.auxiliary.register(taker);
    await world.devlink.setEswitchMode('switchdev');
    expect(world.parts).toEqual(['mlx5_core.eth-rep.0', 'mlx5_core.eth.0', 'mlx5_core.rdma.0']);
    expect(taker.bound).toEqual(['mlx5_core.rdma.0']);
    const driverOf = (name: string): string | undefined => world.system.device(name).driver?.name;
    expect([driverOf('mlx5_core.eth.0'), driverOf('mlx5_core.eth-rep.0')]).toEqual([
      expect.not.stringContaining('rep'),
      expect.stringContaining('rep'),
    ]);
  });

  test('79 a driver without ids, and a name without a device, are refused', async () => {
    await using world = await NicWorld.start();
    const { auxiliary } = world.system.kernel;
    const idle: AuxiliaryDriver<unknown, undefined> = { name: 'idle', ids: [], probe: () => undefined, remove: () => {} };
    expect(await refusal(() => auxiliary.register(idle))).toMatch(/^EINVAL/);
    expect(() => new AuxName('mlx5_core')).toThrow(/^EINVAL/);
  });

  test('68 the parts that a user asked for come in the order of the table, and go in reverse', async () => {
    await using world = await NicWorld.start();
    await world.devlink.setEswitchMode('switchdev');
    await world.sf(88);
    const own = world.devlinkOf('mlx5_core.sf.1');
    for (const part of ['enable_eth', 'enable_rdma', 'enable_vnet']) await own.setParam(part, true, 'driverinit');
    expect(world.parts.filter((name) => name.endsWith('.1'))).toEqual(['mlx5_core.sf.1']);
    await own.reload();
    expect(world.parts.filter((name) => name.endsWith('.1'))).toEqual([
      'mlx5_core.eth.1',
      'mlx5_core.rdma.1',
      'mlx5_core.sf.1',
      'mlx5_core.vnet.1',
    ]);
    await world.devlink.deletePort(0x8000);
    await world.settle(WHILE_US);
    expect(world.parts.filter((name) => name.endsWith('.1'))).toEqual([]);
  });
});
