import { describe, expect, test } from 'vitest';
import { CpuMask } from '../../../core/irq/index.js';
import type { MsiDomain, MsiMap } from '../../../core/msi/index.js';
import { MINI } from '../irq/platform.js';
import { D, type MsiScene, RecordingStore, code, deviceIn, domainScene, indices, inner, msiScene, pair } from './fixture.js';

/** Runs `fn` inside a hard handler, and gives what it throws. */
function inHandler({ irqs, dev, fire }: MsiScene, domain: MsiDomain, fn: () => unknown): string {
  let result = 'no handler ran';
  const map = domain.alloc();
  const handle = irqs.request(dev, map.virq, () => {
    result = code(fn);
  });
  fire(domain.message(map.index));
  void handle.free();
  domain.free(map);
  return result;
}

describe('allocation', () => {
  test('C-018 gives the lowest free index and number first; C-019 a fifth of four is EBUSY; C-020 what is freed comes back', () => {
    const { domain, violations } = domainScene();
    const maps = [domain.alloc(), domain.alloc(), domain.alloc(), domain.alloc()];
    expect(maps.map(pair)).toEqual([
      [0, 24],
      [1, 25],
      [2, 26],
      [3, 27],
    ]);
    expect(() => domain.alloc()).toThrow(`EBUSY: ${D}: secondary domain: indices 0 to 3 are all taken: 4 of 4 are`);
    domain.free(maps[1]!);
    expect(pair(domain.alloc())).toEqual([1, 25]);
    expect(violations).toEqual([]);
  });

  test('C-021 is ENODEV once the domain is gone', () => {
    const { domain } = domainScene();
    domain.remove();
    expect(code(() => domain.alloc())).toBe('ENODEV');
  });

  test('C-022 keeps the cookie as it was, and C-023 needs none', () => {
    const { domain } = domainScene();
    const cookie = { value: 0x1234 };
    domain.alloc({ cookie });
    cookie.value = 0;
    domain.alloc();
    class Queue {}
    const queue = new Queue();
    domain.alloc({ cookie: queue });
    expect(Array.from(domain.descs(), (desc) => desc.cookie)).toEqual([{ value: 0x1234 }, undefined, queue]);
    expect([...domain.descs()][2]!.cookie).toBe(queue);
  });

  test('C-026 goes to the CPU that is asked for', () => {
    const { domain, irqs, dev } = domainScene();
    for (const affinity of [[2], CpuMask.of(2), { mask: CpuMask.of(2) }]) {
      const { virq } = domain.alloc({ affinity });
      irqs.request(dev, virq, () => {});
      const { affinity: given, effective, managed } = irqs.desc(virq);
      expect([String(given), String(effective), managed]).toEqual(['2', '2', false]);
    }
    expect(irqs.desc(domain.alloc({ affinity: { mask: CpuMask.of(3), managed: true } }).virq).managed).toBe(true);
  });

  test('C-027 for no CPU is ENOSPC for EINVAL, and leaves the index free', () => {
    const { domain } = domainScene();
    const alloc = (): MsiMap => domain.alloc({ affinity: [] });
    expect([code(alloc), inner(alloc), domain.count]).toEqual(['ENOSPC', 'EINVAL', 0]);
    expect(pair(domain.alloc())).toEqual([0, 24]);
  });

  test('C-029 takes the index that is asked for', () => {
    const { domain } = domainScene();
    expect(pair(domain.allocAt(2))).toEqual([2, 24]);
    expect(code(() => domain.allocAt(2))).toBe('EBUSY');
    for (const bad of [4, -1, 0.5, 0xffff_ffff]) expect(code(() => domain.allocAt(bad))).toBe('ERANGE');
    expect(domain.alloc().index).toBe(0);
  });

  test('C-030 serves a pool beside fixed entries', () => {
    const { domain } = domainScene();
    domain.allocRange(0, 1);
    expect([domain.alloc().index, domain.alloc().index, code(() => domain.alloc())]).toEqual([2, 3, 'EBUSY']);
    domain.freeAll();
    expect([domain.allocIn(2, 3).index, domain.allocIn(2, 3).index, code(() => domain.allocIn(2, 3))]).toEqual([2, 3, 'EBUSY']);
  });

  test('C-031 of a range is all or nothing', () => {
    const { domain, dev, irqs } = domainScene(4, { entries: 2 });
    const alloc = (): MsiMap[] => domain.allocRange(0, 2);
    expect([code(alloc), inner(alloc)]).toEqual(['ENOSPC', 'ENOMEM']);
    expect([domain.count, irqs.list().length, dev.devres.size]).toEqual([0, 0, 1]);
    domain.allocAt(1);
    expect([code(() => domain.allocRange(0, 1)), indices(domain)]).toEqual(['EBUSY', [1]]);
  });

  test.each([
    [3, 1],
    [0, 4],
    [-1, 1],
    [0, Number.NaN],
  ])('C-032 of %d to %d is EINVAL, and a violation', (first, last) => {
    const { domain, violations } = domainScene();
    expect([code(() => domain.allocRange(first, last)), code(() => domain.allocIn(first, last))]).toEqual(['EINVAL', 'EINVAL']);
    expect([violations, domain.count]).toEqual([['msi-range', 'msi-range'], 0]);
  });

  test('C-033 with the remapping table full is ENOSPC for ENOMEM', () => {
    const { domain } = domainScene(4, { entries: 1 });
    domain.alloc();
    const alloc = (): MsiMap => domain.alloc();
    expect([code(alloc), inner(alloc), domain.count]).toEqual(['ENOSPC', 'ENOMEM', 1]);
  });

  test('C-034 C-035 reserves where no vector is left, and the request says so', () => {
    const { domain, irqs, dev, platform, log, store } = domainScene(16, { cpus: 2 }, MINI);
    const maps = domain.allocRange(0, 7);
    const handles = maps.map(({ virq }) => irqs.request(dev, virq, () => {}));
    store.done.length = 0;
    const { virq } = domain.alloc();
    expect([platform.matrix!.reserved, log('vectors_overcommitted').length]).toEqual([1, 1]);
    expect(code(() => irqs.request(dev, virq, () => {}))).toBe('ENOSPC');
    expect([irqs.desc(virq).actions, platform.matrix!.reserved, store.done]).toEqual([[], 1, ['mask 8']]);
    void handles[0]!.free();
    // An IMS interrupt keeps its vector until it is freed.
    expect(code(() => irqs.request(dev, virq, () => {}))).toBe('ENOSPC');
    domain.free(maps[0]!);
    irqs.request(dev, virq, () => {});
    expect(platform.matrix!.reserved).toBe(0);
  });

  test('C-046 with early activation writes the message and says that no vector is left', () => {
    const { ims, dev, irqs } = msiScene({ cpus: 1 }, { first: 32, end: 34, system: [] });
    const store = Object.assign(new RecordingStore(4), { activateEarly: true });
    const domain = ims.createDomain(dev, store);
    const first = domain.alloc();
    expect(store.done).toEqual(['mask 0', 'write 0 fee00018/0']);
    expect(irqs.desc(first.virq).activated).toBe(true);
    domain.alloc();
    store.done.length = 0;
    expect([code(() => domain.alloc()), domain.count]).toEqual(['ENOSPC', 2]);
    expect(store.done).toEqual(['mask 2', 'free 2']);
    store.done.length = 0;
    domain.free(first);
    expect(store.done).toEqual(['write 0 0/0', 'free 0']);
  });

  test('leaves nothing when the store cannot find a slot, and gives its error as it is', () => {
    const { ims, dev, irqs } = msiScene();
    const store = Object.assign(new RecordingStore(), {
      prepare(): number {
        throw new RangeError('no such queue');
      },
    });
    const domain = ims.createDomain(dev, store);
    expect([code(() => domain.alloc()), domain.count, irqs.list().length, dev.devres.size]).toEqual([
      'RangeError: no such queue',
      0,
      0,
      1,
    ]);
    expect(store.done).toEqual([]);
  });

  test('C-136 of two tasks at once gives each its own', async () => {
    const { domain } = domainScene(200);
    const task = async (): Promise<MsiMap[]> => {
      const maps: MsiMap[] = [];
      for (let n = 0; n < 100; n++) {
        maps.push(domain.alloc());
        await Promise.resolve();
      }
      return maps;
    };
    const maps = (await Promise.all([task(), task()])).flat();
    const all = Array.from({ length: 200 }, (_, n) => n);
    expect(maps.map(({ index }) => index).toSorted((a, b) => a - b)).toEqual(all);
    expect(new Set(maps.map(({ virq }) => virq)).size).toBe(200);
    expect(code(() => domain.alloc())).toBe('EBUSY');
  });

  test('C-137 and all other management is refused in an interrupt handler', () => {
    const scene = domainScene();
    const { domain, ims, dev, violations } = scene;
    const kept = domain.alloc();
    const calls: (() => unknown)[] = [
      () => domain.alloc(),
      () => domain.allocAt(2),
      () => domain.allocIn(2, 3),
      () => domain.allocRange(2, 3),
      () => domain.insert(2, 3),
      () => domain.free(kept),
      () => domain.freeAll(),
      () => domain.restore(),
      () => domain.remove(),
      () => ims.createDomain(dev, new RecordingStore(), { id: 'other' }),
    ];
    expect(calls.map((call) => inHandler(scene, domain, call))).toEqual(calls.map(() => 'EINVAL'));
    expect([violations, indices(domain)]).toEqual([calls.map(() => 'sleep-in-interrupt'), [0]]);
  });

  test('is EDEADLK from a callback of the store', () => {
    const { ims, dev } = msiScene();
    let result = '';
    const store = Object.assign(new RecordingStore(), {
      prepare(index: number): number {
        if (index === 0) result = code(() => domain.alloc());
        return index;
      },
    });
    const domain = ims.createDomain(dev, store);
    domain.alloc();
    expect([result, indices(domain)]).toEqual(['EDEADLK', [0]]);
  });
});

