import { describe, expect, test } from 'vitest';
import { CPUS, FRAME_BYTES, Farm, QUEUES } from './nic-farm.js';

const SFS = 200;
/** That each sub-function sends. */
const PACKETS = 1000;
const WHILE_US = 100_000;

/** What is different where messages are in memory. */
interface Expected {
  /** The last number of the pool, and how many vectors it comes to have. */
  readonly last: number;
  readonly vectors: number;
  /** Vectors that were made for each CPU. */
  readonly accounts: readonly number[];
  /** The most and the least references that one of them has. */
  readonly refs: readonly [number, number];
}

async function scale(imsCapacity: number, { last, vectors, accounts, refs: [least, most] }: Expected): Promise<void> {
  await using farm = await Farm.start(imsCapacity);
  const { irqTable } = farm.pf;
  const { pcif, sfControl, sfCompletion } = irqTable;
  while (farm.sfs.length < SFS) await farm.add();
  const range = (pool: typeof sfControl): number[] => [pool!.first, pool!.last];
  const refs = (pool: typeof sfControl): number[] => pool!.list().map((one) => one.refs);
  expect([range(sfControl), range(sfCompletion)]).toEqual([
    [9, 12],
    [13, last],
  ]);
  expect([pcif.count, sfControl!.count, sfCompletion!.count]).toEqual([9, 4, vectors]);
  expect(irqTable.vectors.capacity - irqTable.vectors.available).toBe(13 + vectors);
  expect(sfCompletion!.accounts).toEqual(accounts);
  const shares = refs(sfCompletion);
  expect([shares.reduce((sum, one) => sum + one), Math.min(...shares), Math.max(...shares)]).toEqual([1600, least, most]);
  expect(refs(sfControl)).toEqual([200, 200, 200, 200]);
  for (const { core } of farm.sfs) {
    expect([core.eqs.completionEqs.length, core.eqs.asyncEqs.length]).toEqual([QUEUES, 3]);
    expect(new Set(Array.from({ length: QUEUES }, (_, n) => String(core.compCpus(n)))).size).toBe(QUEUES);
  }

  await farm.connect();
  await farm.sendAll(PACKETS);
  expect(farm.sfs.findIndex(({ seen }) => seen.some((times, number) => times !== (number < PACKETS ? 1 : 0)))).toBe(-1);
  const [txBytes, rxBytes] = [PACKETS * FRAME_BYTES, PACKETS * FRAME_BYTES];
  for (const { eth } of farm.sfs) {
    expect(await eth.statistics()).toMatchObject({ txPackets: PACKETS, txBytes, txDropped: 0, txErrors: 0 });
    expect(await eth.statistics()).toMatchObject({ rxPackets: PACKETS, rxBytes, rxDropped: 0, rxMissed: 0, rxErrors: 0 });
    const counters = await eth.ethtoolStatistics();
    for (let n = 0; n < QUEUES; n++) expect(counters.get(`rx${n}_packets`)).toBeGreaterThan(0);
  }

  for (const { port } of farm.sfs) await farm.devlink.setPortFunction(port, { state: 'inactive' });
  await farm.sim.settle(WHILE_US);
  expect(farm.sfs.map(({ port }) => farm.devlink.port(port).function?.opstate)).toEqual(Array(SFS).fill('detached'));
  expect([pcif.count, sfControl!.count, sfCompletion!.count]).toEqual([9, 0, 0]);
  expect(irqTable.vectors.capacity - irqTable.vectors.available).toBe(9);
  expect(pcif.list().map(({ source }) => source)).toEqual(Array(9).fill('msix'));
}

describe('200 sub-functions with four completion queues each send 1000 packets', () => {
  test('129 they share 51 vectors, and none is lost', async () => {
    await scale(0, { last: 63, vectors: 51, accounts: [7, 7, 7, 6, 6, 6, 6, 6], refs: [30, 32] });
  });

  test('130 with messages in memory each queue has a vector of its own, which nothing is left of', async () => {
    await scale(1024, { last: 1087, vectors: 800, accounts: Array(CPUS).fill(100), refs: [2, 2] });
  });
});
