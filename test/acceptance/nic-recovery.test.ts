import { describe, expect, test } from 'vitest';
import { NetDevices, XMIT } from 'backplane';
import { OPCODES } from 'backplane/regs/nic-commands';
import { SYNDROMES } from 'backplane/regs/nic';
import { NicWorld, WHILE_US, frame, received } from './nic-bench.js';

/** Longer than two looks at the health of a function. */
const HEALTH_US = 5_000_000;
const LENGTH = 200;

/** Sends so many frames from the first adapter to the second. @returns how many have come */
async function send(world: NicWorld, count: number): Promise<number> {
  const [from, to] = [world.eth(0), world.eth(1)];
  const got = received(to);
  const one = frame(to.info().mac, from.info().mac, LENGTH);
  for (let n = 0; n < count; n++) if (from.send(0, one, 0, LENGTH) !== XMIT.OK) break;
  await world.settle(1000);
  return got.length;
}

async function open(world: NicWorld, ...numbers: readonly number[]): Promise<void> {
  for (const n of numbers) await world.eth(n).open();
  await world.settle(1000);
}

describe('an adapter whose firmware fails under traffic, with sub-functions alive', () => {
  test('comes back by itself: nothing of before is held, and frames go again', async () => {
    await using world = await NicWorld.start({ nics: [{ sfs: 4 }, { sfs: 0 }] });
    await open(world, 0, 1);
    await world.devlink.setEswitchMode('switchdev');
    for (const sfnum of [1, 2, 3]) await world.sf(sfnum);
    await world.devlink.setEswitchMode('legacy');
    await world.settle(WHILE_US);
    expect(await send(world, 8)).toBe(8);
    await world.devlink.setEswitchMode('switchdev');
    const ports = [await world.sf(7), await world.sf(8)];
    expect(world.devlink.port(ports[0]!).function).toMatchObject({ opstate: 'attached' });
    const before = world.eth(0);
    await before.setRxMode({ unicast: ['02:00:00:00:07:01'] });
    const [, representor] = world.system.list(NetDevices).find(([name]) => name.endsWith('pf0sf7'))!;
    await representor.open();

    world.silicon[0]!.pf.health.report(SYNDROMES.firmware);
    for (let n = 0; n < 8; n++) before.send(0, frame(world.eth(1).info().mac, before.info().mac, LENGTH), 0, LENGTH);
    await world.settle(HEALTH_US);
    expect(world.devlink.reporters()).toMatchObject([{ name: 'fw_fatal', state: 'healthy', errors: 1, recoveries: 1 }]);
    expect([world.devlink.eswitchMode(), world.devlink.ports(), world.core().isUp]).toEqual(['legacy', [], true]);
    expect(world.parts.filter((name) => name.startsWith('mlx5_core.sf'))).toEqual([]);
    expect(() => before.send(0, new Uint8Array(LENGTH), 0, LENGTH)).toThrow('ENODEV');
    await open(world, 0);
    expect(await send(world, 8)).toBe(8);
    await world.devlink.setEswitchMode('switchdev');
    expect(await world.sf(7)).toBe(ports[0]);
    expect([world.sim.iommuFaults, world.sim.modelErrors]).toEqual([[], []]);
    const bad = new Set(['release_failed', 'remove_failed', 'not_undone', 'not_recovered']);
    const lines = world.system.core.log.records().filter(({ id }) => bad.has(id ?? ''));
    expect(lines.map(({ text }) => text)).toEqual([]);
  });

  test('that dies for good is tried once a minute at most, and can be unloaded', async () => {
    await using world = await NicWorld.start({ nics: [{ sfs: 2 }] });
    await open(world, 0);
    world.silicon[0]!.inject({ opcode: OPCODES.INIT_HCA, drop: true });
    world.silicon[0]!.pf.health.stall();
    await world.settle(60 * HEALTH_US);
    expect(world.devlink.reporters()).toMatchObject([{ state: 'error', recoveries: 0 }]);
    expect([world.core().isUp, world.parts]).toEqual([false, []]);
    await world.system.unload('mlx5-eth');
    await world.system.unload('mlx5');
    expect(world.sim.dma.allocatedBytes).toBe(0);
  });
});
