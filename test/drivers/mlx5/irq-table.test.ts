import { describe, expect, test } from 'vitest';
import { irqSizes } from '../../../drivers/mlx5/irq-sizes.js';
import { VectorScene } from '../lib/vectors-fixture.js';

const range = (one: { first: number; last: number } | undefined): string =>
  one === undefined ? '' : `${one.first}..${one.last}`;
const sizes = (cpus: number, maxSfs: number, capacity: number, granted = capacity): string[] => {
  const { pcif, sf } = irqSizes({ ports: 1, cpus, maxEqs: 64, maxSfs }, { capacity, granted });
  return [range(pcif), range(sf?.control), range(sf?.completion)];
};

describe('how vectors are divided', () => {
  test('29 without sub-functions they are the function’s', () => {
    expect(sizes(8, 0, 64)).toEqual(['0..8', '', '']);
  });
  test('30 with sub-functions these have two pools', () => {
    expect(sizes(8, 16, 64)).toEqual(['0..8', '9..9', '10..63']);
  });
  test('31 a poor platform has small pools, or none', () => {
    expect(sizes(8, 16, 64, 12)).toEqual(['0..8', '9..9', '10..11']);
    expect(sizes(8, 16, 64, 10)).toEqual(['0..8', '', '']);
  });
  test('32 a large table has several control vectors', () => {
    expect(sizes(8, 256, 2048)).toEqual(['0..8', '9..12', '13..2047']);
  });
  test('33 too few for the control vectors are no pools, whether or not vectors come one by one', () => {
    expect(sizes(8, 300, 64, 13)).toEqual(['0..8', '', '']);
    expect(sizes(8, 300, 13)).toEqual(['0..8', '', '']);
  });
  test('34 one vector is all that there is', () => {
    expect(sizes(4, 4, 1)).toEqual(['0..0', '', '']);
  });
  test('50 messages in memory make the pools larger, and change nothing else', () => {
    expect(sizes(4, 4, 16 + 64)).toEqual(['0..4', '5..5', '6..79']);
    expect(sizes(4, 4, 16)).toEqual(['0..4', '5..5', '6..15']);
  });
  test('without limit there are 256 for each sub-function that there can be', () => {
    expect(sizes(8, 256, Infinity)).toEqual(['0..8', '9..12', `13..${8 + 256 * 256}`]);
  });
});

