import { describe, expect, test, vi } from 'vitest';
import { CpuMask, Errno, offlineCpu, onlineCpu } from '../../../core/index.js';
import { MessageMemory, type VectorLease, type VectorSource, VectorTable } from '../../../drivers/lib/vectors/index.js';
import { VectorScene } from './vectors-fixture.js';

const nothing = (): void => {};

/** Lets the interrupt of a lease come. */
function fire(scene: VectorScene, { target }: VectorLease): void {
  if (target.kind !== 'msix') throw new Errno('EINVAL', 'its message is in memory');
  scene.kind.made[0]!.context.irq.msix(target.index);
  scene.machine.drain();
}

const refusing = (name: string, code?: 'ENOSPC' | 'ENOMEM'): VectorSource => ({
  name,
  capacity: 8,
  available: 8,
  alloc: () => {
    if (code !== undefined) throw new Errno(code, `${name} refuses`);
    return undefined;
  },
});

describe('sources', () => {
  test('in any order they give the same names, references, CPUs and numbers of vectors', async () => {
    const seen = [];
    for (const order of [
      ['msix', 'ims'],
      ['ims', 'msix'],
    ] as const) {
      await using scene = await VectorScene.start({ cpus: 4, msix: 8, ims: 8, maxSfs: 4, order });
      const { table, irqs } = scene;
      const log: unknown[] = [];
      const look = (): void => {
        const pools = table.pools.map((pool) => pool.list().map(({ index, name, refs, cpus }) => [index, name, refs, cpus]));
        log.push(pools, irqs.sfCompletion!.accounts, table.available, table.reserve);
      };
      scene.openPf(4);
      look();
      const sfs = [scene.openSf(4), scene.openSf(4)];
      look();
      const dedicated = table.requestDedicated(scene.dev, { name: 'one' });
      for (;;) {
        try {
          table.requestDedicated(scene.dev);
        } catch (error) {
          log.push(Errno.codeOf(error), table.leasesOf(scene.dev).length);
          break;
        }
      }
      // All are in use: they are shared.
      sfs.push(scene.openSf(4));
      dedicated[Symbol.dispose]();
      look();
      for (const sf of sfs) table.freeAll(sf);
      table.freeAll(scene.dev);
      look();
      expect(scene.messages!.pageCount).toBe(0);
      seen.push(log);
    }
    expect(seen[1]).toEqual(seen[0]);
    expect(seen[0]!.at(-2)).toBe(15);
  });

  test('one that has vectors from the start gives those by number, and others come one by one', async () => {
    await using scene = await VectorScene.start({ cpus: 4, msix: 8, ims: 8, maxSfs: 0, order: ['ims', 'msix'] });
    scene.openPf(4);
    expect(scene.irqs.pcif.list().map(({ source }) => source)).toEqual(['msix', 'memory', 'memory', 'memory', 'memory']);
  });

  test('when all refuse, the error is what the first has said; an empty one says EBUSY', async () => {
    await using scene = await VectorScene.start({ cpus: 1 });
    const refusal = (...sources: VectorSource[]): string => {
      const pool = new VectorTable(scene.dev, scene.kernel.irqs, sources).indexed({ name: 'one', first: 0, last: 0 });
      try {
        pool.request(scene.dev, 0);
        return 'none';
      } catch (error) {
        return Errno.codeOf(error);
      }
    };
    const [empty, full, small] = [refusing('empty'), refusing('full', 'ENOSPC'), refusing('small', 'ENOMEM')];
    expect([refusal(empty, full), refusal(full, empty), refusal(small, full), refusal(empty)]).toEqual([
      'EBUSY',
      'ENOSPC',
      'ENOMEM',
      'EBUSY',
    ]);
  });
});

describe('what a shared vector owes its users', () => {
  test('one whose handler throws takes the interrupt from nobody else, and is reported', async () => {
    await using scene = await VectorScene.start({ cpus: 1 });
    const pool = scene.table.balanced({ name: 'one', first: 100, last: 100, shareBelow: 2 });
    const heard: string[] = [];
    const leases = ['a', 'b', 'c'].map((name) => {
      const lease = pool.request(scene.sf());
      lease.attach(() => {
        heard.push(name);
        if (name === 'a') throw new Errno('EIO', 'this one is broken');
      });
      return lease;
    });
    fire(scene, leases[0]!);
    expect(heard).toEqual(['a', 'b', 'c']);
    const texts = scene.kernel.core.log.records().map(({ text }) => text);
    expect(texts.filter((text) => text.includes('this one is broken'))).toHaveLength(1);
  });

  test('46 when nobody has it any more, a lease takes no handler, as one that was given back does not', async () => {
    await using scene = await VectorScene.start();
    const [one, other] = [scene.sf(), scene.sf()].map((dev) => scene.irqs.requestSfControl(dev));
    one![Symbol.dispose]();
    expect(() => one!.attach(nothing)).toThrow('ENODEV');
    other![Symbol.dispose]();
    expect(() => other!.attach(nothing)).toThrow('ENOENT: mlx5_sf_ctrl9@pci:0000:06:00.0: has been given back');
  });

  test('it cannot be given back in a handler of its own, and is there as before', async () => {
    await using scene = await VectorScene.start({ cpus: 1 });
    const lease = scene.irqs.requestSfControl(scene.sf());
    const refused: string[] = [];
    const attached = lease.attach(() => {
      for (const it of [attached, lease]) {
        try {
          it[Symbol.dispose]();
        } catch (error) {
          refused.push(Errno.codeOf(error));
        }
      }
    });
    fire(scene, lease);
    fire(scene, lease);
    expect([refused, lease.refs]).toEqual([['EINVAL', 'EINVAL', 'EINVAL', 'EINVAL'], 2]);
  });
});

