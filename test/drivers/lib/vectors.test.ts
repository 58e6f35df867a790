import { describe, expect, test } from 'vitest';
import { CpuMask, Errno } from '../../../core/index.js';
import { type VectorSource, VectorTable } from '../../../drivers/lib/vectors/index.js';
import { VectorScene } from './vectors-fixture.js';

const nothing = (): void => {};

describe('a pool of balanced vectors', () => {
  test('41 a request that no vector suits fails, and says so', async () => {
    await using scene = await VectorScene.start();
    const pool = scene.table.balanced({ name: 'one', first: 100, last: 100, shareBelow: 2, isPerCpu: true });
    pool.request(scene.sf(), CpuMask.of(0)).attach(nothing);
    const other = scene.sf();
    expect(() => pool.request(other, CpuMask.of(1))).toThrow(
      /^EBUSY: vector pool one: all 1 from 100 are in use, none of them for CPUs 1$/,
    );
    expect(scene.logged('vector_none')).toEqual(["Didn't find a matching IRQ. err = EBUSY"]);
    expect(scene.table.leasesOf(other)).toEqual([]);
  });

  test('42 an overloaded vector is shared all the same', async () => {
    await using scene = await VectorScene.start();
    const pool = scene.table.balanced({ name: 'one', first: 100, last: 100, shareBelow: 2, overloadedAbove: 16, isPerCpu: true });
    for (let n = 0; n < 8; n++) pool.request(scene.sf()).attach(nothing);
    expect([pool.list()[0]!.refs, scene.logged('vector_overloaded').length]).toEqual([16, 0]);
    const lease = pool.request(scene.sf());
    expect([lease.refs, scene.logged('vector_overloaded').length]).toEqual([17, 1]);
    lease.attach(nothing);
    expect(lease.refs).toBe(18);
  });

  test('43 a number is free and the hardware refuses: an error without a vector to share, else that is shared', async () => {
    await using scene = await VectorScene.start();
    scene.irqs.requestCompletion(scene.dev, 0).attach(nothing);
    for (let n = 0; n < 62; n++) scene.dev.msixAllocAt();
    const a = scene.sf();
    expect(() => scene.irqs.requestSfCompletion(a, 0)).toThrow(
      /^EBUSY: 0000:06:00.0: all 64 of its vectors are in use \(msix\)$/,
    );
    expect(scene.irqs.sfCompletion!.accounts).toEqual(new Array(8).fill(0));
  });

  test('43 with a vector on a CPU that suits, that one is shared', async () => {
    await using scene = await VectorScene.start();
    const first = scene.irqs.requestSfCompletion(scene.sf(), 0);
    for (let n = 0; n < 62; n++) scene.dev.msixAllocAt();
    const second = scene.irqs.requestSfCompletion(scene.sf(), 0);
    expect([second.virq, second.refs]).toEqual([first.virq, 2]);
  });

  test('45 a vector that cannot be made is on no account', async () => {
    const refusing: VectorSource = {
      name: 'refusing',
      capacity: 8,
      available: 8,
      alloc: () => {
        throw new Errno('ENOSPC', 'no interrupt');
      },
    };
    await using scene = await VectorScene.start();
    const table = new VectorTable(scene.dev, scene.kernel.irqs, [refusing]);
    const pool = table.balanced({ name: 'sf', first: 0, last: 7, shareBelow: 2, isPerCpu: true });
    expect(() => pool.request(scene.sf(), CpuMask.of(0))).toThrow('ENOSPC: no interrupt');
    expect([pool.accounts![0], pool.count]).toEqual([0, 0]);
  });

  test('48 an interrupt that a sub-function shows already is not shown again, and the vector is put back', async () => {
    await using scene = await VectorScene.start();
    const holder = scene.irqs.requestSfCompletion(scene.sf(), 0);
    for (let n = 0; n < 62; n++) scene.dev.msixAllocAt();
    const other = scene.sf();
    other.addIrq(holder.virq);
    expect(() => scene.irqs.requestSfCompletion(other, 0)).toThrow(`EBUSY: ${other.name}: irq ${holder.virq} is shown already`);
    expect(holder.refs).toBe(1);
  });

  test('two pools have no number in common, and none is empty', async () => {
    await using scene = await VectorScene.start();
    const make = (first: number, last: number) => () => scene.table.balanced({ name: 'more', first, last, shareBelow: 0 });
    expect(make(63, 70)).toThrow('EINVAL: 0000:06:00.0: pool more has vectors 63 to 70, of which mlx5_sf_comp has 10 to 63');
    for (const [first, last] of [
      [70, 69],
      [-1, 3],
      [70.5, 71],
      [70, 2 ** 32],
    ] as const)
      expect(make(first, last)).toThrow('ERANGE');
    expect(scene.table.pools).toHaveLength(3);
  });

  test('one that has moved is found where it is now', async () => {
    await using scene = await VectorScene.start({ cpus: 4 });
    const pool = scene.table.balanced({ name: 'one', first: 100, last: 100, shareBelow: 2, isPerCpu: true });
    const lease = pool.request(scene.sf(), CpuMask.of(0));
    scene.kernel.irqs.setAffinity(lease.virq, CpuMask.of(2));
    scene.machine.drain();
    expect(pool.request(scene.sf(), CpuMask.of(2)).virq).toBe(lease.virq);
    expect(() => pool.request(scene.sf(), CpuMask.of(0))).toThrow('EBUSY');
    scene.kernel.irqs.offline(2);
    const { cpus } = pool.list()[0]!;
    expect(cpus).not.toBe('2');
    expect(pool.request(scene.sf(), CpuMask.parse(cpus)).virq).toBe(lease.virq);
  });

  test('handlers of all its users are called, and none that was taken off', async () => {
    await using scene = await VectorScene.start({ cpus: 1 });
    const pool = scene.table.balanced({ name: 'one', first: 100, last: 100, shareBelow: 2 });
    const heard: string[] = [];
    const leases = ['a', 'b', 'c'].map(() => pool.request(scene.sf()));
    const handles = leases.map((lease, n) => lease.attach(() => heard.push('abc'[n]!)));
    const { target } = leases[0]!;
    const fire = (): void => {
      scene.kind.made[0]!.context.irq.msix(target.kind === 'msix' ? target.index : -1);
      scene.machine.drain();
    };
    fire();
    handles[1]![Symbol.dispose]();
    fire();
    expect(heard).toEqual(['a', 'b', 'c', 'a', 'c']);
  });
});

