import { describe, expect, test } from 'vitest';
import { NetDevices } from 'backplane';
import { Farm, PF } from './nic-farm.js';

const SFS = 100;
const BATCH = 32;
/** Batches that are on their way when the adapter goes. */
const UNDER_WAY = 3;

/** An adapter with so many sub-functions that all send, and whose packets are at all places of their way. */
async function busy(imsCapacity: number): Promise<Farm> {
  const farm = await Farm.start(imsCapacity);
  while (farm.sfs.length < SFS) await farm.add();
  await farm.connect();
  await farm.sendAll(BATCH);
  for (let batch = 1; batch <= UNDER_WAY; batch++) {
    for (const n of farm.sfs.keys()) await farm.sendBatch(n, batch * BATCH, batch * BATCH + BATCH - 1);
    // Some have arrived, some are in the switch, some wait for their turn.
    farm.sim.elapse(40);
  }
  const came = farm.sfs.map(({ seen }) => seen.reduce((sum, times) => sum + times));
  expect(came.reduce((sum, packets) => sum + packets)).toBeGreaterThan(SFS * BATCH);
  expect(Math.min(...came)).toBeLessThan((1 + UNDER_WAY) * BATCH);
  return farm;
}

/** What is done from now on that must not be. */
function watch({ system }: Farm): string[] {
  const violations: string[] = [];
  system.core.violations.on(({ rule }) => void violations.push(rule));
  return violations;
}

/** Nothing is left of the adapter, no packet has come twice, and nobody has done what he must not. */
function expectNothing({ sfs, sim, system }: Farm, violations: readonly string[]): void {
  expect(sfs.every(({ seen }) => seen.every((times) => times <= 1))).toBe(true);
  expect(NetDevices.list(system.core)).toEqual([]);
  expect(sim.dma.allocatedBytes).toBe(0);
  expect([sim.modelErrors, sim.guestErrors, sim.dmaFaults, sim.iommuFaults]).toEqual([[], [], [], []]);
  expect(violations).toEqual([]);
}

describe.each([
  ['that share vectors', 0],
  ['with messages in memory', 512],
])('an adapter with traffic, and 100 sub-functions %s', (_what, imsCapacity) => {
  test('is unbound, and nothing is left', async () => {
    await using farm = await busy(imsCapacity);
    const violations = watch(farm);
    await farm.system.core.unbind(farm.system.device(PF));
    await farm.sim.settle(1000);
    expectNothing(farm, violations);
    expect(() => farm.sfs[0]!.eth.send(0, new Uint8Array(64), 0, 64)).toThrow(/ENODEV/);
  });

  test('is pulled out, and nothing is left', async () => {
    await using farm = await busy(imsCapacity);
    const violations = watch(farm);
    farm.sim.yank('00:04.0');
    await farm.sim.settle(200_000);
    expectNothing(farm, violations);
    expect(() => farm.sfs[0]!.eth.send(0, new Uint8Array(64), 0, 64)).toThrow(/ENODEV/);
  });
});