describe('lookup', () => {
  test('C-038 gives the interrupt at an index, 0 where there is none, and reports an index that cannot be', () => {
    const scene = domainScene();
    const { domain, msi, dev, violations } = scene;
    const { virq } = domain.allocAt(2);
    expect([msi.lookup(dev, 'secondary', 2), domain.lookup(3), msi.lookup(dev, 'default', 2)]).toEqual([virq, 0, 0]);
    expect(violations).toEqual([]);
    expect([domain.lookup(65_536), violations]).toEqual([0, ['msi-range']]);
    expect(msi.lookup(deviceIn(scene, 'other'), 'secondary', 0)).toBe(0);
  });

  test('C-040 walks all descriptors, those with an interrupt, or those without', () => {
    const { domain } = domainScene();
    domain.alloc();
    const bare = domain.insert(1, 3);
    domain.alloc();
    expect([indices(domain), indices(domain, 'associated'), indices(domain, 'not-associated')]).toEqual([[0, 1, 2], [0, 2], [1]]);
    for (const desc of domain.descs('associated')) domain.free(desc.map!);
    expect(indices(domain)).toEqual([1]);
    expect(pair(domain.associate(bare))).toEqual([1, 24]);
    expect([code(() => domain.associate(bare)), code(() => domain.drop(bare))]).toEqual(['EINVAL', 'EINVAL']);
    domain.drop(domain.insert(0, 3));
    domain.insert(3, 3);
    domain.freeAll();
    expect(domain.count).toBe(0);
  });
});