describe('dedicated vectors', () => {
  test('56 come from whatever source has some, and then there is none', async () => {
    await using scene = await VectorScene.start({ cpus: 4, msix: 8, ims: 2, maxSfs: 0 });
    scene.openPf(4);
    const leases = Array.from({ length: 5 }, () => scene.table.requestDedicated(scene.dev));
    expect(leases.map(({ target }) => target.kind)).toEqual(['msix', 'msix', 'msix', 'memory', 'memory']);
    expect(() => scene.table.requestDedicated(scene.dev)).toThrow('ENOSPC');
  });

  test('57 are nobody else’s, and take one handler', async () => {
    await using scene = await VectorScene.start({ cpus: 1, msix: 4, maxSfs: 0 });
    scene.openPf(1);
    const pool = scene.table.balanced({ name: 'one', first: 100, last: 100, shareBelow: 2 });
    const shared = pool.request(scene.sf());
    const dedicated = scene.table.requestDedicated(scene.dev);
    expect(pool.request(scene.sf(), CpuMask.of(0)).virq).toBe(shared.virq);
    dedicated.attach(nothing);
    expect(() => dedicated.attach(nothing)).toThrow(/^EBUSY: 0000:06:00.0: dedicated\d+@pci:0000:06:00.0: is dedicated/);
  });

  test('58 leave a vector for each pool that has none yet', async () => {
    for (const [entries, given] of [
      [7, 0],
      [8, 1],
    ] as const) {
      await using scene = await VectorScene.start({ cpus: 4, msix: entries, maxSfs: 4 });
      scene.openPf(4);
      for (let n = 0; n < given; n++) scene.table.requestDedicated(scene.dev);
      expect(() => scene.table.requestDedicated(scene.dev)).toThrow(/^ENOSPC: .*2 are left, 2 of them for others: share one$/);
    }
  });

  test('59 a function with messages in memory alone has vectors of all sorts', async () => {
    await using scene = await VectorScene.start({ cpus: 4, msix: 0, ims: 32, maxSfs: 4 });
    scene.openPf(4);
    const sf = scene.openSf(2);
    scene.table.requestDedicated(sf);
    expect(scene.table.pools.map(({ count }) => count)).toEqual([5, 1, 2]);
    expect(scene.table.leasesOf(sf).every(({ target }) => target.kind === 'memory')).toBe(true);
  });

  test('60 all of a sub-function are given back at once, those of others stay, and a second time is nothing', async () => {
    await using scene = await VectorScene.start({ ims: 32 });
    const [one, other] = [scene.openSf(8), scene.openSf(8)];
    for (let n = 0; n < 2; n++) scene.table.requestDedicated(one);
    const before = scene.table.leasesOf(other).map(({ virq }) => virq);
    scene.table.freeAll(one);
    scene.table.freeAll(one);
    expect(scene.table.leasesOf(one)).toEqual([]);
    expect(scene.table.leasesOf(other).map(({ virq }) => virq)).toEqual(before);
    expect(scene.table.pools.map(({ count }) => count)).toEqual([0, 1, 8]);
    expect(scene.irqs.sfControl!.list()[0]!.refs).toBe(4);
  });

  test('memory of the caller is used for a message, and must be aligned and inside', async () => {
    await using scene = await VectorScene.start({ msix: 0, ims: 4, maxSfs: 0, cpus: 1 });
    const buffer = scene.kernel.dma.alloc(scene.dev, 64);
    const lease = scene.table.requestDedicated(scene.dev, { memory: { buffer, offset: 16 } });
    expect(lease.target).toEqual({ kind: 'memory', address: buffer.address + 16 });
    expect(scene.messages!.pageCount).toBe(0);
    for (const offset of [8, 56, -16, 64]) {
      expect(() => scene.table.requestDedicated(scene.dev, { memory: { buffer, offset } })).toThrow(
        'must be at a multiple of 16',
      );
    }
    expect(scene.table.leasesOf(scene.dev)).toEqual([lease]);
  });

  test('pages of messages come and go', async () => {
    await using scene = await VectorScene.start({ msix: 0, ims: 1000, maxSfs: 0, cpus: 1 });
    const leases = Array.from({ length: 600 }, () => scene.table.requestDedicated(scene.dev));
    expect([scene.messages!.pageCount, scene.table.available]).toEqual([3, 400]);
    for (const lease of leases.slice(0, 300)) lease[Symbol.dispose]();
    expect(scene.messages!.pageCount).toBe(2);
    for (let n = 0; n < 300; n++) scene.table.requestDedicated(scene.dev);
    expect(scene.messages!.pageCount).toBe(3);
    scene.table.freeAll(scene.dev);
    expect([scene.messages!.pageCount, scene.table.available]).toEqual([0, 1000]);
  });
});