describe('who gets which vector', () => {
  test('30 one vector is allocated at first', async () => {
    await using scene = await VectorScene.start();
    expect([scene.dev.msixVectorsFree, scene.irqs.completionCount, scene.irqs.sfCompletionCount]).toEqual([63, 8, 8]);
  });

  test('31 of the vectors that a platform gives at the start, sub-functions have their pools, or share those of the function', async () => {
    await using poor = await VectorScene.start({ msix: 12, isStatic: true });
    expect([poor.irqs.sfCompletionCount, poor.irqs.sfControl!.capacity, poor.table.available]).toEqual([2, 1, 0]);
    poor.openPf(8);
    const sf = poor.openSf(2);
    const names = poor.table.leasesOf(sf).map(({ name }) => name.split('@')[0]);
    expect(names).toEqual(['mlx5_sf_ctrl9', 'mlx5_sf_comp10', 'mlx5_sf_comp11']);
    expect(() => poor.table.requestDedicated(sf)).toThrow('ENOSPC');
    poor.table.freeAll(sf);
    poor.openSf(2);
    expect(poor.irqs.sfCompletion!.list().map(({ refs, cpus }) => [refs, cpus])).toEqual([
      [2, '0'],
      [2, '1'],
    ]);

    await using poorer = await VectorScene.start({ msix: 10, isStatic: true });
    expect([poorer.irqs.sfControl, poorer.irqs.sfCompletion, poorer.irqs.sfCompletionCount]).toEqual([undefined, undefined, 8]);
    poorer.openPf(8);
    const other = poorer.openSf(8);
    const shared = poorer.table.leasesOf(other).map(({ name }) => name.split('@')[0]);
    expect(shared).toEqual(['mlx5_async0', ...Array.from({ length: 8 }, (_, n) => `mlx5_comp${n}`)]);
    expect(poorer.irqs.pcif.list().map(({ refs }) => refs)).toEqual([8, 4, 4, 4, 4, 4, 4, 4, 4]);
  });

  test('a platform that gives all at the start has more with messages in memory', async () => {
    await using scene = await VectorScene.start({ msix: 10, ims: 8, isStatic: true, order: ['ims', 'msix'] });
    scene.openPf(8);
    scene.openSf(4);
    expect(scene.irqs.pcif.list().every(({ source }) => source === 'msix')).toBe(true);
    const sources = [scene.irqs.sfControl!, scene.irqs.sfCompletion!].flatMap((pool) => pool.list().map(({ source }) => source));
    expect(sources).toEqual(['msix', 'memory', 'memory', 'memory', 'memory']);
    expect(scene.table.requestDedicated(scene.dev).target.kind).toBe('memory');
  });

  test('34 with one vector everything shares it', async () => {
    await using scene = await VectorScene.start({ msix: 1 });
    scene.openPf(1);
    expect(scene.irqs.pcif.list()).toMatchObject([{ name: 'mlx5_combined0@pci:0000:06:00.0', refs: 6, cpus: '0' }]);
  });

  test('35 names, references and CPUs of the function', async () => {
    await using scene = await VectorScene.start();
    scene.openPf(2);
    expect(scene.irqs.pcif.list().map(({ name, refs }) => [name, refs])).toEqual([
      ['mlx5_async0@pci:0000:06:00.0', 4],
      ['mlx5_comp0@pci:0000:06:00.0', 2],
      ['mlx5_comp1@pci:0000:06:00.0', 2],
    ]);
    const [control, ...completions] = scene.irqs.pcif.list();
    expect(String(scene.kernel.irqs.affinity(control!.virq))).toBe('0-7');
    expect(completions.map(({ cpus }) => cpus)).toEqual(['0', '1']);
  });

  test('36 two sub-functions share a control vector before there is a new one, then all the least loaded', async () => {
    await using scene = await VectorScene.start({ maxSfs: 256, msix: 2048 });
    for (let n = 0; n < 10; n++) scene.openSf(0);
    expect(scene.irqs.sfControl!.list().map(({ name, refs }) => [name.split('@')[0], refs])).toEqual([
      ['mlx5_sf_ctrl9', 12],
      ['mlx5_sf_ctrl10', 12],
      ['mlx5_sf_ctrl11', 8],
      ['mlx5_sf_ctrl12', 8],
    ]);
  });

  test('37 to 40 completion vectors of sub-functions: each CPU in turn, then the least loaded that suits', async () => {
    await using scene = await VectorScene.start();
    const pool = scene.irqs.sfCompletion!;
    const indexOf = (virq: number): number => pool.list().find((one) => one.virq === virq)!.index;
    scene.openSf(8);
    expect(pool.list().map(({ index, cpus }) => [index, cpus])).toEqual(Array.from({ length: 8 }, (_, n) => [10 + n, String(n)]));
    const b = scene.sf();
    const first = scene.irqs.requestSfCompletion(b, 0);
    expect([indexOf(first.virq), String(first.affinity), pool.accounts![0]]).toEqual([18, '0', 2]);
    first.attach(() => {});
    for (let n = 1; n < 8; n++) scene.irqs.requestSfCompletion(b, n).attach(() => {});
    for (let n = 2; n < 6; n++) scene.openSf(8);
    const g = scene.openSf(6);
    expect(pool.count).toBe(54);
    const seventh = scene.irqs.requestSfCompletion(g, 6);
    seventh.attach(() => {});
    expect([indexOf(seventh.virq), seventh.refs]).toEqual([16, 4]);
    const eighth = scene.irqs.requestSfCompletion(g, 7);
    eighth.attach(() => {});
    expect([indexOf(eighth.virq), eighth.refs]).toEqual([17, 4]);
    const h = scene.sf();
    const shared = Array.from({ length: 6 }, (_, n) => scene.irqs.requestSfCompletion(h, n));
    for (const lease of shared) lease.attach(() => {});
    expect([indexOf(shared[0]!.virq), shared[0]!.refs]).toEqual([10, 4]);
    expect(indexOf(scene.irqs.requestSfCompletion(h, 6).virq)).toBe(24);
  });

  test('two hundred sub-functions share 51 vectors, or have one each with messages in memory', async () => {
    for (const [ims, vectors, refs, accounts] of [
      [0, 51, 1600, [7, 7, 7, 6, 6, 6, 6, 6]],
      [1024, 800, 1600, new Array(8).fill(100)],
    ] as const) {
      await using scene = await VectorScene.start({ maxSfs: 256, ims });
      scene.openPf(8);
      const sfs = Array.from({ length: 200 }, () => scene.openSf(4));
      const { sfControl, sfCompletion } = scene.irqs;
      const sum = (pool: typeof sfControl): number => pool!.list().reduce((all, one) => all + one.refs, 0);
      expect([sfCompletion!.count, sum(sfCompletion), sfCompletion!.accounts]).toEqual([vectors, refs, accounts]);
      expect(sfControl!.list().map((one) => one.refs)).toEqual([200, 200, 200, 200]);
      for (const sf of sfs) {
        const cpus = scene.table.leasesOf(sf).filter((lease) => sfCompletion!.has(lease));
        expect(new Set(cpus.map(({ affinity }) => String(affinity))).size).toBe(4);
      }
      for (const sf of sfs) scene.table.freeAll(sf);
      expect([sfControl!.count, sfCompletion!.count, scene.messages?.pageCount ?? 0]).toEqual([0, 0, 0]);
      expect(scene.irqs.pcif.count).toBe(9);
    }
  });
});