describe('where vectors are delivered', () => {
  test('a vector is on the account of the CPU that it was made for, wherever it has moved', async () => {
    await using scene = await VectorScene.start({ cpus: 4 });
    const pool = scene.irqs.sfCompletion!;
    const lease = pool.request(scene.sf(), CpuMask.of(1));
    scene.kernel.irqs.setAffinity(lease.virq, CpuMask.of(3));
    expect(pool.accounts).toEqual([0, 1, 0, 0]);
    lease[Symbol.dispose]();
    expect(pool.accounts).toEqual([0, 0, 0, 0]);
  });

  test('one that moves with its next interrupt alone is found where it is, before and after', async () => {
    await using scene = await VectorScene.start({ cpus: 4 });
    const pool = scene.table.balanced({ name: 'one', first: 100, last: 100, shareBelow: 2, isPerCpu: true });
    const lease = pool.request(scene.sf(), CpuMask.of(0));
    const has = (cpu: number): boolean => {
      try {
        pool.request(scene.sf(), CpuMask.of(cpu))[Symbol.dispose]();
        return true;
      } catch {
        return false;
      }
    };
    // The first move waits for an interrupt to be over, and so the second waits for the first.
    for (const cpu of [1, 2]) scene.kernel.irqs.setAffinity(lease.virq, CpuMask.of(cpu));
    expect([String(lease.affinity), [0, 1, 2].map(has)]).toEqual(['1', [false, true, false]]);
    for (let n = 0; n < 3; n++) {
      fire(scene, lease);
      scene.machine.elapse(100_000);
    }
    expect([String(lease.affinity), [0, 1, 2].map(has)]).toEqual(['2', [false, false, true]]);
  });

  test('none is made for a CPU that is offline; back online, it has what was made for it, and gets more', async () => {
    await using scene = await VectorScene.start({ cpus: 4 });
    const { irqs, kernel } = scene;
    const pool = irqs.sfCompletion!;
    const first = scene.openSf(4);
    offlineCpu(kernel.irqs.core, 2);
    const cpus = scene.table.leasesOf(first).map(({ affinity }) => String(affinity));
    expect(cpus).not.toContain('2');
    scene.openSf(3);
    expect([pool.accounts, irqs.sfCompletionCount]).toEqual([[2, 2, 1, 2], 3]);
    expect(pool.list().filter((one) => one.cpus === '2')).toEqual([]);
    onlineCpu(kernel.irqs.core, 2);
    scene.openSf(1);
    expect([pool.accounts, pool.list().at(-1)!.cpus]).toEqual([[2, 2, 2, 2], '2']);
  });

  test('with no CPU left for it a sub-function gets a vector of the first, and a line says so', async () => {
    await using scene = await VectorScene.start({ cpus: 2 });
    const sf = scene.openSf(2);
    const lease = scene.irqs.requestSfCompletion(sf, 2);
    expect([String(lease.affinity), scene.logged('vector_no_cpu')]).toEqual(['0', ['NO online CPUs in req_mask ()']]);
  });

  test('vectors of an offline CPU are shared where they are now', async () => {
    await using scene = await VectorScene.start({ cpus: 4 });
    const pool = scene.table.balanced({ name: 'two', first: 100, last: 101, shareBelow: 2, isPerCpu: true });
    const [zero, three] = [0, 3].map((cpu) => pool.request(scene.sf(), CpuMask.of(cpu)));
    for (const lease of [zero!, three!]) lease.attach(nothing);
    offlineCpu(scene.kernel.irqs.core, 3);
    const now = three!.affinity!;
    expect(now.first).not.toBe(3);
    // The least loaded of that CPU: the one that came there, unless both are, and it has the higher number.
    const expected = now.equals(zero!.affinity!) ? zero! : three!;
    expect(pool.request(scene.sf(), now).virq).toBe(expected.virq);
    expect(() => pool.request(scene.sf(), CpuMask.of(3))).toThrow('EBUSY');
  });
});

