import { describe, expect, test } from 'vitest';
import type { MsiMap } from '../../../core/msi/index.js';
import { RecordingStore, code, deviceIn, domainScene, msiScene, pair } from './fixture.js';

describe('freeing', () => {
  test('C-128 is EBUSY while a handler is installed, and changes nothing', () => {
    const { domain, irqs, dev, fire, store } = domainScene();
    const map = domain.alloc();
    let count = 0;
    const handle = irqs.request(dev, map.virq, () => count++);
    store.done.length = 0;
    const calls = [() => domain.free(map), () => domain.freeAll(), () => domain.remove(), () => map[Symbol.dispose]()];
    expect(calls.map(code)).toEqual(calls.map(() => 'EBUSY'));
    fire(store.messages.get(0));
    expect([count, map.held, store.done]).toEqual([1, true, []]);
    void handle.free();
    domain.free(map);
    expect([map.held, irqs.list(), domain.count]).toEqual([false, [], 0]);
  });

  test('C-129 by a stale map is a violation, and leaves the next owner alone', () => {
    const { domain, violations, dev, ims } = domainScene();
    const stale = domain.alloc();
    domain.free(stale);
    expect(code(() => domain.free(stale))).toBe('EINVAL');
    const next = domain.alloc();
    expect(pair(next)).toEqual(pair(stale));
    expect(code(() => domain.free(stale))).toBe('EINVAL');
    const other = ims.createDomain(dev, new RecordingStore(), { id: 'other' });
    expect(code(() => other.free(next))).toBe('EINVAL');
    expect([next.held, violations]).toEqual([true, ['msi-stale-map', 'msi-stale-map', 'msi-stale-map']]);
  });

  test('C-130 by what is no map is a violation without effect', () => {
    const { domain, violations } = domainScene();
    domain.alloc();
    for (const index of [-16, 0, 4]) expect(code(() => domain.free({ index, virq: 0 } as MsiMap))).toBe('EINVAL');
    expect([violations, domain.count]).toEqual([['msi-stale-map', 'msi-stale-map', 'msi-stale-map'], 1]);
  });

  test('by disposal is harmless the second time', async () => {
    const { domain } = domainScene();
    const kept = domain.alloc();
    {
      using map = domain.alloc();
      await using other = domain.alloc();
      expect([map.index, other.index, domain.count]).toEqual([1, 2, 3]);
      domain.free(other);
    }
    expect([domain.count, kept.held]).toEqual([1, true]);
  });

  test('leaves the ledger too', () => {
    const { domain, dev, store } = domainScene();
    const [a] = [domain.alloc(), domain.alloc()];
    domain.free(a);
    expect(dev.devres.entries().map(({ label }) => label)).toEqual(['ims slot', 'ims domain']);
    store.done.length = 0;
    void dev.devres.releaseAll();
    expect(store.done).toEqual(['free 1']);
  });

  test('C-134 all of one domain leaves the others, and the domain', () => {
    const { domain, ims, dev } = domainScene();
    const other = ims.createDomain(dev, new RecordingStore(), { id: 'other' });
    domain.allocRange(0, 2);
    other.alloc();
    domain.freeAll();
    expect([domain.count, other.count, domain.alloc().index]).toEqual([0, 1, 0]);
  });

  test('C-135 the domain lets it be created again, with another size; twice is nothing', () => {
    const { domain, ims, dev } = domainScene();
    domain.alloc();
    domain.remove();
    domain.remove();
    expect(dev.devres.size).toBe(0);
    const again = ims.createDomain(dev, new RecordingStore(1));
    domain.remove();
    expect([again.size, pair(again.alloc())]).toEqual([1, [0, 24]]);
  });

  test('C-132 what was left behind happens first, last one first, and is reported', () => {
    const { msi, dev, violations, irqs, core } = msiScene();
    const done: string[] = [];
    const chip = { name: 'X', mask() {}, unmask() {}, writeMsiMsg() {} };
    const ops = { freeDesc: ({ index }: { index: number }) => done.push(`free ${index}`) };
    const template = { chip, busToken: 'pci-device-msix' as const, flags: [], ops };
    const domain = msi.createDomain(dev, { id: 'default', template, size: 4, label: 'msi-x' });
    domain.allocRange(0, 2);
    expect(dev.devres.entries().map(({ label }) => label)).toEqual(['msi-x']);
    const domains = core.domains.size;
    void dev.devres.releaseAll();
    expect([done, violations, irqs.list()]).toEqual([['free 2', 'free 1', 'free 0'], ['msi-left-behind'], []]);
    expect([core.domains.size, msi.domains(dev)]).toEqual([domains - 1, []]);
  });

  test("at the end of a binding takes the interrupt from a handler that is somebody else's, and reports it", () => {
    const scene = domainScene();
    const { domain, irqs, dev, violations, store, fire } = scene;
    const { virq } = domain.alloc();
    const other = deviceIn(scene, 'other');
    let count = 0;
    const handle = irqs.request(other, virq, () => count++);
    const message = store.messages.get(0)!;
    store.done.length = 0;
    void dev.devres.releaseAll();
    expect(store.done).toEqual(['mask 0', 'write 0 0/0', 'free 0']);
    expect([violations, irqs.list()]).toEqual([['msi-freed-in-use'], []]);
    fire(message);
    void handle.free();
    expect([count, store.done.length]).toEqual([0, 3]);
  });
});