describe('messages', () => {
  test('53 change under their mask, and everybody who uses the vector has the device look again', async () => {
    await using scene = await VectorScene.start({ maxSfs: 0 });
    const memory = new MessageMemory(scene.dev, scene.kernel.dma);
    const buffer = scene.kernel.dma.alloc(scene.dev, 64);
    const seen: string[] = [];
    const kicks = new Set(['a', 'b'].map((name) => () => void seen.push(`kick ${name}`)));
    const slot = memory.prepare(0, { memory: { buffer, offset: 16 }, kicks });
    const write = buffer.write32.bind(buffer);
    vi.spyOn(buffer, 'write32').mockImplementation((offset, value) => {
      seen.push(offset === 28 ? `control ${value}` : `word ${(offset - 16) / 4}`);
      write(offset, value);
    });
    const message = { addressLo: 0xfee0_1000, addressHi: 1, data: 0x31 };
    memory.writeMsg(slot, message);
    expect(seen.splice(0)).toEqual(['control 1', 'word 0', 'word 1', 'word 2']);
    memory.unmask(slot);
    expect(seen.splice(0)).toEqual(['control 0', 'kick a', 'kick b']);
    memory.writeMsg(slot, message);
    expect(seen).toEqual(['control 1', 'word 0', 'word 1', 'word 2', 'control 0', 'kick a', 'kick b']);
    expect([16, 20, 24, 28].map((offset) => buffer.read32(offset))).toEqual([0xfee0_1000, 1, 0x31, 0]);
    expect(memory.addressOf(0)).toBe(buffer.address + 16);
  });

  test('are left alone while the vector is posted to a guest, be they in memory or in the table', async () => {
    for (const [options, which] of [
      [{ msix: 0, ims: 8 }, 'secondary'],
      [{ msix: 8 }, 'default'],
    ] as const) {
      await using scene = await VectorScene.start({ cpus: 2, maxSfs: 0, ...options });
      const { irqs, host, msi } = scene.kernel;
      const lease = scene.table.requestDedicated(scene.dev, { cpus: CpuMask.of(1) });
      lease.attach(nothing);
      const seen: string[] = [];
      lease.onChanged(() => seen.push('kick'));
      const message = (): unknown => ({ ...msi.domain(scene.dev, which)!.message(lease.vector.slot.index) });
      const before = message();
      const descriptor = host.dma.alloc(4096, { mask: 2 ** 32 - 1 });
      irqs.setVcpuAffinity(lease.virq, { descriptor, vector: 0x51 });
      expect([irqs.desc(lease.virq).forwardedToVcpu, message()]).toEqual([true, before]);
      irqs.setVcpuAffinity(lease.virq, undefined);
      expect([irqs.desc(lease.virq).forwardedToVcpu, message(), seen]).toEqual([false, before, []]);
      host.dma.free(descriptor);
    }
  });
});

describe('dedicated vectors', () => {
  test('58 leave one to the completion queues of the function, which has none yet', async () => {
    await using scene = await VectorScene.start({ cpus: 4, msix: 8, maxSfs: 0 });
    scene.openPf(0);
    const given = Array.from({ length: 6 }, () => scene.table.requestDedicated(scene.dev));
    expect(() => scene.table.requestDedicated(scene.dev)).toThrow(/^ENOSPC: .*1 are left, 1 of them for others: share one$/);
    scene.irqs.requestCompletion(scene.dev, 0);
    expect([given.length, scene.table.available, scene.table.reserve]).toEqual([6, 0, 0]);
  });

  test('leave none to what has its place from the start', async () => {
    await using scene = await VectorScene.start({ cpus: 4, msix: 4, ims: 2, maxSfs: 0 });
    expect([scene.table.available, scene.table.reserve]).toEqual([5, 1]);
    scene.irqs.requestCompletion(scene.dev, 0);
    expect([scene.table.available, scene.table.reserve]).toEqual([4, 0]);
  });

  test('are on no account, and come back with their hardware', async () => {
    await using scene = await VectorScene.start({ cpus: 2 });
    scene.openPf(2);
    const sf = scene.openSf(2);
    const { table } = scene;
    const before = [scene.irqs.sfCompletion!.accounts, table.available];
    const lease = table.requestDedicated(sf, { cpus: CpuMask.of(1) });
    expect([scene.irqs.sfCompletion!.accounts, table.available, lease.affinity, lease.refs]).toEqual([
      before[0],
      table.available,
      undefined,
      1,
    ]);
    lease[Symbol.dispose]();
    expect([scene.irqs.sfCompletion!.accounts, table.available]).toEqual(before);
  });

  test('one that is posted still is given back as a broken rule, and the next who has the hardware is not posted', async () => {
    await using scene = await VectorScene.start({ cpus: 2, msix: 4, maxSfs: 0 });
    scene.openPf(2);
    const { irqs, host } = scene.kernel;
    const lease = scene.table.requestDedicated(scene.dev);
    lease.attach(nothing);
    const descriptor = host.dma.alloc(4096, { mask: 2 ** 32 - 1 });
    irqs.setVcpuAffinity(lease.virq, { descriptor, vector: 0x51 });
    const rules: string[] = [];
    scene.kernel.core.violations.on(({ rule }) => rules.push(rule));
    lease[Symbol.dispose]();
    expect(rules).toEqual(['posted-at-deactivation']);
    const next = scene.table.requestDedicated(scene.dev);
    let count = 0;
    next.attach(() => count++);
    fire(scene, next);
    expect([irqs.desc(next.virq).forwardedToVcpu, count]).toEqual([false, 1]);
    host.dma.free(descriptor);
  });
});
